"""Gains by hand: over 0-shot, over the same principal alone, over baselines by coefficient."""

from typing import Any

import numpy as np
import pytest

from mermaide_jax.report.gains import (
    coefficient_gains,
    coefficient_gains_figure,
    shot_gains,
    shot_gains_figure,
    variant_comparison,
    variant_gains_figure,
)
from mermaide_jax.results.schema import ROW_COLUMNS

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}


def rows_of(scores, shots=0, **about):
    """Rows of ``scores[agent][seed]``."""
    blank = BLANK | {"principal": "mermaide", "family": "ucb", "k_shot": shots} | about
    return [
        blank | {"agent": agent, "seed": seed, "score": float(score), "interventions": 2.0}
        for agent, row in enumerate(scores)
        for seed, score in enumerate(row)
    ]


def test_gains_over_zero_shot_are_differences_of_interquartile_means():
    rows = rows_of([[0, 1], [2, 50]]) + rows_of([[1, 9], [4, 6]], 1) + rows_of([[3, 3], [3, 3]], 5)
    table: Any = shot_gains({("mermaide", "both"): rows, ("mermaide", "memory"): rows})
    assert list(table["way"]) == ["both"] * 2 + ["memory"] * 2
    assert list(table["k_shot"]) == [1, 5] * 2
    np.testing.assert_allclose(table["zero_shot"], 1.5)
    np.testing.assert_allclose(table["score"], [5.0, 3.0] * 2)
    np.testing.assert_allclose(table["gain"], [3.5, 1.5] * 2)
    assert (table["low"] <= table["gain"]).all() and (table["seeds"] == 2).all()
    figure = shot_gains_figure(table)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "MERMAIDE\nUCB"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "5"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["both", "memory"]


def test_a_variant_is_compared_with_the_principal_alone():
    alone = rows_of([[0, 1], [2, 50]]) + rows_of([[0, 0], [0, 0]], 1)
    better = [row | {"score": row["score"] + 2.0, "interventions": 1.0} for row in alone]
    table = variant_comparison({"mermaide": (alone, better)}, "planning")
    assert list(table["principal"]) == ["mermaide"] * 2 and list(table["k_shot"]) == [0, 1]
    np.testing.assert_allclose(table["gain"], 2.0)
    np.testing.assert_allclose(table["mean_gain"], 2.0)
    np.testing.assert_allclose(table["score_alone"], [1.5, 0.0])
    np.testing.assert_allclose(table["score_planning"], [3.5, 2.0])
    np.testing.assert_allclose(table["interventions_alone"], 2.0)
    np.testing.assert_allclose(table["interventions_planning"], 1.0)
    (axes,) = variant_gains_figure(table, "gain by planning").axes
    assert axes.get_ylabel() == "gain by planning"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0-shot", "1-shot"]


def test_gains_by_coefficient_are_means_over_seeds_and_agents():
    scores = []
    for seed in range(2):
        for agent, coefficient in enumerate((0.1, 0.2, 0.1, 0.2)):
            about = {"family": "ucb", "k_shot": 0, "seed": seed, "agent": agent}
            about |= {"coefficient": coefficient}
            gain = 1.0 + seed if coefficient == 0.1 else 5.0
            scores.append(about | {"principal": "mermaide", "score": 10.0 + gain})
            scores.append(about | {"principal": "reinforce", "score": 10.0})
    over = {"both": "reinforce", "meta-learning": "world_model_without_meta"}
    table: Any = coefficient_gains(scores, "mermaide", over)
    assert list(table["gain_of"]) == ["both"] * 2  # nobody without meta-learning
    assert table.set_index("coefficient")["gain"].to_dict() == pytest.approx({0.1: 1.5, 0.2: 5.0})
    assert (table["low"] <= table["gain"]).all() and (table["gain"] <= table["high"]).all()
    figure = coefficient_gains_figure(table)
    assert figure.axes[0].get_title(loc="left") == "UCB, 0-shot"
    assert figure.axes[-1].get_xlabel() == "beta"
