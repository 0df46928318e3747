"""Convergence of references: means with intervals, and the figure."""

import numpy as np
import pandas as pd
import pytest

from mermaide_jax.report.convergence import convergence_figure, score_summary


def test_scores_are_averaged_over_agents_and_episodes():
    scores = np.array([[1.0, 3.0], [5.0, 11.0]])
    found = score_summary(scores)
    assert (found["score"], found["interquartile_mean"]) == (5.0, 4.0)
    # Episodes are drawn within agents: 1 to 3 for the one, 5 to 11 for the other.
    assert (found["low"], found["high"]) == pytest.approx((3.0, 7.0))


def test_planners_have_lines_and_the_tuned_are_levels():
    names = ("prescient", "prescient_each", "guided_each", "rule_each")
    searched = {"beam_1": 2.0, "beam_4": 3.0, "rollouts_2": 1.0, "rollouts_8": 1.5}
    scores = {name: 0.5 for name in names} | searched
    table = pd.DataFrame(
        {"family": family, "horizon": horizon, "reference": name}
        | {"score": score + horizon, "low": score, "high": score + 2 * horizon}
        for family in ("ucb", "epsilon_greedy")
        for horizon in (4, 8)
        for name, score in scores.items()
    )
    figure = convergence_figure(table)
    beam, _, rollouts, _ = figure.axes
    assert beam.get_title(loc="left") == "UCB agents" and beam.get_xscale() == "log"
    first, second = (line for line in beam.lines if np.ptp(np.asarray(line.get_ydata())) > 0)
    np.testing.assert_allclose(np.asarray(first.get_xdata()), [1, 4])
    heights = np.stack([np.asarray(line.get_ydata()) for line in (first, second)])
    np.testing.assert_allclose(heights, [[6, 7], [10, 11]])
    assert len(beam.lines) == 2 * (1 + 3) and len(rollouts.lines) == 2 * (1 + 1)
