"""Ablations: the table of variants, differences by hand, and a tiny run from end to end."""

import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment

from mermaide_jax.agents import standard_population
from mermaide_jax.errors import ConfigError
from mermaide_jax.evaluation.protocol import Scores
from mermaide_jax.games import make_intervention_game
from mermaide_jax.principals import learned_principal
from mermaide_jax.report.ablations import ablation_figure, paired_differences
from mermaide_jax.results.results import Results, read_results
from mermaide_jax.results.schema import ROW_COLUMNS
from mermaide_jax.studies.mermaide import PRESETS
from mermaide_jax.studies.mermaide import run as study_run
from mermaide_jax.studies.mermaide.ablations import BASE, GROUPS, VARIANTS, changed, planned
from mermaide_jax.training import TrainingDiverged

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}


# --- the table ------------------------------------------------------------------------------------


def flat(config):
    """Every field of every part, as ``part.name``."""
    found = {}
    for part, value in dataclasses.asdict(config).items():
        for name, leaf in value.items() if isinstance(value, dict) else [("", value)]:
            found[f"{part}.{name}"] = leaf
    return found


@pytest.mark.parametrize("preset", ["default", "standard"])
def test_every_variant_differs_from_the_base_in_what_it_says(preset):
    base = PRESETS[preset]
    plan, before = planned(base), flat(base)
    assert plan[BASE, BASE] == (BASE, base)
    for entry in VARIANTS:
        _, config = plan[entry.group, entry.label]
        after = flat(config)
        assert {name: after[name] for name in entry.changes} == dict(entry.changes)
        untouched = set(after) - set(entry.changes)
        assert {n: after[n] for n in untouched} == {n: before[n] for n in untouched}


def test_the_networks_of_every_variant_accept_what_it_observes():
    game = dataclasses.replace(PRESETS["default"].game, horizon=50)
    base = dataclasses.replace(PRESETS["default"], game=game)
    configs = {config for _, config in planned(base).values()}
    for families, network in {(config.game.static, config.network) for config in configs}:
        game = make_intervention_game(standard_population(10), families)
        sizes = game.observation_size, game.num_arms, game.num_interventions
        learned = learned_principal(network, *sizes)
        assert "world_model" in jax.eval_shape(learned.init_params, jax.random.key(0))


def test_every_group_has_variants_and_every_run_a_place_of_its_own():
    assert list(dict.fromkeys(entry.group for entry in VARIANTS)) == list(GROUPS)
    plan = planned(PRESETS["default"])
    assert len(plan) == len(VARIANTS) + 1  # labels are used once in a group
    places = {}
    for place, config in plan.values():
        assert places.setdefault(place, config) == config
    assert len(set(places.values())) == len(places)
    for entry in VARIANTS:
        assert entry.against == BASE or (entry.group, entry.against) in plan
        assert place_of(plan, entry) in (BASE, *places)
    same = [entry.label for entry in VARIANTS if place_of(plan, entry) == BASE]
    assert {"second order", "steps = 1", "c = 0.75", "units = 16", "offer"} <= set(same)


def place_of(plan, entry):
    return plan[entry.group, entry.label][0]


def test_hidden_observations_are_compared_with_networks_of_the_same_kind():
    plan = planned(PRESETS["default"])
    hidden = [e for e in VARIANTS if "game.observe_target" in e.changes]
    assert len(hidden) == 2
    for entry in hidden:
        own, other = (flat(plan[entry.group, n][1]) for n in (entry.label, entry.against))
        assert {name for name in own if own[name] != other[name]} == {"game.observe_target"}


def test_changes_of_no_field_or_to_no_value_are_refused():
    with pytest.raises(ConfigError, match=r"changes: got 'game.costs'"):
        changed(PRESETS["default"], {"game.costs": 1.0})
    with pytest.raises(ConfigError, match="inner_steps: got 0, expected an integer >= 1"):
        changed(PRESETS["default"], {"training.inner_steps": 0})


# --- differences ----------------------------------------------------------------------------------


def rows_of(scores, seeds=None):
    """Rows of ``scores[agent][seed]``."""
    return [
        BLANK | {"principal": "mermaide", "agent": agent, "seed": seed, "score": float(score)}
        for agent, row in enumerate(scores)
        for seed, score in zip(seeds or range(len(row)), row, strict=True)
    ]


def test_difference_is_that_of_interquartile_means():
    own, base = rows_of([[1, 9], [4, 6]]), rows_of([[0, 1], [2, 50]])
    (line,) = paired_differences(own, base)
    # The middle two: (4 + 6) / 2 and (1 + 2) / 2. The mean of differences would be -8.25.
    assert line["difference"] == pytest.approx(5 - 1.5)
    # Seed 0 drawn twice: 2.5 - 1; seed 1 drawn twice: 7.5 - 25.5; each once: as above.
    assert (line["low"], line["high"]) == pytest.approx((-18, 3.5))
    assert line["seeds"] == 2


def test_interval_pairs_the_seeds_and_draws_runs_not_agents():
    scores = np.array([[0.0, 10.0, 30.0, -7.0]] * 3)
    (shifted,) = paired_differences(rows_of(scores + 1), rows_of(scores))
    assert [shifted[k] for k in ("difference", "low", "high")] == pytest.approx([1, 1, 1])
    # One run of four gained, with every agent: forty agents do not make it certain.
    lucky = np.array([[4.0, 0.0, 0.0, 0.0]] * 40)
    (line,) = paired_differences(rows_of(lucky), rows_of(0 * lucky))
    assert (line["difference"], line["low"], line["high"]) == (0.0, 0.0, 4.0)


def test_only_seeds_of_both_count_and_one_seed_has_no_interval():
    own, base = rows_of([[5, 7]], [0, 1]), rows_of([[100, 4]], [2, 1])
    (line,) = paired_differences(own, base)
    assert (line["difference"], line["seeds"]) == (3.0, 1)
    assert np.isnan([line["low"], line["high"]]).all()
    with pytest.raises(ConfigError, match="the same seeds and agents"):
        paired_differences(own, rows_of([[1]], [5]))


# --- a tiny run -----------------------------------------------------------------------------------


def tiny():
    """A base that compiles and runs in seconds."""
    smoke = PRESETS["smoke"]
    return dataclasses.replace(
        smoke,
        game=dataclasses.replace(smoke.game, num_arms=3),
        agents=dataclasses.replace(smoke.agents, families=("ucb",), train=3, test=2),
        network=dataclasses.replace(smoke.network, architecture="mlp", features=3),
        training=dataclasses.replace(
            smoke.training,
            updates=2,
            world_model_updates=0,
            tasks_per_update=2,
            episodes_per_task=2,
            meta_gradient="none",
        ),
        evaluation=dataclasses.replace(
            smoke.evaluation, episodes=2, clairvoyant_beam=1, shots=(0,)
        ),
    )


def scripts(name, config, setting):
    """Scores that stand for those of a script: the oracle's, less what it would pay."""
    scripts.played.append((name, config.game.cost))
    score = np.full(
        setting.test.target.shape, 50 - config.game.cost if name == "all_knowing" else -50
    )
    return Scores(*[score] * len(Scores._fields)), None


@pytest.fixture
def ablations(monkeypatch):
    """The script as a module, with a tiny base and two scripts, its programs compiled quickly."""
    scripts.played = []
    module = load_experiment("ablations", monkeypatch)
    monkeypatch.setitem(PRESETS, "tiny", tiny())
    monkeypatch.setattr(module, "SCRIPTED", ("never", "all_knowing"))
    monkeypatch.setattr(study_run, "evaluate_scripted", scripts)
    monkeypatch.setattr(sys, "argv", ["ablations.py", "there"])
    return module


def no_work(*arguments, **options):
    raise AssertionError("nothing is to be trained")


@pytest.mark.usefixtures("compile_cache_on")
def test_a_tiny_run_writes_everything_and_is_resumed(ablations, tmp_path, monkeypatch, capsys):
    chosen = {"weight = 0.9", "c = 0.25", "c = 0.75"}
    monkeypatch.setattr(
        ablations, "VARIANTS", tuple(entry for entry in VARIANTS if entry.label in chosen)
    )
    experiment = ablations.Experiment(
        tmp_path / "out", "tiny", horizon=4, seeds=2, groups=("zero-shot-weight", "cost")
    )
    assert ablations.run(experiment) == []
    said = capsys.readouterr()
    assert "[3/3] cost/c_0.25" in said.err and "c = 0.75 (base)" in said.out

    table = pd.read_csv(experiment.out / "ablations.csv")
    assert len(table) == 1 + 3
    assert list(dict.fromkeys(table["run"])) == [
        "base",
        "zero-shot-weight/weight_0.9",
        "cost/c_0.25",
    ]
    assert (experiment.out / "ablations.png").stat().st_size > 1000
    about = json.loads((experiment.out / "about.json").read_text())
    assert about["command"] == "python ablations.py there"
    by = table.set_index("variant")
    # Without meta-learning there is no outer objective to weigh: the same training, to the bit.
    weight = by.loc["weight = 0.9"]
    assert (weight[["difference", "difference_low", "difference_high"]] == 0).all()
    # Another cost is another scale: no difference, but a share. What equals the base has its score.
    assert np.isnan(by.loc["c = 0.25", "difference"])
    assert by["same_game"].to_dict() == dict.fromkeys(by.index, True) | {"c = 0.25": False}
    assert by.loc["c = 0.75", "score"] == by.loc["base", "score"]
    # A share of 0 is the script, 1 the all-knowing planner of the same game.
    share = (table["score"] + 50) / (100 - table["run"].map({"cost/c_0.25": 0.25}).fillna(0.75))
    np.testing.assert_allclose(table["attained"], share, rtol=1e-4)
    # Scripts play once in each game; every run has their rows.
    assert scripts.played == [(n, c) for c in (0.75, 0.25) for n in ("never", "all_knowing")]
    for name in set(table["run"]):
        found = {row["principal"] for row in read_results(experiment.out / name).rows}
        assert found == {"mermaide", "never", "all_knowing"}

    monkeypatch.setattr(ablations, "train_study", no_work)
    with pytest.raises(ConfigError, match="--force"):
        ablations.run(experiment)
    resumed = dataclasses.replace(experiment, resume=True)
    assert ablations.run(resumed) == []
    again = capsys.readouterr()
    assert again.out == said.out and "base: finished before" in again.err
    with pytest.raises(ConfigError, match=r"--resume: .*game.horizon: got 5, expected the saved 4"):
        ablations.run(dataclasses.replace(resumed, horizon=5))


def results_of(shift):
    """Results of two families and two K, whose scores tell them apart, plus a shift."""
    about = [(family, shots) for family in ("ucb", "epsilon_greedy") for shots in (0, 1)]
    rows = [
        row | {"family": family, "k_shot": shots, "score": row["score"] * factor + place}
        for place, (family, shots) in enumerate(about)
        for factor in [1 + shift * (family == "ucb") + 2 * shift * shots]
        for row in rows_of([[1, 2], [1, 2]])
    ]
    return Results({}, {}, "", 0.0, "", rows, [], [], "")


def test_records_hold_what_they_are_compared_with(ablations):
    plan = planned(PRESETS["default"])
    chosen = ("GRU", "GRU, arms by name", "GRU, arms by name, a* hidden", "c = 0.1", "c = 0.75")
    entries = [e for e in VARIANTS if e.label in chosen and e.group in ("observation", "cost")]
    shifts = {"base": 0.0, "observation/gru": 1.0, "cost/c_0.1": 7.0}
    shifts |= {place_of(plan, entry): 3.0 for entry in entries if "hidden" in entry.label}
    runs = {place: results_of(shift) for place, shift in shifts.items()}
    table = pd.DataFrame(ablations.compare(entries, plan, runs))
    # A run that is missing (it diverged) has no records, and nothing is compared with it.
    assert list(dict.fromkeys(table["variant"])) == ["base", chosen[0], chosen[2], *chosen[3:]]
    by = {name: part.set_index(["family", "k_shot"]) for name, part in table.groupby("variant")}
    # The interquartile mean of 1, 1, 2, 2 is 1.5.
    gains = {("ucb", 0): 1.0, ("ucb", 1): 3.0, ("epsilon_greedy", 0): 0, ("epsilon_greedy", 1): 2}
    expected = {key: (1.5 * gain, gain, 2 * gain) for key, gain in gains.items()}
    columns = ["difference", "difference_low", "difference_high"]
    found = by["GRU"][columns].apply(tuple, axis=1).to_dict()
    assert {key: pytest.approx(value) for key, value in expected.items()} == found
    assert all(by[name]["difference"].isna().all() for name in by if name != "GRU")
    assert by["c = 0.75"]["score"].equals(by["base"]["score"])
    assert set(by[chosen[2]]["against"]) == {"observation/gru_arms_by_name"}


def test_the_figure_shows_scores_or_shares(ablations):
    about = {"family": "ucb", "k_shot": 0, "low": 1.0, "high": 2.0, "score": 1.5}
    about |= {"attained": 0.1, "attained_low": 0.0, "attained_high": 0.2}
    records = [
        about | {"group": group, "variant": "v", "same_game": same}
        for group, same in (("base", True), ("width", True), ("cost", False))
    ]
    figure = ablation_figure(records, {"width": "Width", "cost": "Cost"})
    assert [axes.get_xlabel() for axes in figure.axes] == ["score", "share of the attainable"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Width: UCB", "Cost: UCB"]


def test_the_whole_and_the_reduced_base(ablations):
    whole = ablations.base_config(ablations.Experiment(Path("x")))
    assert (whole.game.horizon, whole.network.architecture, whole.seeds) == (50, "arms", 3)
    assert whole.agents.families == ("ucb", "epsilon_greedy")
    reduced = ablations.base_config(ablations.Experiment(Path("x"), reduced=True))
    assert (reduced.game.horizon, reduced.training.updates, reduced.seeds) == (30, 10, 2)
    for base in (whole, reduced):
        assert len(planned(base)) == len(VARIANTS) + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ("costs",)}, r"--groups: got 'costs', expected .*did you mean 'cost'"),
        ({"groups": ()}, "number of --groups: got 0"),
        ({"preset": "big"}, "--preset: got 'big'"),
        ({"seeds": 0}, "--seeds: got 0, expected an integer >= 1"),
        ({"horizon": 0}, "--horizon: got 0, expected an integer >= 1"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(ablations, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        ablations.run(ablations.Experiment(tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


def test_the_exit_code_tells_what_became_of_it(ablations, tmp_path, monkeypatch, capsys):
    def start(found=(), error=None):
        def run(experiment):
            if error is not None:
                raise error
            return list(found)

        monkeypatch.setattr(ablations, "run", run)
        return ablations.start(ablations.main, ablations.Experiment, None)

    monkeypatch.setattr(ablations, "set_xla_flags", lambda environ: None)
    monkeypatch.setattr(sys, "argv", ["ablations.py", "--out", str(tmp_path / "out")])
    assert start() == 0
    assert start(["cost/c_0.1"]) == 1
    assert start(error=TrainingDiverged(np.array([3]), None, {})) == 1
    assert start(error=ConfigError("--groups: got 'x'")) == 2
    said = capsys.readouterr().err
    assert "no results of cost/c_0.1" in said and "error: --groups: got 'x'\n" in said
