"""The share of the attainable, by hand."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.evaluation.attainable import attainable_share
from mermaide_jax.statistics import interquartile_mean, stratified_bootstrap_interval


def test_by_hand():
    # interquartile means: of 1, 2, 3, 10 it is 2.5; of 0, 1, 1, 0 it is 0.5; of 4, 4, 5, 5 4.5
    got = attainable_share([1, 2, 3, 10], [0, 1, 1, 0], [4, 4, 5, 5])
    assert got.share == pytest.approx((2.5 - 0.5) / (4.5 - 0.5)) == 0.5


def test_with_the_mean_and_single_numbers():
    got = attainable_share([1.0, 3.0, 8.0], 2.0, 10.0, statistic=np.mean)
    assert got.share == pytest.approx((4.0 - 2.0) / 8.0)


@pytest.mark.parametrize(("scores", "share"), [([2.0, 2.0], 0), ([6.0, 6.0], 1), ([0, 0], -0.5)])
def test_script_is_zero_and_oracle_one(scores, share):
    got = attainable_share(scores, 2.0, 6.0)
    assert got == (share, share, share)


def test_a_principal_that_differs_by_a_constant_has_no_spread():
    """Runs are resampled for all three together: what they share cancels."""
    ease = np.random.default_rng(0).normal(size=20) * 100
    got = attainable_share(ease + 1, ease, ease + 4, statistic=np.mean)
    np.testing.assert_allclose(got, 0.25, atol=1e-9)


def test_with_fixed_ends_the_interval_is_that_of_the_score_rescaled():
    rng = np.random.default_rng(1)
    strata = np.repeat(np.arange(5), 8)
    scores = strata + rng.normal(size=40)
    got = attainable_share(scores, 1.0, 5.0, strata, resamples=4000)
    low, high = stratified_bootstrap_interval(scores, strata, resamples=4000)
    assert got.share == pytest.approx((interquartile_mean(scores) - 1) / 4)
    assert got.low == pytest.approx((low - 1) / 4, abs=0.01)
    assert got.high == pytest.approx((high - 1) / 4, abs=0.01)
    assert got.low < got.share < got.high
    wide = attainable_share(scores, 1.0, 5.0, resamples=4000)
    assert wide.high - wide.low > 1.3 * (got.high - got.low)


def test_strata_of_one_run_are_resampled_together():
    scores = np.arange(8.0)
    assert attainable_share(scores, -1.0, 9.0, np.arange(8)) == attainable_share(scores, -1.0, 9.0)


def test_same_seed_same_interval():
    scores = np.random.default_rng(2).normal(size=12)
    first, again, other = (attainable_share(scores, -3.0, 3.0, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_no_interval_where_there_is_none():
    single = attainable_share([3.0], [1.0], [5.0])
    assert single.share == 0.5 and np.isnan(single[1:]).all()
    # Above on average, but a resample may well hold only the runs where it is below.
    unsure = attainable_share([1.0, 2, 3, 4], [0, 5, 0, 5], [6, 4, 6, 4], statistic=np.mean)
    assert np.isfinite(unsure.share) and np.isnan(unsure[1:]).all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([1.0, 2.0], 3.0, 3.0), "oracle: got 3.0, expected more than the best scripted"),
        (([1.0, 2.0], 3.0, 2.0), "oracle: got 2.0"),
        (([], 0.0, 1.0), "scores: got"),
        (([[1.0]], 0.0, 1.0), "scores: got"),
        (([1.0, np.nan], 0.0, 1.0), "scores: got nan"),
        (([1.0, 2.0], [0.0], 1.0), "best_scripted: got"),
        (([1.0, 2.0], 0.0, np.inf), "oracle: got inf"),
        (([1.0, 2.0], 0.0, 1.0, [0]), "strata: got"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=f"^{named}"):
        attainable_share(*arguments)


@pytest.mark.parametrize("option", [{"confidence": 1.0}, {"resamples": 0}])
def test_bad_options_are_refused_by_name(option):
    with pytest.raises(ConfigError, match=f"^{next(iter(option))}"):
        attainable_share([1.0, 2.0], 0.0, 1.0, **option)
