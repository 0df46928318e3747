"""Small games from end to end: the order of those who know more, and what is written."""

import itertools
import json
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment

from mermaide_jax.errors import ConfigError


@pytest.fixture
def module(monkeypatch):
    """The experiment."""
    return load_experiment("small_games", monkeypatch)


def test_who_knows_more_earns_more_and_it_is_written(module, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["small_games.py", "there"])
    config = module.SmallGames(
        (2,), (5,), (5,), tasks=5, other_tasks=(10,), compared=2, seeds=2, out=out
    )
    module.main(config)
    capsys.readouterr()
    table: Any = pd.read_csv(out / "small_games.csv")
    assert len(table) == 2 * 2 * (1 + 1) * 2  # families, noises, games, seeds
    for less, more in itertools.pairwise(
        ("script", "belief", "informed", "all_knowing", "sees_draw")
    ):
        assert (table[less] <= table[more] + 2e-5).all(), (less, more)
    longest = table[table["horizon"] == 5]
    quiet, noisy = (longest[longest["noise"] == noise] for noise in (0, 0.1))
    np.testing.assert_allclose(quiet["informed"], quiet["all_knowing"], rtol=0, atol=2e-5)
    assert (noisy["informed"] < noisy["all_knowing"] - 1e-3).all()
    assert (longest["belief"] < longest["informed"] - 1e-3).all()
    shares = pd.read_csv(out / "shares.csv")
    assert len(shares) == len(table) / 2
    row = shares[(shares["horizon"] == 5) & (shares["noise"] == 0.1)].iloc[0]
    of_row = noisy[noisy["family"] == row["family"]]
    gain = (of_row["belief"] - of_row["script"]).sum()
    most = (of_row["all_knowing"] - of_row["script"]).sum()
    assert row["belief_share"] == pytest.approx(gain / most, abs=1e-3)
    assert row["belief_least"] <= row["belief_share"] <= row["belief_greatest"] < 1
    about = json.loads((out / "about.json").read_text())
    assert about["command"] == "python small_games.py there" and about["config"]["seeds"] == 2
    assert (out / "small_games.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match=r"--out: got"):
        module.main(config)
    with pytest.raises(ConfigError, match=r"--noisy-limits: got"):
        module.main(module.SmallGames((2, 3), noisy_limits=(4,), out=tmp_path / "new"))
    assert not (tmp_path / "new").exists()
