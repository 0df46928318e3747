"""Convergence of the upper references and pay-the-first-k in hindsight, at a tiny size."""

import json

import jax
import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment, run_experiment

from mermaide_jax import registry
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.principals import first_k
from mermaide_jax.studies.mermaide.setting import make_setting

CONVERGENCE = [
    *("--horizons", "4", "--widths", "16", "--rollouts", "2"),
    *("--agents", "5", "--episodes", "2", "--tuning-episodes", "2"),
]


@pytest.fixture
def convergence(monkeypatch):
    return load_experiment("oracle_convergence", monkeypatch)


def test_no_reference_beats_an_exhaustive_search(convergence, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    options = ["--out", str(out), *CONVERGENCE]
    assert run_experiment(convergence, convergence.Convergence, monkeypatch, *options) == 0
    capsys.readouterr()
    table = pd.read_csv(out / "oracle_convergence.csv")
    score = table.pivot_table("score", "family", "reference")
    assert set(score.index) == {"ucb", "epsilon_greedy"}
    # A beam of 16 holds all plans of four steps; who knows fewer draws cannot do better with the
    # same ones.
    for name in score.columns:
        assert np.all(score[name] <= score["beam_16"] + 1e-6), name
    assert np.all(table["low"] <= table["score"] + 1e-6)
    assert (out / "oracle_convergence.png").stat().st_size > 1000
    made = json.loads((out / "about.json").read_text())
    assert made["config"]["widths"] == [16]


@pytest.mark.parametrize(
    "options",
    [
        ["--horizons", "0"],
        ["--widths", "0"],
        ["--widths", "4", "4"],
        ["--rollouts", "1"],
        ["--agents", "0"],
        ["--agents", "6"],
        ["--episodes", "0"],
        ["--tuning-episodes", "0"],
    ],
)
def test_what_cannot_be_measured_is_refused(convergence, options, tmp_path, monkeypatch, capsys):
    given = ["--out", str(tmp_path / "out"), *options]
    assert run_experiment(convergence, convergence.Convergence, monkeypatch, *given) == 2
    assert f"{options[0]}: got " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_first_k_are_scored_as_a_loop_over_k_scores_them(monkeypatch, capsys):
    module = load_experiment("first_k", monkeypatch)
    assert run_experiment(module, module.FirstK, monkeypatch, "--preset", "smoke") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["k", "0", "5", "10", "15", "20"]
    assert [line.split()[-6] for line in lines] == ["train", "test"] * 2
    setting = make_setting(registry.get("preset", "smoke").value)
    tasks = jax.tree.map(lambda leaf: leaf[0], setting.test["ucb"])
    principal = first_k(setting.game.pay_target)
    for k, printed in zip(range(0, 21, 5), lines[1].split()[-5:], strict=True):
        key = jax.random.key(0)
        score = evaluate(key, setting.game, principal, np.int32(k), tasks, 32).score
        assert float(printed) == pytest.approx(float(np.mean(score)), abs=0.006)


def test_an_unknown_preset_is_refused(monkeypatch, capsys):
    module = load_experiment("first_k", monkeypatch)
    assert run_experiment(module, module.FirstK, monkeypatch, "--preset", "slow") == 2
    assert "--preset: got 'slow'" in capsys.readouterr().err
