"""What it is worth to be informed of the agent, from end to end."""

import json
import shlex
from typing import Any

import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment

from mermaide_jax.cli import main
from mermaide_jax.results.results import read_results

TINY = shlex.split(
    """--preset smoke --seeds 2 --game.horizon 5 --game.num-arms 3 --agents.train 3
    --agents.test 2 --network.architecture arms --network.features 3 --training.updates 2
    --training.world-model-updates 0 --training.tasks-per-update 2 --training.episodes-per-task 2
    --evaluation.episodes 2 --evaluation.all-knowing-rollouts 2
    --principals world_model_without_meta never all_knowing"""
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The directory of a tiny study."""
    directory = tmp_path_factory.mktemp("study") / "out"
    assert main(["reproduce", *TINY, "--out", str(directory)]) == 0
    return directory


def test_the_table_holds_the_study_and_both_kinds_of_knowledge(
    study, tmp_path, monkeypatch, capsys
):
    module = load_experiment("informed", monkeypatch)
    module.main(module.Informed(study, out=tmp_path / "out", seeds=1))
    assert "ucb, informed of the state: 2 of 2" in capsys.readouterr().out
    table: Any = pd.read_csv(tmp_path / "out" / "informed.csv")
    assert list(table["family"]) == ["ucb"] * 3 + ["epsilon_greedy"] * 3
    assert list(table["informed_of"]) == ["nothing", "task", "state"] * 2
    assert np.isfinite(table["score"]).all() and (table["runs"] == 2).all()
    rows = [
        row["score"]
        for row in read_results(study).rows
        if (row["principal"], row["family"]) == ("world_model_without_meta", "ucb")
        and (row["k_shot"], row["seed"]) == (0, 0)
    ]
    assert table["score"][0] == pytest.approx(np.mean(rows), abs=1e-4)
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["seeds"] == [0]
    assert (tmp_path / "out" / "informed.png").stat().st_size > 1000
