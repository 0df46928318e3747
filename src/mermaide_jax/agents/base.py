"""What an agent is: pure functions of one agent, and the pieces that several rules share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks

Params = Any
State = Any


class Agent(NamedTuple):
    """A learning rule as pure functions of one agent; batch it with ``jax.vmap``.

    Attributes:
      init: ``init(params) -> state``, the state in which every episode starts.
      act: ``act(key, params, state, offer) -> action``. ``key`` is a typed key and is consumed;
        ``offer`` is the announced bonus of each arm, ``[A]`` float; only rules that see offers
        read it. ``action`` is an int32 scalar in ``[0, A)``.
      update: ``update(params, state, action, reward) -> state``.
      estimates: ``estimates(params, state) -> [A]``, the rule's present estimates of the arms'
        mean rewards. Used for reports and by principals that are told the agent's state; never
        by a principal that only observes actions.
      probabilities: ``probabilities(params, state, offer) -> [A]`` float32, the law of ``act``:
        how likely each action is over its draws. It sums to one. For oracles and filters.
    """

    init: Callable[[Params], State]
    act: Callable[[chex.PRNGKey, Params, State, jax.Array], jax.Array]
    update: Callable[[Params, State, jax.Array, jax.Array], State]
    estimates: Callable[[Params, State], jax.Array]
    probabilities: Callable[[Params, State, jax.Array], jax.Array]


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
    _checks.check_at_least("num_arms", num_arms, 2)

    def init(params: Params) -> SampleMeans:
        return init_sample_means(num_arms, initial_value(params))

    def update(params: Params, state: SampleMeans, action, reward) -> SampleMeans:
        del params
        return update_sample_means(state, action, reward)

    def estimates(params: Params, state: SampleMeans) -> jax.Array:
        del params
        return state.means

    return Agent(init, act, update, estimates, probabilities)


def random_argmax(key: chex.PRNGKey, values: jax.Array) -> jax.Array:
    """Index of the greatest value; ties are broken uniformly at random.

    Every maximal entry draws 31 random bits and the greatest draw wins, so an entry that is not
    maximal is never chosen and the bias between tied entries is below ``A**2 / 2**31``.

    Args:
      key: typed key, consumed.
      values: ``[A]`` float; NaN is not allowed.

    Returns:
      int32 scalar.
    """
    return argmax_of_bits(jax.random.bits(key, values.shape, jnp.uint32), values)


def argmax_of_bits(bits: jax.Array, values: jax.Array) -> jax.Array:
    """`random_argmax` as a pure function of its draw, ``bits``: ``[A]`` uint32."""
    priority = jnp.where(_greatest(values), bits | jnp.uint32(1), jnp.uint32(0))
    return jnp.argmax(priority).astype(jnp.int32)


def argmax_probabilities(values: jax.Array) -> jax.Array:
    """The law of `random_argmax`: uniform over the greatest of ``values``, ``[A]`` float32."""
    tied = _greatest(values).astype(jnp.float32)
    return tied / jnp.sum(tied)


def _greatest(values: jax.Array) -> jax.Array:
    """Which of ``values`` are the greatest, ``[A]`` bool; at least one is.

    A compiler may compute ``values`` once for the maximum and once for the comparison, rounded
    otherwise, so that none equals the maximum: the arm of `jnp.argmax` counts in any case.
    """
    greatest = jnp.arange(values.shape[0]) == jnp.argmax(values)
    return greatest | (values == jnp.max(values))


def untried_first(state: SampleMeans, values: jax.Array) -> jax.Array:
    """``values`` with ``+inf`` for the arms that were never pulled."""
    return jnp.where(state.counts == 0, jnp.inf, values)
