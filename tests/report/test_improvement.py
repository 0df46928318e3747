"""Probability of improvement: against counting by hand and SciPy's Mann-Whitney statistic."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.improvement import improvement_records
from mermaide_jax.results.schema import ROW_COLUMNS

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}


def rows_of(principal, scores):
    """Rows of ``scores[agent][seed]``."""
    return [
        BLANK | {"principal": principal, "agent": agent, "seed": seed, "score": float(score)}
        for agent, row in enumerate(scores)
        for seed, score in enumerate(row)
    ]


def compare(x, y, **options):
    rows = rows_of("mermaide", x) + rows_of("reinforce", y)
    (record,) = improvement_records(rows, ["reinforce"], **options)
    return record


def test_counts_wins_of_each_agent_and_averages():
    record = compare([[3, 1], [5, 5]], [[2, 0], [5, 7]])
    # first agent: 3>2, 3>0, 1<2, 1>0; second: 5=5, 5<7, twice
    assert record["value"] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert record["low"] <= record["value"] <= record["high"]
    assert record["seeds"] == 2


def test_is_the_mann_whitney_statistic_of_each_agent():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (4, 6)), rng.integers(0, 5, (4, 9))
    expected = np.mean([np.asarray(mannwhitneyu(a, b))[0] / 54 for a, b in zip(x, y, strict=True)])
    assert compare(x, y)["value"] == pytest.approx(expected)


def test_intervals_are_over_runs_not_over_agents():
    # One lucky run with every agent: fifty agents do not make it certain.
    record = compare([[2.0, 0.0]] * 50, [[1.0, 1.0]] * 50)
    assert (record["value"], record["low"], record["high"]) == (0.5, 0.0, 1.0)


def test_coverage_of_the_interval():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(100):
        x, y = rng.normal(0.5, 1, (1, 12)), rng.normal(0, 1, (1, 12))
        record = compare(x, y, resamples=400)
        inside += record["low"] <= 0.638 <= record["high"]  # Phi(0.5 / sqrt 2)
    assert 85 <= inside <= 100


def test_certain_wins_and_a_single_seed():
    record = compare([[2, 3]], [[0, 1]])
    assert (record["value"], record["low"], record["high"]) == (1, 1, 1)
    assert compare([[2]], [[1]])["low"] is None


def test_refuses_what_cannot_be_compared():
    rows = rows_of("reinforce", [[1, 2]])
    with pytest.raises(ConfigError, match="principal: got 'mermaide'"):
        improvement_records(rows, ["reinforce"])
    other = [row | {"coefficient": 0.5} for row in rows_of("mermaide", [[1, 2]])]
    with pytest.raises(ConfigError, match="same agents"):
        improvement_records(rows + other, ["reinforce"])
    broken = [[1, np.nan], [np.nan, 2]]  # each run scored with one of the two agents
    with pytest.raises(ConfigError, match="no training run scored with every agent"):
        compare(broken, [[1, 2], [1, 2]])
    with pytest.raises(ConfigError, match="confidence"):
        compare([[1]], [[2]], confidence=1.0)
    assert improvement_records(rows_of("mermaide", [[1]]), ["reinforce"]) == []
