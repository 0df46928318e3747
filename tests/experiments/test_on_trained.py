"""The experiments that read a finished study, on one of the tiniest size."""

import dataclasses
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment

from mermaide_jax.cli import main
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.results.findings import read_findings
from mermaide_jax.results.results import read_results, write_results
from mermaide_jax.statistics import interquartile_mean
from mermaide_jax.studies.mermaide import PRESETS
from mermaide_jax.studies.mermaide.run import load_config, load_study
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import TrainingConfig
from mermaide_jax.training.objective import Episodes

TINY = shlex.split(
    """--preset smoke --seeds 2 --game.horizon 4 --game.num-arms 3 --agents.families ucb
    --agents.train 3 --agents.test 2 --network.architecture mlp --network.features 3
    --training.updates 2 --training.world-model-updates 0 --training.tasks-per-update 2
    --training.meta-gradient first_order
    --training.episodes-per-task 2 --evaluation.episodes 2 --evaluation.all-knowing-rollouts 2
    --principals mermaide reinforce never all_knowing"""
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of the study."""
    directory = tmp_path_factory.mktemp("study") / "out"
    assert main(["reproduce", *TINY, "--out", str(directory)]) == 0
    return directory


def test_bandits_compares_and_writes_the_findings(finished, tmp_path, monkeypatch, capsys):
    bandits, findings = load_experiment("bandits", monkeypatch), tmp_path / "findings.json"
    bandits.main(bandits.Experiment((finished,), findings=findings))
    assert "REINFORCE" in capsys.readouterr().out
    table = pd.read_csv(finished / "improvement.csv")
    assert set(table["k_shot"]) == {0, 1} and set(table["baseline"]) == {"reinforce"}
    assert (finished / "improvement.png").stat().st_size > 1000
    results, found = read_results(finished), read_findings(findings)
    for line in table.itertuples():
        measure = found["F2"]["ucb"][str(line.k_shot)]["reinforce"]["probability_of_improvement"]
        assert measure["value"] == pytest.approx(line.value)
        assert measure["command"] == results.command
    payments = pd.read_csv(finished / "interventions.csv")
    assert set(payments["principal"]) == {row["principal"] for row in results.rows}
    for line in payments[payments["principal"] == "mermaide"].itertuples():
        measure = found["F4"]["ucb"][str(line.k_shot)]["mermaide"]["interventions"]
        assert measure["value"] == pytest.approx(line.interventions, rel=1e-5)
        assert measure["low"] == pytest.approx(line.interventions_low, rel=1e-5)
    assert set(found["F4"]["ucb"]["1"]) == {"mermaide", "reinforce"}
    assert (finished / "interventions.png").stat().st_size > 1000
    (share,) = [
        r["share"]
        for r in results.attained
        if (r["principal"], r["k_shot"], r["oracle"]) == ("mermaide", 1, "all_knowing")
    ]
    assert found["attainable_share"]["ucb"]["value"] == share


def test_a_study_in_parts_is_put_together(finished, tmp_path, monkeypatch, capsys):
    bandits, whole = load_experiment("bandits", monkeypatch), read_results(finished)
    parts = []
    for seed in (0, 1):
        rows = [row for row in whole.rows if row["seed"] == seed]
        part = dataclasses.replace(whole, rows=rows, curves=[], command=f"part {seed}")
        parts.append(tmp_path / str(seed))
        parts[-1].mkdir()
        write_results(parts[-1], part)
    out = tmp_path / "out"
    bandits.main(bandits.Experiment(tuple(parts), out))
    merged = read_results(out)
    assert merged.command == "part 0\npart 1"
    assert sorted(map(str, merged.rows)) == sorted(map(str, whole.rows))
    share = lambda r: (str(r["principal"]), r["k_shot"], r["oracle"], r["share"])  # noqa: E731
    assert sorted(map(share, merged.attained)) == sorted(map(share, whole.attained))
    assert (out / "improvement.png").stat().st_size > 1000
    compact = tmp_path / "compact"
    bandits.main(bandits.Experiment(tuple(parts), compact, compact=True))
    small = read_results(compact)
    assert (small.rows, small.episodes) == (merged.rows, []) and merged.episodes
    assert not (compact / "score.png").exists() and (out / "score.png").exists()
    for parts_given, complaint in (((), "results: got"), (tuple(parts), "--out: got")):
        with pytest.raises(ConfigError, match=f"^{complaint}"):
            bandits.main(bandits.Experiment(parts_given))
    alone = [row for row in whole.rows if row["principal"] != "reinforce"]
    write_results(parts[0], dataclasses.replace(whole, rows=alone, curves=[]))
    with pytest.raises(ConfigError, match=r"^principals: got"):
        bandits.main(bandits.Experiment((parts[0],), tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="each run once"):
        bandits.main(bandits.Experiment((parts[0], parts[0]), tmp_path / "new"))
    capsys.readouterr()


def test_world_model_measures_gains_and_predictions(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("world_model", monkeypatch), tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["world_model.py", "there"])
    module.main(module.Experiment((finished,), out, agents=1, episodes=2))
    capsys.readouterr()
    gains = pd.read_csv(out / "gains.csv")
    assert set(gains["gain_of"]) == {"both"}  # the other baselines were not trained
    assert len(gains) == 2 * 5  # shots, coefficients
    assert (gains["low"] <= gains["gain"]).all() and (gains["gain"] <= gains["high"]).all()
    steps = pd.read_parquet(out / "prediction.parquet")
    assert len(steps) == 2 * 2 * 4  # seeds, shots, steps
    assert (steps["divergence"] > -1e-4).all()
    # Nothing was tried yet: the agent pulls each of three arms with the same probability.
    np.testing.assert_allclose(steps["entropy"][steps["step"] == 0], np.log(3), rtol=1e-4)
    assert json.loads((out / "about.json").read_text())["command"] == "python world_model.py there"
    assert all((out / name).stat().st_size > 1000 for name in ("gains.png", "prediction.png"))


def test_world_model_takes_a_study_in_parts(finished, tmp_path, monkeypatch):
    module, part = load_experiment("world_model", monkeypatch), tmp_path / "part"
    shutil.copytree(finished, part)
    config = json.loads((part / "config.json").read_text())
    config["evaluation"]["shots"] = [1]
    (part / "config.json").write_text(json.dumps(config))
    alone, both = (module.load(places) for places in ((finished,), (finished, part)))
    assert len(alone) == len(both) == 2 * 2  # principals, seeds
    assert {run.config.evaluation.shots for run in alone} == {(0, 1)}
    assert {run.config.evaluation.shots for run in both} == {(1,)}  # the last is taken
    config["game"]["cost"] = 0.5
    (part / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"^results: got .*parts of one study"):
        module.load((finished, part))
    with pytest.raises(ConfigError, match=r"^results: got"):
        module.load(())
    for names in (["mermaide"], ["reinforce"]):
        (part / "config.json").write_text(json.dumps(config | {"principals": names}))
        with pytest.raises(ConfigError, match=f"^principals: got {re.escape(str(names))}"):
            module.load((part,))


def test_world_model_compares_like_with_like(finished, tmp_path, monkeypatch):
    module, whole = load_experiment("world_model", monkeypatch), load_study(finished)

    def load(*changes):
        parts = {
            Path(names[0]): (
                dataclasses.replace(whole[0], **change),
                {name: whole[1][name] for name in names},
            )
            for *names, change in changes
        }
        monkeypatch.setattr(module, "load_study", parts.__getitem__)
        return module.load(tuple(parts))

    assert len(load(("mermaide", {}), ("reinforce", {}))) == 2 * 2
    with pytest.raises(ConfigError, match=r"^results: got .*the same families and seeds"):
        load(("mermaide", {}), ("reinforce", {"seeds": 1}))
    once = {"evaluation": dataclasses.replace(whole[0].evaluation, shots=(1,))}
    with pytest.raises(ConfigError, match=r"^shots: got \[\(0, 1\), \(1,\)\]"):
        load(("mermaide", {}), ("reinforce", once))
    for options in ({"agents": 0}, {"episodes": 0}):
        with pytest.raises(ConfigError, match=f"^--{next(iter(options))}: got 0"):
            module.main(module.Experiment((finished,), tmp_path / "new", **options))
    assert not (tmp_path / "new").exists()


def test_protocols_are_named_by_all_that_differs(monkeypatch):
    name_of = load_experiment("protocols", monkeypatch).protocol_name
    base = json.loads(json.dumps(dataclasses.asdict(PRESETS["default"])))
    assert name_of(base, base) == "base"
    other = json.loads(json.dumps(base))
    other["agents"] |= {"split": "same", "families": ["ucb"]}
    other["network"] |= {"features": 7, "recurrence": "scan"}
    other["training"] |= {"entropy_start": 0.1, "entropy_decay": 1.0}
    assert name_of(other, base) == "split same, features 7, entropy 0.1 linearly"
    # A record of before bonuses could fall otherwise: they fell linearly.
    del other["training"]["entropy_decay"]
    assert name_of(other, base) == "split same, features 7, entropy 0.1 linearly"
    other = json.loads(json.dumps(base))
    other["training"] |= {"inner_steps": 3, "agents_per_block": None, "gone": 1}
    other["baseline_entropy"]["reinforce"] = 0.3
    assert name_of(other, base) == "inner steps 3, entropy of reinforce 0.3, gone 1"
    # The principals, the test and the seeds are no protocol.
    like = base | {"evaluation": {}, "principals": [], "seeds": 7, "seed": 7}
    assert name_of(like, base) == "base"
    # Where a record does not tell the baselines' own bonuses, nothing is made of them.
    del other["baseline_entropy"]
    assert name_of(other, base) == "inner steps 3, gone 1"
    assert name_of(base, other).startswith("inner steps 1")


def test_the_records_we_have_are_told_apart(monkeypatch):
    module = load_experiment("protocols", monkeypatch)
    names = ("bandits", "same", "hits_200", "bandits_200", "endless", "bandits_linear")
    places = [Path(__file__).parents[2] / "docs" / "results" / name for name in names]
    base, *others = [json.loads((place / "results.json").read_text())["config"] for place in places]
    assert [module.protocol_name(config, base) for config in (base, *others)] == [
        "base",
        "split same",
        "horizon 200, updates 1000, credit hits, entropy 0.1 by the square",
        "horizon 200, updates 1000, entropy 0.1 linearly",
        "updates 1000, variation endless, entropy 0.1 linearly",
        "entropy 0.1 linearly",
    ]


def test_adaptation_takes_the_gradient_step_and_the_memory_apart(tmp_path, monkeypatch, capsys):
    module, study, out = (
        load_experiment("adaptation", monkeypatch),
        tmp_path / "study",
        tmp_path / "out",
    )
    options = [*TINY, "--network.architecture", "arms", "--network.memory"]
    options += ["--principals", "mermaide", "reinforce", "--training.inner-learning-rate", "0.1"]
    assert main(["train", *options, "--out", str(study)]) == 0
    module.main(module.Experiment((study,), out))
    table = pd.read_csv(out / "adaptation.csv")
    assert list(table["way"]) == [module.BOTH, module.STEP, module.MEMORY]
    assert set(table["principal"]) == {"mermaide"} and set(table["k_shot"]) == {1}
    np.testing.assert_allclose(table["gain"], table["score"] - table["zero_shot"], atol=1e-4)
    assert table["zero_shot"].nunique() == 1
    assert (out / "adaptation.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"^results: got \[\]"):
        module.main(module.Experiment((), tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    monkeypatch.setattr(module, "measure", None)  # not before --out is known to be good
    with pytest.raises(ConfigError, match=r"^--out: got"):
        module.main(module.Experiment((study,), out))
    capsys.readouterr()


def test_ways_to_adapt_move_what_they_say(monkeypatch):
    module = load_experiment("adaptation", monkeypatch)
    learned = learned_principal(NetworkConfig("arms", 3, memory=True), 7, 3, 2)
    ways = module.ways(TrainingConfig(inner_learning_rate=0.1), learned)
    params, rng = learned.init_params(jax.random.key(0)), np.random.default_rng(0)
    actions, payments = rng.integers(0, 3, (2, 5)), rng.integers(0, 2, (2, 5))
    shown = Episodes(rng.random((2, 5, 7), np.float32), payments, actions, rng.random((2, 5)))
    remembers = {module.BOTH: True, module.STEP: False, module.MEMORY: True}
    for way, adapt in ways.items():
        (before, after) = (dict(p["world_model"]) for p in (params, adapt(params, shown)))
        assert np.any(after.pop("memory")) == remembers[way]
        before.pop("memory")
        moved = jax.tree.map(lambda x, y: bool(np.any(x != y)), before, after)
        assert any(jax.tree.leaves(moved)) == (way != module.MEMORY)
    plain = learned_principal(NetworkConfig("arms", 3), 7, 3, 2)
    assert list(module.ways(TrainingConfig(), plain)) == [module.STEP]


def test_protocols_compares_studies(finished, tmp_path, monkeypatch, capsys):
    module, other, out = (
        load_experiment("protocols", monkeypatch),
        tmp_path / "other",
        tmp_path / "out",
    )
    headline = read_results(finished)
    config = json.loads(json.dumps(headline.config))
    config["agents"]["split"] = "same"
    better = [
        row | {"score": row["score"] + 100.0 * (row["principal"] == "mermaide")}
        for row in headline.rows
    ]
    other.mkdir()
    write_results(other, dataclasses.replace(headline, config=config, rows=better))
    module.run(module.Experiment((finished, other), out))
    assert "split same" in capsys.readouterr().out
    scores = pd.read_csv(out / "protocols.csv")
    assert list(dict.fromkeys(scores["protocol"])) == ["base", "split same"]
    assert set(scores["principal"]) == {"mermaide", "reinforce", "never"}
    wide = scores.pivot_table(index=["principal", "k_shot"], columns="protocol", values="score")
    gain = (wide["split same"] - wide["base"]).unstack()
    np.testing.assert_allclose(gain.loc["mermaide"], 100.0, rtol=1e-3)
    assert (gain.drop("mermaide") == 0).all(axis=None)
    wins = pd.read_csv(out / "improvement.csv").set_index("protocol").loc["split same"]
    assert set(wins["baseline"]) == {"reinforce"} and (wins["value"] == 1).all()
    assert (out / "protocols.png").stat().st_size > 1000
    assert "versions" in json.loads((out / "about.json").read_text())
    for places in ((), (finished, finished)):
        with pytest.raises(ConfigError, match=r"^results: got"):
            module.run(module.Experiment(places, tmp_path / "new"))
    with pytest.raises(ConfigError, match=r"^--out: got"):
        monkeypatch.setattr(module, "compare", None)  # not before --out is known to be good
        module.run(module.Experiment((finished, other), out))


def test_beliefs_compares_the_world_model_with_an_observer(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("beliefs", monkeypatch), tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["beliefs.py", "there"])
    module.main(module.Experiment(finished, out, particles=8, sweeps=1))
    capsys.readouterr()
    table = pd.read_parquet(out / "beliefs.parquet")
    assert len(table) == 2 * 3 * 4  # agents, predictors, steps
    assert set(table["predictor"]) == set(module.COLORS) and set(table["k_shot"]) == {1}
    # Three arms, none tried yet: whether it is the target is one in three, for all one knows.
    first = table[(table["step"] == 0) & (table["predictor"] != module.MODEL)]["log_likelihood"]
    assert set(first.round(4)) <= {round(np.log(1 / 3), 4), round(np.log(2 / 3), 4)}
    said = json.loads((out / "about.json").read_text())["summary"]
    means = table.groupby("predictor")["log_likelihood"].mean()
    assert [line["observer"] for line in said] == [module.OBSERVER, module.TOLD]
    for line in said:
        lacks = means[line["observer"]] - means[module.MODEL]
        assert line["lacks"] == pytest.approx(lacks, abs=1e-4)
    assert (out / "beliefs.png").stat().st_size > 1000
    results = read_results(finished)
    config = json.loads(json.dumps(results.config))
    config["game"]["kind"] = "arm"
    for changed in ({"episodes": []}, {"config": config}):
        with pytest.raises(ConfigError, match=r"^results: got"):
            module.recorded(dataclasses.replace(results, **changed))


def test_watching_holds_the_principal_alone_and_with_exact_beliefs(
    finished, tmp_path, monkeypatch, capsys
):
    module, out = load_experiment("watching", monkeypatch), tmp_path / "out"
    options = {"principal": "mermaide", "episodes": 2, "particles": 4, "sweeps": 1}
    module.main(module.Experiment(finished, out, **options))
    assert "seed 1, and told the task: played" in capsys.readouterr().out
    table = pd.read_csv(out / "watching.csv")
    assert list(table["variant"]) == ["alone", "watching", "told"]
    assert (table["runs"] == 4).all() and np.isfinite(table["score"]).all()
    # Alone it plays the very episodes of the study.
    rows = [
        row["score"]
        for row in read_results(finished).rows
        if (row["principal"], row["k_shot"]) == ("mermaide", 0)
    ]
    assert table["score"][0] == pytest.approx(interquartile_mean(rows), abs=1e-4)
    gains = pd.read_csv(out / "gains.csv")
    assert list(gains["variant"]) == ["watching", "told"]
    np.testing.assert_allclose(gains["gain"], table["score"][1:] - table["score"][0], atol=1e-4)
    assert gains["runs_above"].between(0, 1).all()
    about = json.loads((out / "about.json").read_text())
    assert (about["seeds"], about["particles"]) == ([0, 1], 4)
    assert (out / "watching.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 3}, "--seeds: got 3"),
        ({"episodes": 0}, "--episodes: got 0"),
        ({"particles": 0}, "--particles: got 0"),
        ({"sweeps": 0}, "--sweeps: got 0"),
        ({"principal": "never"}, "--principal: got 'never'"),
        ({"principal": "world_model_without_meta"}, "--principal: got .* one of mermaide, reinf"),
    ],
)
def test_what_cannot_be_watched_is_refused(finished, tmp_path, monkeypatch, change, message):
    module = load_experiment("watching", monkeypatch)
    options = {"principal": "mermaide"} | change
    with pytest.raises(ConfigError, match=f"^{message}"):
        module.main(module.Experiment(finished, tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


def test_planning_holds_every_world_model_with_and_without(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("planning", monkeypatch), tmp_path / "out"
    module.main(module.Experiment((finished,), out, episodes=2, rollouts=2))
    assert "MERMAIDE, UCB, seed 1, 1-shot: played" in capsys.readouterr().out
    table = pd.read_csv(out / "planning.csv")
    assert set(table["principal"]) == {"mermaide"} and list(table["k_shot"]) == [0, 1]
    # Alone it plays the very episodes of the study.
    for line in table.itertuples():
        rows = [
            row
            for row in read_results(finished).rows
            if (row["principal"], row["k_shot"]) == ("mermaide", line.k_shot)
        ]
        scores = [row["score"] for row in rows]
        assert line.score_alone == pytest.approx(interquartile_mean(scores), abs=1e-4)
        paid = np.mean([row["interventions"] for row in rows])
        assert line.interventions_alone == pytest.approx(paid, abs=1e-4)
        assert line.gain == pytest.approx(line.score_planning - line.score_alone, abs=1e-4)
    assert (out / "planning.png").stat().st_size > 1000
    for change, message in (
        ({"episodes": 0}, "--episodes: got 0"),
        ({"rollouts": 0}, "--rollouts: got 0"),
        ({"errors": -1.0}, "--errors: got -1.0"),
        ({"shots": (0, -1)}, "--shots: got -1"),
    ):
        with pytest.raises(ConfigError, match=f"^{message}"):
            module.main(module.Experiment((finished,), tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["planning", "timing"])
def test_all_parts_are_checked_before_one_is_played(name, finished, tmp_path, monkeypatch):
    module, (config, trained) = load_experiment(name, monkeypatch), load_study(finished)
    other = dataclasses.replace(config, game=dataclasses.replace(config.game, kind="magnitude"))
    parts = {Path("good"): (config, trained), Path("bad"): (other, trained)}
    monkeypatch.setattr(module, "load_study", parts.__getitem__)
    monkeypatch.setattr(module, "measure", None)
    with pytest.raises(ConfigError, match=r"^kind: got 'magnitude', expected .*binary"):
        module.main(module.Experiment(tuple(parts), tmp_path / "new"))
    with pytest.raises(ConfigError, match=r"^results: got \[\]"):
        module.main(module.Experiment((), tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_timing_tells_the_steps_that_are_paid_for(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("timing", monkeypatch), tmp_path / "out"
    module.main(module.Experiment((finished,), out, episodes=2))
    said = capsys.readouterr().out
    assert "MERMAIDE, 1-shot, UCB, seed 1: played" in said and "paid_unless_hit" in said
    table = pd.read_csv(out / "timing.csv")
    assert set(table["principal"]) == {"mermaide", "reinforce", "all_knowing"}
    assert len(table) == (2 * 2 + 1) * 4  # principals and shots, steps
    # Summed over steps it is what the study has of the very same episodes.
    rows = pd.DataFrame(read_results(finished).rows)
    for (name, number), own in table.groupby(["principal", "k_shot"]):
        study = rows[(rows["principal"] == name) & (rows["k_shot"] == number)]
        assert own["paid"].sum() == pytest.approx(study["interventions"].mean(), abs=1e-4)
        assert own["hit"].mean() == pytest.approx(study["success_rate"].mean(), abs=1e-4)
        first = own[own["step"] == 0]
        np.testing.assert_allclose(first["paid_unless_hit"], first["paid"])
        assert (own["paid_least"] <= own["paid"]).all()
        assert (own["paid"] <= own["paid_greatest"]).all()
    assert (out / "timing.png").stat().st_size > 1000
    for change, message in (
        ({"episodes": 0}, "episodes: got 0"),
        ({"shots": (1, 1)}, "shots: got 1"),
    ):
        with pytest.raises(ConfigError, match=f"^--{message}"):
            module.main(module.Experiment((finished,), tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()


def test_who_waits_for_the_first_hit_is_followed_until_then(finished, monkeypatch):
    module = load_experiment("timing", monkeypatch)
    setting = make_setting(load_config(finished))
    streams = len(setting.streams)
    # One agent, two episodes of three steps: hit in the second step, and never.
    hit = np.array([[[0, 1, 0], [0, 0, 0]]], bool)
    paid = np.array([[[1, 0, 1], [0, 1, 0]]], bool)
    both = module.Played(*(np.stack([leaf] * streams) for leaf in (paid, hit)))
    frame = module.profiles(both, setting, {"principal": "mermaide", "k_shot": 0})
    assert len(frame) == streams * 3 and set(frame["seed"]) == {0, 1}
    own = frame[frame["seed"] == 0]
    np.testing.assert_allclose(own["paid"], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(own["hit"], [0, 0.5, 0])
    np.testing.assert_allclose(own["paid_unless_hit"], [0.5, 0.5, 0.0])
