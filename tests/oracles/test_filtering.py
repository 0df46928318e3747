"""Beliefs about a UCB agent, against rejection sampling by plain numpy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mermaide_jax.errors import ConfigError
from mermaide_jax.oracles import UCBPrior, ucb_beliefs
from mermaide_jax.oracles.filtering_moves import truncated_normal

pytestmark = pytest.mark.exact

ARMS, STEPS = 3, 8
PRIOR = UCBPrior(noise=0.2, reward_low=-0.5, reward_high=1.0, beta_low=0.2, beta_high=0.9)


def told(rng):
    """The prior of an observer who is told one agent."""
    rewards, beta = jnp.asarray(rng.uniform(-0.5, 1.0, ARMS), jnp.float32), rng.uniform(0.2, 0.9)
    return UCBPrior(PRIOR.noise, rewards, rewards, beta, beta)


def simulate(rng, number, pays, prior):
    """Actions ``[number, T]`` of UCB agents from the prior; arm 0 is paid for where ``pays``."""
    rewards = rng.uniform(prior.reward_low, prior.reward_high, (number, ARMS))
    beta = rng.uniform(prior.beta_low, prior.beta_high, number)
    order = np.argsort(rng.random((number, ARMS)), axis=1)
    counts, sums = np.zeros((number, ARMS)), np.zeros((number, ARMS))
    rows, actions = np.arange(number), []
    for time in range(STEPS):
        if time < ARMS:
            action = order[:, time]
        else:
            width = np.sqrt(np.log(time) / counts)
            action = np.argmax(sums / counts + beta[:, None] * width, axis=1)
        noise = prior.noise * rng.standard_normal(number)
        sums[rows, action] += rewards[rows, action] + noise + (action == 0) * pays[time]
        counts[rows, action] += 1
        actions.append(action)
    return np.stack(actions, axis=1)


@pytest.mark.parametrize("is_told", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_beliefs_are_those_of_rejection_sampling(seed, is_told):
    rng = np.random.default_rng(seed)
    pays = rng.choice([0.0, 0.7], STEPS)
    prior = told(rng) if is_told else PRIOR
    sample = simulate(rng, 400_000, pays, prior)
    action = sample[0]
    beliefs = jax.jit(ucb_beliefs, static_argnums=(3, 5, 6))
    bonus = jnp.float32((action == 0) * pays)
    law = np.asarray(beliefs(jax.random.key(seed), jnp.int32(action), bonus, ARMS, prior, 2000, 5))
    np.testing.assert_allclose(law.sum(axis=1), 1.0, rtol=1e-5)
    alive, compared = np.ones(len(sample), bool), 0
    for time in range(STEPS):
        if alive.sum() < 500:
            break
        expected = np.bincount(sample[alive, time], minlength=ARMS) / alive.sum()
        error = 4 * np.sqrt(0.25 / alive.sum()) + 0.04  # of the sample; of correlated particles
        np.testing.assert_allclose(law[time], expected, atol=error)
        alive &= sample[:, time] == action[time]
        compared += time >= ARMS
    assert compared >= 3


def test_beliefs_are_alike_where_double_precision_is_on(x64):
    action, bonus = jnp.asarray([0, 1, 2, 1, 0, 1, 2, 0], jnp.int32), jnp.ones(STEPS, jnp.float32)
    beliefs = jax.jit(ucb_beliefs, static_argnums=(3, 5, 6))
    run = lambda: beliefs(jax.random.key(0), action, bonus, ARMS, PRIOR, 50, 2)  # noqa: E731
    double = run()
    with jax.enable_x64(False):
        single = run()
    assert double.dtype == jnp.float32
    np.testing.assert_allclose(double, single, rtol=1e-5)


def test_an_impossible_action_is_left_out_of_the_evidence():
    # Without noise to speak of, an arm that gave ten more than the others is taken next.
    prior = UCBPrior(0.01, 0.0, 1.0, 0.0, 0.1)
    action = jnp.asarray([0, 1, 2, 1, 0, 0], jnp.int32)
    bonus = jnp.asarray([10.0, 0, 0, 0, 0, 0], jnp.float32)
    law = np.asarray(ucb_beliefs(jax.random.key(0), action, bonus, ARMS, prior, 20, 2))
    assert np.isfinite(law).all()
    np.testing.assert_allclose(law[3:, 0], 20.5 / 21.5, rtol=1e-5)


@pytest.mark.parametrize("low, high", [(-np.inf, np.inf), (-0.5, 1.5), (2.0, 2.1), (-9.0, -6.0)])
def test_truncated_normal_has_the_right_law(low, high):
    mean, spread = 0.3, 2.0
    keys = jax.random.split(jax.random.key(1), 4000)
    bounds = [jnp.float32(mean + spread * end) for end in (low, high)]
    draw = jax.vmap(truncated_normal, (0, None, None, None, None))
    drawn = np.asarray(draw(keys, jnp.float32(mean), jnp.float32(spread), *bounds))
    assert (drawn >= bounds[0]).all() and (drawn <= bounds[1]).all()
    law = stats.truncnorm(low, high, loc=mean, scale=spread)
    assert stats.kstest(drawn, law.cdf).statistic < 0.04


def test_sizes_are_checked():
    action, bonus = jnp.zeros((4,), jnp.int32), jnp.zeros((4,), jnp.float32)
    refused: Any = (
        ({"num_arms": 1}, "num_arms"),
        ({"num_arms": 2, "num_particles": 0}, "num_particles"),
    )
    for sizes, name in refused:
        with pytest.raises(ConfigError, match=f"^{name}: got"):
            ucb_beliefs(jax.random.key(0), action, bonus, **sizes)
