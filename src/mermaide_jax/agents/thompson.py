"""Thompson sampling: a draw from each arm's posterior, and the arm whose draw is greatest."""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks
from mermaide_jax.agents import base


class ThompsonParams(NamedTuple):
    """Leaves of a Thompson sampling agent.

    Attributes:
      scale: scalar, standard deviation that the agent believes one reward to have (0 is greedy).
    """

    scale: chex.Numeric


def thompson_draw(normals: jax.Array, scale: chex.Numeric, state: base.SampleMeans) -> jax.Array:
    """Posterior draws ``Q[a] + scale * z[a] / sqrt(n[a])``, a pure function of ``normals``.

    The posterior of a Gaussian mean under a flat prior and rewards of known standard deviation
    ``scale`` is ``N(Q[a], scale**2 / n[a])``. Arms that were never pulled have ``+inf``. Source:
    Thompson (1933); Gaussian form as in Agrawal and Goyal (2013), with the flat prior.

    Args:
      normals: ``[A]`` standard normal ``z``.
      scale: scalar.
      state: counts and means.

    Returns:
      ``[A]`` float32.
    """
    width = jax.lax.rsqrt(jnp.maximum(state.counts, 1.0))
    return base.untried_first(state, state.means + scale * normals * width)


@functools.cache
def thompson(num_arms: int) -> base.Agent:
    """Gaussian Thompson sampling over ``num_arms`` arms: untried arms first, ties at random.

    Its params are `ThompsonParams`, its state `SampleMeans`. It does not see offers.

    Raises:
      ConfigError: fewer than 2 arms.
    """
    _checks.check_at_least("num_arms", num_arms, 2)

    def init(params: ThompsonParams) -> base.SampleMeans:
        del params
        return base.init_sample_means(num_arms)

    def act(key, params: ThompsonParams, state: base.SampleMeans, offer):
        del offer
        key_normals, key_tie = jax.random.split(key)
        normals = jax.random.normal(key_normals, (num_arms,), jnp.float32)
        return base.random_argmax(key_tie, thompson_draw(normals, params.scale, state))

    def update(params: ThompsonParams, state: base.SampleMeans, action, reward):
        del params
        return base.update_sample_means(state, action, reward)

    def estimates(params: ThompsonParams, state: base.SampleMeans):
        del params
        return state.means

    return base.Agent(init, act, update, estimates)
