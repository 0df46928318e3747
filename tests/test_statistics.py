"""Statistics against plain numpy: sorting, brute force over pairs, simulated coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mermaide_jax.errors import ConfigError
from mermaide_jax.statistics import (
    interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap_interval,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
VALUES = hnp.arrays(np.float64, st.integers(1, 60), elements=FINITE)


@given(VALUES)
def test_interquartile_mean_is_the_mean_of_the_sorted_middle(x):
    cut = len(x) // 4
    expected = np.mean(sorted(x)[cut : len(x) - cut])
    np.testing.assert_allclose(interquartile_mean(x), expected, rtol=1e-9, atol=1e-6)


def test_interquartile_mean_reduces_the_axis_asked_for():
    x = np.random.default_rng(0).normal(size=(5, 16, 3))
    got = interquartile_mean(x, axis=1)
    expected = [[interquartile_mean(x[i, :, j]) for j in range(3)] for i in range(5)]
    np.testing.assert_allclose(got, expected)
    np.testing.assert_allclose(interquartile_mean(x), interquartile_mean(x.ravel()))


def test_interquartile_mean_ignores_outliers():
    assert interquartile_mean([1.0, 2.0, 3.0, 1e9]) == 2.5


@given(
    hnp.arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 4)),
    hnp.arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 4)),
)
def test_probability_of_improvement_counts_every_pair(x, y):
    wins = np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y])
    assert probability_of_improvement(x, y) == pytest.approx(wins)
    assert probability_of_improvement(y, x) == pytest.approx(1 - wins)


def test_bootstrap_matches_a_plain_loop():
    rng = np.random.default_rng(1)
    strata = np.repeat(np.arange(6), 5)
    values = 10 * strata + rng.normal(size=30)
    low, high = stratified_bootstrap_interval(values, strata, resamples=4000)
    means = []
    for _ in range(4000):
        draw = [rng.choice(values[strata == s], size=5) for s in range(6)]
        pool = np.sort(np.concatenate(draw))
        means.append(pool[7:-7].mean())
    np.testing.assert_allclose([low, high], np.quantile(means, [0.025, 0.975]), atol=0.05)


def test_bootstrap_keeps_the_strata_apart():
    strata = np.repeat(["a", "b", "c", "d"], 3)
    values = np.repeat([0.0, 100.0, 200.0, 300.0], 3)
    assert stratified_bootstrap_interval(values, strata, statistic=np.mean) == (150.0, 150.0)


def test_bootstrap_of_a_single_seed_resamples_the_agents():
    values = np.random.default_rng(2).normal(size=12)
    one_seed = stratified_bootstrap_interval(values, np.arange(12))
    assert one_seed == stratified_bootstrap_interval(values, np.zeros(12, int))
    assert one_seed[0] < interquartile_mean(values) < one_seed[1]


def test_bootstrap_of_a_single_value_has_no_interval():
    assert np.isnan(stratified_bootstrap_interval([3.0], [0])).all()


def test_bootstrap_is_repeatable_and_the_seed_matters():
    values, strata = np.random.default_rng(3).normal(size=(40,)), np.repeat(np.arange(8), 5)
    assert stratified_bootstrap_interval(values, strata) == stratified_bootstrap_interval(
        values, strata
    )
    assert stratified_bootstrap_interval(values, strata) != stratified_bootstrap_interval(
        values, strata, seed=1
    )


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    offsets = np.array([-3.0, 0.0, 3.0])
    strata = np.repeat(np.arange(3), 20)
    hits = 0
    for _ in range(200):
        values = offsets[strata] + rng.normal(size=60)
        low, high = stratified_bootstrap_interval(values, strata, np.mean, resamples=400)
        hits += low <= 0.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"values": [], "strata": []}, "values"),
        ({"values": [1.0, np.nan], "strata": [0, 0]}, "values"),
        ({"values": [1.0, 2.0], "strata": [0]}, "strata"),
        ({"values": [1.0, 2.0], "strata": [0, 0], "confidence": 1.0}, "confidence"),
        ({"values": [1.0, 2.0], "strata": [0, 0], "resamples": 0}, "resamples"),
    ],
)
def test_bootstrap_refuses_bad_arguments_by_name(kwargs, name):
    with pytest.raises(ConfigError, match=rf"^{name}: got "):
        stratified_bootstrap_interval(**kwargs)


def test_empty_samples_are_refused():
    with pytest.raises(ConfigError, match=r"^x: got"):
        interquartile_mean([])
    with pytest.raises(ConfigError, match=r"^y: got"):
        probability_of_improvement([1.0], [])
