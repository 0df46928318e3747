"""Shares of solved games."""

import numpy as np
import pandas as pd
import pytest

from mermaide_jax.report.small_games import share_of, shares_figure, shares_table


def test_where_nothing_is_to_be_had_there_is_no_share():
    table = pd.DataFrame({"script": [1.0, 1.0], "belief": [1.0, 1.5], "all_knowing": [1.0, 2.0]})
    nothing, something = (share_of(table.iloc[i : i + 1], "belief") for i in range(2))
    assert all(np.isnan(value) for value in nothing.values())
    assert set(something.values()) == {0.5}
    assert share_of(table, "belief")["belief_share"] == 0.5


def test_shares_are_of_sums_over_the_priors_of_a_game():
    game = {"family": "ucb", "arms": 2, "noise": 0.0, "horizon": 4, "tasks": 5}
    scores = [
        {"script": 1.0, "belief": 1.5, "informed": 2.0, "all_knowing": 2.0, "sees_draw": 3.0},
        {"script": 1.0, "belief": 1.0, "informed": 2.5, "all_knowing": 4.0, "sees_draw": 5.0},
    ]
    table = pd.DataFrame([game | line for line in scores] + [game | {"noise": 0.1} | scores[0]])
    shares = shares_table(table)
    assert list(shares["noise"]) == [0.0, 0.1]
    first = shares.iloc[0]
    assert (first["script"], first["all_knowing"]) == (1.0, 3.0)
    assert first["belief_share"] == pytest.approx(0.5 / 4)
    assert (first["belief_least"], first["belief_greatest"]) == (0.0, 0.5)
    assert first["informed_share"] == pytest.approx(2.5 / 4)
    figure = shares_figure(shares, tasks=5)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["UCB, 2 arms"]
    (legend,) = figure.legends
    assert len(legend.texts) == 2 * 2  # principals, noises
