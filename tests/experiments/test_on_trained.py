"""The experiments that read a finished study, on one of the tiniest size."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment
from finished_study import TINY

from mermaide_jax.cli import main
from mermaide_jax.errors import ConfigError
from mermaide_jax.results.findings import read_findings
from mermaide_jax.results.results import read_results, write_results
from mermaide_jax.statistics import interquartile_mean
from mermaide_jax.studies.mermaide import finished as finished_module
from mermaide_jax.studies.mermaide.run import load_study


def test_bandits_compares_and_writes_the_findings(finished, tmp_path, monkeypatch, capsys):
    bandits, findings = load_experiment("bandits", monkeypatch), tmp_path / "findings.json"
    bandits.main(bandits.Bandits((finished,), findings=findings))
    assert "REINFORCE" in capsys.readouterr().out
    table: Any = pd.read_csv(finished / "improvement.csv")
    assert set(table["k_shot"]) == {0, 1} and set(table["baseline"]) == {"reinforce"}
    assert (finished / "improvement.png").stat().st_size > 1000
    results, found = read_results(finished), read_findings(findings)
    for line in table.itertuples():
        measure = found["F2"]["ucb"][str(line.k_shot)]["reinforce"]["probability_of_improvement"]
        assert measure["value"] == pytest.approx(line.value)
        assert measure["command"] == results.command
    payments: Any = pd.read_csv(finished / "interventions.csv")
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
    bandits.main(bandits.Bandits(tuple(parts), out))
    merged = read_results(out)
    assert merged.command == "part 0\npart 1"
    assert sorted(map(str, merged.rows)) == sorted(map(str, whole.rows))
    share = lambda r: (str(r["principal"]), r["k_shot"], r["oracle"], r["share"])  # noqa: E731
    assert sorted(map(share, merged.attained)) == sorted(map(share, whole.attained))
    assert (out / "improvement.png").stat().st_size > 1000
    compact = tmp_path / "compact"
    bandits.main(bandits.Bandits(tuple(parts), compact, compact=True))
    small = read_results(compact)
    assert (small.rows, small.episodes) == (merged.rows, []) and merged.episodes
    assert not (compact / "score.png").exists() and (out / "score.png").exists()
    for parts_given, complaint in (((), "results: got"), (tuple(parts), "--out: got")):
        with pytest.raises(ConfigError, match=f"^{complaint}"):
            bandits.main(bandits.Bandits(parts_given))
    alone = [row for row in whole.rows if row["principal"] != "reinforce"]
    write_results(parts[0], dataclasses.replace(whole, rows=alone, curves=[]))
    with pytest.raises(ConfigError, match=r"^principals: got"):
        bandits.main(bandits.Bandits((parts[0],), tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    with pytest.raises(ConfigError, match="each run once"):
        bandits.main(bandits.Bandits((parts[0], parts[0]), tmp_path / "new"))
    capsys.readouterr()


def test_world_model_measures_gains_and_predictions(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("world_model", monkeypatch), tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["world_model.py", "there"])
    module.main(module.WorldModel((finished,), out=out, agents=1, episodes=2))
    capsys.readouterr()
    gains: Any = pd.read_csv(out / "gains.csv")
    assert set(gains["gain_of"]) == {"both"}  # the other baselines were not trained
    assert len(gains) == 2 * 5  # shots, coefficients
    assert (gains["low"] <= gains["gain"]).all() and (gains["gain"] <= gains["high"]).all()
    steps: Any = pd.read_parquet(out / "prediction.parquet")
    assert len(steps) == 2 * 2 * 4  # seeds, shots, steps
    assert (steps["divergence"] > -1e-4).all()
    # Nothing was tried yet: the agent pulls each of three arms with the same probability.
    np.testing.assert_allclose(steps["entropy"][steps["step"] == 0], np.log(3), rtol=1e-4)
    assert json.loads((out / "about.json").read_text())["command"] == "python world_model.py there"
    assert all((out / name).stat().st_size > 1000 for name in ("gains.png", "prediction.png"))
    for options in ({"agents": 0}, {"episodes": 0}):
        with pytest.raises(ConfigError, match=f"^--{next(iter(options))}: got 0"):
            module.main(module.WorldModel((finished,), out=tmp_path / "new", **options))
    assert not (tmp_path / "new").exists()


def test_adaptation_takes_the_gradient_step_and_the_memory_apart(tmp_path, monkeypatch, capsys):
    module, study, out = (
        load_experiment("adaptation", monkeypatch),
        tmp_path / "study",
        tmp_path / "out",
    )
    options = [*TINY, "--network.architecture", "arms", "--network.memory"]
    options += ["--principals", "mermaide", "reinforce", "--training.inner-learning-rate", "0.1"]
    assert main(["train", *options, "--out", str(study)]) == 0
    module.main(module.Adaptation((study,), out=out))
    table: Any = pd.read_csv(out / "adaptation.csv")
    assert list(table["way"]) == ["both", "gradient step alone", "memory alone"]
    assert set(table["principal"]) == {"mermaide"} and set(table["k_shot"]) == {1}
    np.testing.assert_allclose(table["gain"], table["score"] - table["zero_shot"], atol=1e-4)
    assert table["zero_shot"].nunique() == 1
    assert (out / "adaptation.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"^results: got \[\]"):
        module.main(module.Adaptation((), out=tmp_path / "other"))
    assert not (tmp_path / "other").exists()
    monkeypatch.setattr(module, "compare_ways", None)  # not before --out is known to be good
    with pytest.raises(ConfigError, match=r"^--out: got"):
        module.main(module.Adaptation((study,), out=out))
    capsys.readouterr()


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
    module.main(module.Protocols((finished, other), out=out))
    assert "split same" in capsys.readouterr().out
    scores = pd.read_csv(out / "protocols.csv")
    assert list(dict.fromkeys(scores["protocol"])) == ["base", "split same"]
    assert set(scores["principal"]) == {"mermaide", "reinforce", "never"}
    wide = scores.pivot_table(index=["principal", "k_shot"], columns="protocol", values="score")
    gain: Any = (wide["split same"] - wide["base"]).unstack()
    np.testing.assert_allclose(gain.loc["mermaide"], 100.0, rtol=1e-3)
    assert (gain.drop("mermaide") == 0).all(axis=None)
    wins: Any = pd.read_csv(out / "improvement.csv").set_index("protocol").loc["split same"]
    assert set(wins["baseline"]) == {"reinforce"} and (wins["value"] == 1).all()
    assert (out / "protocols.png").stat().st_size > 1000
    assert "versions" in json.loads((out / "about.json").read_text())
    for places in ((), (finished, finished)):
        with pytest.raises(ConfigError, match=r"^results: got"):
            module.main(module.Protocols(places, out=tmp_path / "new"))
    with pytest.raises(ConfigError, match=r"^--out: got"):
        monkeypatch.setattr(
            module, "compare_protocols", None
        )  # not before --out is known to be good
        module.main(module.Protocols((finished, other), out=out))


def test_beliefs_compares_the_world_model_with_an_observer(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("beliefs", monkeypatch), tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["beliefs.py", "there"])
    module.main(module.Beliefs(finished, out=out, particles=8, sweeps=1))
    capsys.readouterr()
    table: Any = pd.read_parquet(out / "beliefs.parquet")
    assert len(table) == 2 * 3 * 4  # agents, predictors, steps
    assert set(table["predictor"]) == set(module.COLORS) and set(table["k_shot"]) == {1}
    said = json.loads((out / "about.json").read_text())["summary"]
    means = table.groupby("predictor")["log_likelihood"].mean()
    assert [line["observer"] for line in said] == [module.STRANGER, module.INFORMED]
    for line in said:
        gap = means[line["observer"]] - means[module.MODEL]
        assert line["gap"] == pytest.approx(gap, abs=1e-4)
    assert (out / "beliefs.png").stat().st_size > 1000
    for change in ({"particles": 0}, {"sweeps": 0}):
        with pytest.raises(ConfigError, match=f"^--{next(iter(change))}: got 0"):
            module.main(module.Beliefs(finished, out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()


def test_watching_holds_the_principal_alone_and_with_exact_beliefs(
    finished, tmp_path, monkeypatch, capsys
):
    module, out = load_experiment("watching", monkeypatch), tmp_path / "out"
    options = {"principal": "mermaide", "episodes": 2, "particles": 4, "sweeps": 1}
    module.main(module.Watching(finished, out=out, **options))
    assert "and informed of the task, UCB, seed 1: played" in capsys.readouterr().out
    table: Any = pd.read_csv(out / "watching.csv")
    assert list(table["variant"]) == ["alone", "watching", "informed"]
    assert (table["runs"] == 4).all() and np.isfinite(table["score"]).all()
    # Alone it plays the very episodes of the study.
    rows = [
        row["score"]
        for row in read_results(finished).rows
        if (row["principal"], row["k_shot"]) == ("mermaide", 0)
    ]
    assert table["score"][0] == pytest.approx(interquartile_mean(rows), abs=1e-4)
    gains: Any = pd.read_csv(out / "gains.csv")
    assert list(gains["variant"]) == ["watching", "informed"]
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
        module.main(module.Watching(finished, out=tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


def test_planning_holds_every_world_model_with_and_without(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("planning", monkeypatch), tmp_path / "out"
    module.main(module.Planning((finished,), out=out, episodes=2, rollouts=2))
    assert "MERMAIDE, 1-shot, with planning, UCB, seed 1: played" in capsys.readouterr().out
    table: Any = pd.read_csv(out / "planning.csv")
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
            module.main(module.Planning((finished,), out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("name", "kind"), [("planning", "Planning"), ("timing", "Timing")])
def test_all_parts_are_checked_before_one_is_played(name, kind, finished, tmp_path, monkeypatch):
    module, (config, trained) = load_experiment(name, monkeypatch), load_study(finished)
    options = getattr(module, kind)
    other = dataclasses.replace(config, game=dataclasses.replace(config.game, kind="magnitude"))
    parts = {Path("good"): (config, trained), Path("bad"): (other, trained)}
    monkeypatch.setattr(finished_module, "load_study", parts.__getitem__)
    monkeypatch.setattr(module, "prepare_output", None)
    with pytest.raises(ConfigError, match=r"^kind: got 'magnitude', expected .*binary"):
        module.main(options(tuple(parts), out=tmp_path / "new"))
    with pytest.raises(ConfigError, match=r"^results: got \[\]"):
        module.main(options((), out=tmp_path / "new"))


def test_timing_tells_the_steps_that_are_paid_for(finished, tmp_path, monkeypatch, capsys):
    module, out = load_experiment("timing", monkeypatch), tmp_path / "out"
    module.main(module.Timing((finished,), out=out, episodes=2))
    said = capsys.readouterr().out
    assert "MERMAIDE, 1-shot, UCB, seed 1: played" in said and "paid_unless_hit" in said
    table: Any = pd.read_csv(out / "timing.csv")
    assert set(table["principal"]) == {"mermaide", "reinforce", "all_knowing"}
    assert len(table) == (2 * 2 + 1) * 4  # principals and shots, steps
    # Summed over steps it is what the study has of the very same episodes.
    rows: Any = pd.DataFrame(read_results(finished).rows)
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
            module.main(module.Timing((finished,), out=tmp_path / "new", **change))
    assert not (tmp_path / "new").exists()
