"""The pieces that rules which learn from sample means share."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax.base import Agent, Params


class SampleMeans(NamedTuple):
    """Sufficient statistics of the rules that learn from sample means.

    Attributes:
      counts: ``[A]`` float32, number of pulls of each arm.
      means: ``[A]`` float32, mean of the rewards received from each arm.
    """

    counts: jax.Array
    means: jax.Array


def init_sample_means(num_arms: int, initial_value: chex.Numeric = 0.0) -> SampleMeans:
    """Starts without pulls; ``initial_value`` stands in for a mean until its first reward.

    Example:
      >>> init_sample_means(2).counts.tolist()
      [0.0, 0.0]
    """
    means = jnp.broadcast_to(jnp.asarray(initial_value, jnp.float32), (num_arms,))
    return SampleMeans(counts=jnp.zeros((num_arms,), jnp.float32), means=means)


def update_sample_means(state: SampleMeans, action: jax.Array, reward: jax.Array) -> SampleMeans:
    """Moves the mean of the pulled arm: ``Q[a] <- Q[a] + (r - Q[a]) / n[a]``.

    Example:
      >>> state = init_sample_means(2)
      >>> for reward in (1.0, 0.5):
      ...     state = update_sample_means(state, jnp.int32(1), jnp.float32(reward))
      >>> state.counts.tolist(), state.means.tolist()
      ([0.0, 2.0], [0.0, 0.75])
    """
    pulled = jnp.arange(state.counts.shape[0]) == action
    counts = state.counts + pulled.astype(jnp.float32)
    error = jnp.asarray(reward, jnp.float32) - state.means
    step = jnp.where(pulled, error / jnp.maximum(counts, 1.0), 0.0)
    return SampleMeans(counts=counts, means=state.means + step)


def sample_mean_agent(
    num_arms: int,
    act: Callable[[chex.PRNGKey, Params, SampleMeans, jax.Array], jax.Array],
    probabilities: Callable[[Params, SampleMeans, jax.Array], jax.Array],
    initial_value: Callable[[Params], chex.Numeric] = lambda params: 0.0,
) -> Agent:
    """Makes an agent whose state is `SampleMeans`: such rules differ in how they act.

    Args:
      num_arms: number of arms ``A``, at least 2.
      act: see `Agent`.
      probabilities: see `Agent`, the law of ``act``.
      initial_value: ``initial_value(params)``, scalar, the estimate of an arm before its first
        pull.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> act = lambda key, params, state, offer: jax.random.categorical(key, state.means)
      >>> law = lambda params, state, offer: jax.nn.softmax(state.means)
      >>> softmax = sample_mean_agent(2, act, law)
      >>> softmax.probabilities((), softmax.init(()), jnp.zeros(2)).tolist()
      [0.5, 0.5]
    """
    errors.check_at_least("num_arms", num_arms, 2)

    def init(params: Params) -> SampleMeans:
        return init_sample_means(num_arms, initial_value(params))

    def update(params: Params, state: SampleMeans, action, reward) -> SampleMeans:
        del params
        return update_sample_means(state, action, reward)

    def estimates(params: Params, state: SampleMeans) -> jax.Array:
        del params
        return state.means

    return Agent(init, act, update, estimates, probabilities)


def untried_first(state: SampleMeans, values: jax.Array) -> jax.Array:
    """Puts ``+inf`` in the place of the values of arms that were never pulled.

    Example:
      >>> state = update_sample_means(init_sample_means(2), jnp.int32(1), jnp.float32(1.0))
      >>> untried_first(state, state.means).tolist()
      [inf, 1.0]
    """
    return jnp.where(state.counts == 0, jnp.inf, values)
