"""Ratios and sample needs of curves whose needs are known."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.studies.stackelberg.needs import over_seeds, payoff_ratio, sample_need

TIMES = (0, 1, 3, 7)


def test_ratio_is_of_the_means():
    np.testing.assert_allclose(payoff_ratio([[0.1, 0.3], [0.3, 0.5]], [0.25, 0.75]), [0.4, 0.8])


@pytest.mark.parametrize(
    ("curve", "need"),
    [
        ([0.96, 0.9, 0.9, 0.9], 0.0),
        ([0.0, 0.95, 1.0, 1.0], 1.0),
        ([0.0, 0.9, 1.0, 1.0], np.sqrt(8.0) - 1),  # half-way between 1 and 3 in log(1 + n)
        ([0.0, 0.1, 0.2, 0.3], np.inf),
    ],
)
def test_need_is_the_first_crossing(curve, need):
    np.testing.assert_allclose(sample_need(curve, TIMES), need, rtol=1e-12)
    np.testing.assert_allclose(sample_need([[curve]], TIMES), [[need]], rtol=1e-12)


def test_interval_is_that_of_the_mean_over_seeds():
    values = np.random.default_rng(0).normal(1.0, 0.1, 400)
    found = over_seeds(lambda x: x.mean(axis=1), values)
    assert found == over_seeds(lambda x: x.mean(axis=1), values)
    np.testing.assert_allclose(found.value, values.mean())
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(
        [found.low, found.high], found.value + half * np.array([-1, 1]), atol=2e-3
    )


def test_members_of_a_seed_stay_together():
    values = np.random.default_rng(0).normal(size=30)
    found = over_seeds(lambda x, y: (x - y).mean(axis=1), values, values)
    assert found == (0.0, 0.0, 0.0)


def test_needs_never_met_are_infinite_at_all_ends():
    found = over_seeds(lambda x: sample_need(x.mean(axis=1), TIMES), np.zeros((5, 4)))
    assert found == (np.inf, np.inf, np.inf)


def test_lengths_must_agree():
    with pytest.raises(ConfigError, match="ratio"):
        sample_need([0.0, 1.0], TIMES)
