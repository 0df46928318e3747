"""The share of the attainable, by hand."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.statistics import (
    attainable_share,
    bootstrap_interval,
    interquartile_mean,
    mean,
)

MODES = ("runs", "runs within agents", "agents", "runs and agents")


def column(values):
    """Runs of one agent."""
    return np.asarray(values, float)[:, None]


def test_by_hand():
    # interquartile means: of 1, 2, 3, 10 it is 2.5; of 0, 1, 1, 0 it is 0.5; of 4, 4, 5, 5 4.5
    got = attainable_share([[1, 2], [3, 10]], [[0, 1], [1, 0]], [[4, 4], [5, 5]])
    assert got.value == pytest.approx((2.5 - 0.5) / (4.5 - 0.5)) == 0.5


def test_with_the_mean_and_single_numbers():
    got = attainable_share(column([1.0, 3.0, 8.0]), 2.0, 10.0, statistic=mean)
    assert got.value == pytest.approx((4.0 - 2.0) / 8.0)
    assert got == attainable_share(column([1.0, 3.0, 8.0]), 2.0, 10.0, statistic=np.mean)


@pytest.mark.parametrize(("scores", "share"), [([2.0, 2.0], 0), ([6.0, 6.0], 1), ([0, 0], -0.5)])
@pytest.mark.parametrize("resample", MODES)
def test_script_is_zero_and_oracle_one(scores, share, resample):
    got = attainable_share(np.tile(scores, (2, 1)), 2.0, 6.0, resample)
    assert got == (share, share, share)


@pytest.mark.parametrize("resample", MODES)
def test_a_principal_that_differs_by_a_constant_has_no_spread(resample):
    """Cells are drawn for all three together: what they share cancels."""
    ease = np.random.default_rng(0).normal(size=(5, 4)) * 100
    got = attainable_share(ease + 1, ease, ease + 4, resample, statistic=mean)
    np.testing.assert_allclose(got, 0.25, atol=1e-9)


@pytest.mark.parametrize("resample", MODES)
def test_with_fixed_ends_the_interval_is_that_of_the_score_rescaled(resample):
    scores = np.arange(5) + np.random.default_rng(1).normal(size=(8, 5))
    got = attainable_share(scores, 1.0, 5.0, resample)
    of_score = bootstrap_interval(
        lambda x: interquartile_mean(x, axis=(1, 2)), scores, resample=resample
    )
    np.testing.assert_allclose(got, (np.array(of_score) - 1) / 4, rtol=1e-12)
    assert got.low < got.value < got.high


def test_missing_runs_are_missing_from_all_three():
    rng = np.random.default_rng(3)
    scores, base, top = rng.normal(size=(3, 6, 4)) + np.array([2.0, 0.0, 5.0])[:, None, None]
    for part in (scores, base, top):
        part[2, 1] = np.nan
    there = ~np.isnan(scores)
    own, low, high = (np.sort(x[there])[5:-5].mean() for x in (scores, base, top))
    assert attainable_share(scores, base, top).value == pytest.approx((own - low) / (high - low))
    fixed = attainable_share(scores, 0.0, 5.0)  # one number has the gaps of the scores
    assert fixed.value == pytest.approx(own / 5) and np.isfinite(fixed).all()


def test_same_seed_same_interval():
    scores = np.random.default_rng(2).normal(size=(6, 2))
    first, again, other = (attainable_share(scores, -3.0, 3.0, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_no_interval_where_there_is_none():
    single = attainable_share([[3.0]], 1.0, 5.0)
    assert single.value == 0.5 and np.isnan(single[1:]).all()
    # Above on average, but a resample may well hold only the runs where it is below.
    base, top = column([0, 5, 0, 5]), column([6, 4, 6, 4])
    unsure = attainable_share(column([1, 2, 3, 4]), base, top, statistic=mean)
    assert np.isfinite(unsure.value) and np.isnan(unsure[1:]).all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([[1.0, 2.0]], 3.0, 3.0), "oracle: got 3.0, expected more than the best scripted"),
        (([[1.0, 2.0]], 3.0, 2.0), "oracle: got 2.0"),
        (([[]], 0.0, 1.0), r"scores: got \(1, 0\), expected a table \[R, N\]"),
        (([1.0, 2.0], 0.0, 1.0), r"scores: got \(2,\), expected a table \[R, N\]"),
        (([[1.0, -np.inf]], 0.0, 1.0), "scores: got -inf"),
        (([[1.0, 2.0]], [[0.0]], 1.0), r"best_scripted: got \(1, 1\), expected one number or"),
        (([[1.0, 2.0]], 0.0, np.inf), "oracle: got inf, expected finite numbers"),
        (([[np.nan, np.nan]], 0.0, 1.0), "oracle: got nan, expected more than"),
        (([[1.0, 2.0]], 0.0, 1.0, "seeds"), "resample: got 'seeds'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=f"^{named}"):
        attainable_share(*arguments)


@pytest.mark.parametrize("option", [{"confidence": 1.0}, {"resamples": 0}])
def test_bad_options_are_refused_by_name(option):
    with pytest.raises(ConfigError, match=f"^{next(iter(option))}"):
        attainable_share([[1.0, 2.0]], 0.0, 1.0, **option)
