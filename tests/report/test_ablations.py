"""Differences of variants by hand, and their figure."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.ablations import ablation_figure, paired_differences
from mermaide_jax.results.schema import ROW_COLUMNS

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}


def rows_of(scores, seeds=None):
    """Rows of ``scores[agent][seed]``."""
    return [
        BLANK | {"principal": "mermaide", "agent": agent, "seed": seed, "score": float(score)}
        for agent, row in enumerate(scores)
        for seed, score in zip(seeds or range(len(row)), row, strict=True)
    ]


def test_difference_is_that_of_interquartile_means():
    own, base = rows_of([[1, 9], [4, 6]]), rows_of([[0, 1], [2, 50]])
    (line,) = paired_differences(own, base)
    # The middle two: (4 + 6) / 2 and (1 + 2) / 2. The mean of differences would be -8.25.
    assert line["difference"] == pytest.approx(5 - 1.5)
    # Seed 0 drawn twice: 2.5 - 1; seed 1 drawn twice: 7.5 - 25.5; each once: as above.
    assert (line["low"], line["high"]) == pytest.approx((-18, 3.5))
    assert line["seeds"] == 2


def test_interval_pairs_the_seeds_and_draws_runs_not_agents():
    scores = np.array([[0.0, 10.0, 30.0, -7.0]] * 3)
    (shifted,) = paired_differences(rows_of(scores + 1), rows_of(scores))
    assert [shifted[k] for k in ("difference", "low", "high")] == pytest.approx([1, 1, 1])
    # One run of four gained, with every agent: forty agents do not make it certain.
    lucky = np.array([[4.0, 0.0, 0.0, 0.0]] * 40)
    (line,) = paired_differences(rows_of(lucky), rows_of(0 * lucky))
    assert (line["difference"], line["low"], line["high"]) == (0.0, 0.0, 4.0)


def test_only_seeds_of_both_count_and_one_seed_has_no_interval():
    own, base = rows_of([[5, 7]], [0, 1]), rows_of([[100, 4]], [2, 1])
    (line,) = paired_differences(own, base)
    assert (line["difference"], line["seeds"]) == (3.0, 1)
    assert np.isnan([line["low"], line["high"]]).all()
    with pytest.raises(ConfigError, match="the same seeds and agents"):
        paired_differences(own, rows_of([[1]], [5]))


def test_the_figure_shows_scores_or_shares():
    about = {"family": "ucb", "k_shot": 0, "low": 1.0, "high": 2.0, "score": 1.5}
    about |= {"attained": 0.1, "attained_low": 0.0, "attained_high": 0.2}
    records = [
        about | {"group": group, "variant": "v", "same_game": same}
        for group, same in (("base", True), ("width", True), ("cost", False))
    ]
    figure = ablation_figure(records, {"width": "Width", "cost": "Cost"})
    assert [axes.get_xlabel() for axes in figure.axes] == ["score", "share of the attainable"]
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Width: UCB", "Cost: UCB"]
