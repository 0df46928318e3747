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
    """No pulls; ``initial_value`` stands in for the mean of an arm until its first reward."""
    means = jnp.broadcast_to(jnp.asarray(initial_value, jnp.float32), (num_arms,))
    return SampleMeans(counts=jnp.zeros((num_arms,), jnp.float32), means=means)


def update_sample_means(state: SampleMeans, action: jax.Array, reward: jax.Array) -> SampleMeans:
    """Incremental mean of the pulled arm: ``Q[a] <- Q[a] + (r - Q[a]) / n[a]``."""
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
    """Agent whose state is `SampleMeans`: what differs between such rules is how they act.

    Args:
      num_arms: number of arms ``A``, at least 2.
      act: see `Agent`.
      probabilities: see `Agent`, the law of ``act``.
      initial_value: ``initial_value(params)``, scalar, the estimate of an arm before its first
        pull.

    Raises:
      ConfigError: fewer than 2 arms.
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
    """``values`` with ``+inf`` for the arms that were never pulled."""
    return jnp.where(state.counts == 0, jnp.inf, values)
