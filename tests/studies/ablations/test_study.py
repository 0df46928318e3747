"""Ablations: a tiny run from end to end, what is compared with what, and what diverges."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.evaluation.protocol import Scores
from mermaide_jax.results.results import Results, read_results
from mermaide_jax.results.schema import ROW_COLUMNS
from mermaide_jax.studies.ablations import runs, study
from mermaide_jax.studies.ablations.table import VARIANTS, planned
from mermaide_jax.studies.mermaide import run as study_run
from mermaide_jax.training import TrainingDiverged

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}


def preset(name):
    return registry.get("preset", name).value


def tiny():
    """A base that compiles and runs in seconds."""
    smoke = preset("smoke")
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


NO_STATE: Any = None
DIVERGED = TrainingDiverged(np.array([3]), NO_STATE, {})


def scripts(name, config, setting):
    """Scores that stand for those of a script: the oracle's, less what it would pay."""
    scripts.played.append((name, config.game.cost))
    score: Any = np.full(
        setting.test["ucb"].env.target.shape,
        50 - config.game.cost if name == "all_knowing" else -50,
    )
    return Scores(*[score] * len(Scores._fields)), None


@pytest.fixture
def tiny_base(monkeypatch, guest_registry):
    """A preset of the tiny base, and two scripts whose scores are made up."""
    scripts.played = []
    guest_registry.register("preset", "tiny", tiny(), label="tiny", summary="for tests")
    monkeypatch.setattr(study, "names_of", lambda *roles: ("never", "all_knowing"))
    monkeypatch.setattr(study_run, "evaluate_scripted", scripts)
    monkeypatch.setattr(sys, "argv", ["ablations.py", "there"])


def no_work(*arguments, **options):
    raise AssertionError("nothing is to be trained")


@pytest.mark.usefixtures("compile_cache_on", "tiny_base")
def test_a_tiny_run_writes_everything_and_is_resumed(tmp_path, monkeypatch, capsys):
    chosen = {"weight = 0.9", "c = 0.25", "c = 0.75"}
    monkeypatch.setattr(study, "VARIANTS", tuple(e for e in VARIANTS if e.label in chosen))
    groups = ("zero-shot-weight", "cost")
    options = study.Ablations("tiny", horizon=4, seeds=2, groups=groups, out=tmp_path / "out")
    assert study.run(options) == []
    said = capsys.readouterr()
    assert "[3/3] cost/c_0.25" in said.err and "c = 0.75 (base)" in said.out

    table = pd.read_csv(options.out / "ablations.csv")
    assert len(table) == 1 + 3
    assert list(dict.fromkeys(table["run"])) == [
        "base",
        "zero-shot-weight/weight_0.9",
        "cost/c_0.25",
    ]
    assert (options.out / "ablations.png").stat().st_size > 1000
    about = json.loads((options.out / "about.json").read_text())
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
    costs = [0.25 if name == "cost/c_0.25" else 0.75 for name in table["run"]]
    share = (table["score"] + 50) / (100 - np.asarray(costs))
    np.testing.assert_allclose(table["attained"], share, rtol=1e-4)
    # Scripts play once in each game; every run has their rows.
    assert scripts.played == [(n, c) for c in (0.75, 0.25) for n in ("never", "all_knowing")]
    for name in set(table["run"]):
        found = {row["principal"] for row in read_results(options.out / name).rows}
        assert found == {"mermaide", "never", "all_knowing"}

    monkeypatch.setattr(runs, "train_study", no_work)
    with pytest.raises(ConfigError, match="--force"):
        study.run(options)
    resumed = dataclasses.replace(options, resume=True)
    assert study.run(resumed) == []
    again = capsys.readouterr()
    assert again.out == said.out and "base: finished before" in again.err
    with pytest.raises(ConfigError, match=r"--resume: .*game.horizon: got 5, expected the saved 4"):
        study.run(dataclasses.replace(resumed, horizon=5))


def rows_of(scores):
    """Rows of ``scores[agent][seed]``."""
    return [
        BLANK | {"principal": "mermaide", "agent": agent, "seed": seed, "score": float(score)}
        for agent, row in enumerate(scores)
        for seed, score in enumerate(row)
    ]


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


def place_of(plan, entry):
    return plan[entry.group, entry.label][0]


def test_records_hold_what_they_are_compared_with():
    plan = planned(preset("default"))
    chosen = ("GRU", "GRU, arms by name", "GRU, arms by name, a* hidden", "c = 0.1", "c = 0.75")
    entries = [e for e in VARIANTS if e.label in chosen and e.group in ("observation", "cost")]
    shifts = {"base": 0.0, "observation/gru": 1.0, "cost/c_0.1": 7.0}
    shifts |= {place_of(plan, entry): 3.0 for entry in entries if "hidden" in entry.label}
    found = {place: results_of(shift) for place, shift in shifts.items()}
    table = pd.DataFrame(study.compare(entries, plan, found))
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


def test_the_whole_and_the_reduced_base():
    whole = study.base_config(study.Ablations(out=Path("x")))
    assert (whole.game.horizon, whole.network.architecture, whole.seeds) == (50, "arms", 3)
    assert whole.agents.families == ("ucb", "epsilon_greedy")
    reduced = study.base_config(study.Ablations(out=Path("x"), reduced=True))
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
def test_bad_options_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        study.run(study.Ablations(out=tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


def test_a_run_that_diverges_has_no_results_and_the_base_ends_it(tmp_path, monkeypatch):
    lines = []
    wanted: Any = {"base": 0, "one": 1, "two": 2}  # what stands for a config is its number

    def run(config, place, resume, scripts, show):
        if config in bad:
            raise DIVERGED
        return config

    monkeypatch.setattr(runs, "_run", run)
    bad = {1}
    found = runs.run_all(wanted, {}, tmp_path, False, lines.append)
    assert found == ({"base": 0, "two": 2}, ["one"])
    assert lines[:2] == ["[1/3] base", "[2/3] one"] and lines[2].startswith(
        "one: training gave NaN"
    )
    bad = {0}
    with pytest.raises(TrainingDiverged):
        runs.run_all(wanted, {}, tmp_path, False, lines.append)


def test_the_exit_code_tells_what_became_of_it(tmp_path, monkeypatch, capsys):
    def code(found=(), error=None):
        def run(options, show):
            if error is not None:
                raise error
            return list(found)

        monkeypatch.setattr(study, "run", run)
        return study.main(study.Ablations(out=tmp_path / "out"))

    assert code() == 0
    assert code(["cost/c_0.1"]) == 1
    assert "no results of cost/c_0.1" in capsys.readouterr().err
    assert code(error=DIVERGED) == 1
    member = registry.get("study", "ablations")
    assert (member.value.options, member.value.run) == (study.Ablations, study.main)
