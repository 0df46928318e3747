"""The sweep of costs at a tiny size, from the command line to its files."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment, run_experiment


@pytest.fixture
def module(monkeypatch):
    return load_experiment("cost_sweep", monkeypatch)


def test_where_payments_are_dear_whoever_may_choose_pays_nothing(
    module, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    options = ["--agents", "3", "--horizon", "4", "--costs", "0", "10"]
    assert run_experiment(module, module.Sweep, monkeypatch, "--out", str(out), *options) == 0
    capsys.readouterr()
    table = pd.read_csv(out / "cost_sweep.csv")
    assert len(table) == 2 * 4 * 2  # families, principals, costs
    by: Any = table.pivot_table("score", ["family", "cost"], "principal")
    dear = by.xs(10.0, level="cost")
    for name in ("prescient", "first k"):
        np.testing.assert_allclose(dear[name], dear["never"])
    assert (dear["always"] < dear["never"] - 30).all()
    assert (out / "cost_sweep.png").stat().st_size > 1000
    assert "--agents 3" in json.loads((out / "about.json").read_text())["command"]


@pytest.mark.parametrize(
    "options", [["--agents", "0"], ["--horizon", "0"], ["--costs", "-1"], ["--costs"]]
)
def test_bad_options_are_refused(module, options, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "out")
    assert run_experiment(module, module.Sweep, monkeypatch, "--out", out, *options) == 2
    assert f"{options[0]}: got " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
