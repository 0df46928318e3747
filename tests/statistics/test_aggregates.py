"""Aggregates against plain Python: sorting, brute force over pairs, SciPy's Mann-Whitney."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import mannwhitneyu

from mermaide_jax.errors import ConfigError
from mermaide_jax.statistics import interquartile_mean, mean, probability_of_improvement

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
VALUES = hnp.arrays(np.float64, st.integers(1, 60), elements=FINITE)
SOME_MISSING = hnp.arrays(np.float64, st.integers(1, 30), elements=FINITE | st.just(np.nan))


def middle(x):
    """Mean of the middle half of the values that are there, NaN if there is none."""
    there = sorted(value for value in x if value == value)
    cut = len(there) // 4
    kept = there[cut : len(there) - cut]
    return sum(kept) / len(kept) if kept else np.nan


@given(VALUES)
def test_interquartile_mean_is_the_mean_of_the_sorted_middle(x):
    np.testing.assert_allclose(interquartile_mean(x), middle(x), rtol=1e-9, atol=1e-6)


@given(SOME_MISSING)
def test_what_is_missing_is_left_out(x):
    np.testing.assert_allclose(interquartile_mean(x), middle(x), rtol=1e-9, atol=1e-6)
    there = x[~np.isnan(x)]
    expected = np.mean(there) if there.size else np.nan
    np.testing.assert_allclose(mean(x), expected, rtol=1e-9, atol=1e-6)


def test_missing_values_may_lie_elsewhere_in_each_slice():
    x = np.random.default_rng(0).normal(size=(6, 17))
    x[np.random.default_rng(1).random(x.shape) < 0.4] = np.nan
    x[2] = np.nan
    np.testing.assert_allclose(interquartile_mean(x, axis=1), [middle(row) for row in x])
    np.testing.assert_allclose(mean(x, axis=1)[[0, 1, 3]], np.nanmean(x[[0, 1, 3]], axis=1))
    assert np.isnan(mean(x, axis=1)[2])


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (2, 0), (-2, -1), (0, 1, 2), None])
@pytest.mark.parametrize("layout", [lambda x: x, np.asfortranarray, lambda x: x[:, ::-1]])
def test_axes_are_reduced_as_numpy_does(axis, layout):
    x = layout(np.random.default_rng(0).normal(size=(5, 16, 3)))
    np.testing.assert_allclose(mean(x, axis), np.mean(x, axis))
    axes = tuple(range(3)) if axis is None else tuple(np.atleast_1d(axis) % 3)
    rest = [i for i in range(3) if i not in axes]
    expected = [middle(x.transpose(*rest, *axes)[i].ravel()) for i in np.ndindex(*_at(x, rest))]
    np.testing.assert_allclose(np.ravel(interquartile_mean(x, axis)), expected)
    assert np.shape(interquartile_mean(x, axis)) == _at(x, rest)


def _at(x, axes):
    return tuple(x.shape[i] for i in axes)


def test_interquartile_mean_ignores_outliers():
    assert interquartile_mean([1.0, 2.0, 3.0, 1e9]) == 2.5


SMALL = hnp.arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 4))


@given(SMALL, SMALL)
def test_probability_of_improvement_counts_every_pair(x, y):
    wins = np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y])
    assert probability_of_improvement(x, y) == pytest.approx(wins)
    assert probability_of_improvement(y, x) == pytest.approx(1 - wins)


def test_probability_of_improvement_is_the_mann_whitney_statistic_of_each_agent():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (2, 9, 4)), rng.integers(0, 6, (2, 7, 4))
    expected = np.asarray(mannwhitneyu(x, y, axis=1))[0] / (9 * 7)
    np.testing.assert_allclose(probability_of_improvement(x, y, axis=1), expected)
    pooled = probability_of_improvement(x[0], y[0])
    assert pooled == pytest.approx(
        np.asarray(mannwhitneyu(x[0].ravel(), y[0].ravel()))[0] / (36 * 28)
    )


def test_missing_runs_make_no_pairs():
    x, y = np.array([[3.0, 1.0], [np.nan, 1.0]]), np.array([[2.0, np.nan], [4.0, np.nan]])
    np.testing.assert_array_equal(probability_of_improvement(x, y, axis=0), [0.5, np.nan])


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: mean([]), r"x: got \[\], expected at least one value"),
        (lambda: interquartile_mean(np.zeros((0, 3))), r"x: got \[\], expected at least"),
        (lambda: probability_of_improvement([1.0], []), r"y: got \[\], expected at least one"),
        (
            lambda: probability_of_improvement(np.ones((2, 3)), np.ones((2, 4)), axis=0),
            r"y: got \(2, 4\), expected the shape of x, \(2, 3\), but for the axis of runs",
        ),
    ],
)
def test_what_cannot_be_aggregated_is_refused_in_a_line(call, line):
    with pytest.raises(ConfigError, match=f"^{line}"):
        call()


def test_an_axis_that_is_not_there_is_an_error():
    with pytest.raises((IndexError, ValueError)):
        mean(np.ones((2, 3)), axis=2)
