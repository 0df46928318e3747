"""The Stackelberg experiment at a tiny size, from the command line to its files."""

import dataclasses
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from experiment_scripts import EXPERIMENTS

from mermaide_jax.results.findings import read_findings
from mermaide_jax.studies.stackelberg import study
from mermaide_jax.studies.stackelberg.sweep import PRINCIPALS, SweepConfig

FILES = ["about.json", "curves.parquet", "needs.png", "payoff.png"]


def tiny_games(options):
    """The headline alone, with few of everything."""
    config = SweepConfig(
        seeds=2, noises=(0.0, 0.5), test_agents=3, fresh_agents=2, interactions=(0, 1, 10, 20)
    )
    learning = dataclasses.replace(
        config.learning, updates=2, agents=2, queries=2, features=4, most_interactions=20
    )
    return [dataclasses.replace(config, learning=learning, fresh_interactions=20)]


def run_script(monkeypatch, *options):
    """The exit code of ``experiments/stackelberg.py`` with these options."""
    monkeypatch.setattr(sys, "argv", ["stackelberg.py", *options])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(EXPERIMENTS / "stackelberg.py"), run_name="__main__")
    return stop.value.code


def test_it_writes_tables_figures_and_the_finding(tmp_path, monkeypatch, capsys):
    out, findings = tmp_path / "out", tmp_path / "findings.json"
    monkeypatch.setattr(study, "games", tiny_games)
    assert run_script(monkeypatch, "--out", str(out), "--findings", str(findings)) == 0
    assert "meta" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == FILES

    table: Any = pd.read_parquet(out / "curves.parquet")
    assert len(table) == 2 * 2 * 3 * 4
    assert set(table["principal"]) == set(PRINCIPALS)
    assert np.isfinite(table[["payoff", "equilibrium", "bonus_error"]]).all(axis=None)
    assert (table["payoff"] <= table.groupby("seed")["equilibrium"].transform("max") + 1).all()
    # The test agents of a seed are the same at all noise levels and for both trained principals.
    trained = table[table["principal"] != "fresh"]
    assert (trained.groupby("seed")["equilibrium"].nunique() == 1).all()

    block, about = read_findings(findings)["F1"], json.loads((out / "about.json").read_text())
    assert block == about["F1"] and about["config"]["seeds"] == 10
    for key in ("payoff_ratio_at_10_interactions", "interactions_ratio_meta_over_fresh"):
        assert {"value", "low", "high", "command"} <= set(block[key])
        assert str(findings) in block[key]["command"]
    rows = table[(table["noise"] == 0) & (table["interactions"] == 10)]
    meta = rows[rows["principal"] == "meta"]
    ratio = meta["payoff"].mean() / meta["equilibrium"].mean()
    np.testing.assert_allclose(block["payoff_ratio_at_10_interactions"]["value"], ratio, rtol=1e-6)


def test_the_whole_experiment_has_the_declared_games():
    several = study.games(study.Experiment(out=Path("x")))
    assert [(s.learning.game.kind, s.learning.game.observe) for s in several] == [
        ("continuous", "rewards"),
        ("continuous", "actions"),
        ("binary", "rewards"),
        ("arm", "rewards"),
        ("magnitude", "rewards"),
    ]
    assert several[0].noises == (0.0, 0.1, 0.25, 0.5, 1.0)
    assert all(s.seeds >= 10 for s in several)
    reduced = study.games(study.Experiment(out=Path("x"), reduced=True))
    assert len(reduced) == 1


@pytest.mark.parametrize("options", [["--noises", "0.25"], ["--most", "5"], ["--seeds", "0"]])
def test_what_the_finding_needs_is_asked_for_before_any_work(
    options, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(study, "run", lambda sweeps: pytest.fail("it was begun"))
    places = ["--out", str(tmp_path / "out"), "--findings", str(tmp_path / "findings.json")]
    assert run_script(monkeypatch, *places, *options) == 2
    assert capsys.readouterr().err.startswith(f"error: {options[0]}: got ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"noises": (0.25,)}, {"most": 5}])
def test_without_the_finding_everything_else_is_written(change, tmp_path, monkeypatch, capsys):
    def few(asked):
        (config,) = tiny_games(asked)
        numbers = tuple(number for number in (0, 1, 10) if number <= asked.most)
        return [dataclasses.replace(config, noises=asked.noises[:1], interactions=numbers)]

    monkeypatch.setattr(study, "games", few)
    study.main(study.Experiment(out=tmp_path / "out", **change))
    assert "meta" in capsys.readouterr().out
    assert "F1" not in json.loads((tmp_path / "out" / "about.json").read_text())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


def test_if_the_finding_fails_the_tables_are_there(tmp_path, monkeypatch, capsys):
    def failing(*arguments):
        raise KeyError("no such row")

    monkeypatch.setattr(study, "games", tiny_games)
    monkeypatch.setattr(study, "finding", failing)
    with pytest.raises(KeyError, match="no such row"):
        study.main(study.Experiment(out=tmp_path / "out"))
    assert len(pd.read_parquet(tmp_path / "out" / "curves.parquet")) == 2 * 2 * 3 * 4
    capsys.readouterr()
