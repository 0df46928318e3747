"""Thompson sampling against its posterior."""

import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
import scipy.integrate
import scipy.stats
from streams import keys, play

from mermaide_jax.agents import (
    SampleMeans,
    ThompsonParams,
    thompson,
    thompson_draw,
    thompson_probabilities,
)


def test_draws_have_the_posterior_mean_and_width():
    state = SampleMeans(counts=jnp.float32([1, 4, 0, 9]), means=jnp.float32([0.5, 0.25, 0, 1]))
    draw = thompson_draw(jnp.float32([0.3, -2, 1, 0.5]), 0.6, state)
    np.testing.assert_allclose(draw, [0.5 + 0.18, 0.25 - 0.6, np.inf, 1 + 0.1], rtol=1e-6)


def test_choices_are_as_likely_as_the_posterior_says():
    state = SampleMeans(counts=jnp.float32([4, 9]), means=jnp.float32([0.5, 0.4]))
    act = jax.jit(
        jax.vmap(lambda key: thompson(2).act(key, ThompsonParams(0.6), state, jnp.zeros(2)))
    )
    second = int(np.sum(act(keys(0, 20_000))))
    spread = 0.6 * np.sqrt(1 / 4 + 1 / 9)
    oracles.assert_binomial(second, 20_000, float(scipy.stats.norm.cdf(-0.1 / spread)))


def test_untried_arms_come_first_in_any_order_and_ties_are_fair():
    run = lambda key: play(thompson(3), key, ThompsonParams(0.0), np.ones((4, 3), np.float32))[0]  # noqa: E731
    actions = np.asarray(jax.jit(jax.vmap(run))(keys(3, 6_000)))
    orders = Counter(map(tuple, actions[:, :3].tolist()))
    assert set(orders) == set(itertools.permutations(range(3)))
    oracles.assert_equally_likely(list(orders.values()))
    oracles.assert_equally_likely(np.bincount(actions[:, 3], minlength=3))


law = jax.jit(thompson_probabilities)


@pytest.mark.parametrize("seed", range(8))
def test_probabilities_equal_an_integral_of_scipy(seed):
    """Arms of very different counts, by adaptive quadrature in double precision."""
    rng = np.random.default_rng(seed)
    number, scale = rng.integers(2, 5), 10 ** rng.uniform(-1.5, 0.5)
    counts = np.floor(10 ** rng.uniform(0, 3, number))
    means = rng.normal(size=number) * 0.3 * (seed % 3 > 0)
    widths = scale / np.sqrt(counts)

    def integrand(x, arm):
        others = np.arange(number) != arm
        below = scipy.stats.norm.cdf((x - means[others]) / widths[others]).prod()
        return scipy.stats.norm.pdf((x - means[arm]) / widths[arm]) / widths[arm] * below

    cuts = np.sort((means + np.outer([-8, -4, -2, 0, 2, 4, 8], widths)).ravel())
    exact = [
        sum(
            scipy.integrate.quad(integrand, low, high, (arm,), epsabs=1e-10)[0]
            for low, high in itertools.pairwise(cuts)
        )
        for arm in range(number)
    ]
    state = SampleMeans(counts=jnp.float32(counts), means=jnp.float32(means))
    np.testing.assert_allclose(law(np.float32(scale), state), exact, rtol=0, atol=2e-6)


def test_probabilities_with_untried_arms_or_without_width():
    state = SampleMeans(counts=jnp.float32([2, 0, 0]), means=jnp.float32([1, 0, 0]))
    np.testing.assert_array_equal(law(0.5, state), [0, 0.5, 0.5])
    state = SampleMeans(counts=jnp.float32([2, 1, 9]), means=jnp.float32([1, 0, 1]))
    np.testing.assert_array_equal(law(0.0, state), [0.5, 0, 0.5])
    narrow = SampleMeans(counts=jnp.float32([2, 1, 9]), means=jnp.float32([1, 0, 2]))
    np.testing.assert_allclose(law(1e-6, narrow), [0, 0, 1], atol=1e-6)
