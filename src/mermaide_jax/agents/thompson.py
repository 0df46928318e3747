"""Thompson sampling: a draw from each arm's posterior, and the arm whose draw is greatest."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents import sample_means, ties
from mermaide_jax.base import Agent
from mermaide_jax.registry import Parameter, register

# Where the density and the distribution of each arm's posterior are cut into pieces, in its own
# standard deviations, and the Gauss-Legendre rule used on every piece.
_CUTS = np.linspace(-7.0, 7.0, 15, dtype=np.float32)
_NODES, _WEIGHTS = (x.astype(np.float32) for x in np.polynomial.legendre.leggauss(6))


class ThompsonParams(NamedTuple):
    """Leaves of a Thompson sampling agent.

    Attributes:
      scale: scalar, standard deviation that the agent believes one reward to have (0 is greedy).
    """

    scale: chex.Numeric


def thompson_draw(
    normals: jax.Array, scale: chex.Numeric, state: sample_means.SampleMeans
) -> jax.Array:
    """Draws ``Q[a] + scale * z[a] / sqrt(n[a])`` from each posterior, given the normals ``z``.

    The posterior of a Gaussian mean under a flat prior and rewards of known standard deviation
    ``scale`` is ``N(Q[a], scale**2 / n[a])``. Arms that were never pulled have ``+inf``. Source:
    Thompson (1933); Gaussian form as in Agrawal and Goyal (2013), with the flat prior.

    Args:
      normals: ``[A]`` standard normal ``z``.
      scale: scalar.
      state: counts and means.

    Returns:
      ``[A]`` float32.

    Example:
      >>> state = sample_means.SampleMeans(jnp.array([4.0, 1.0]), jnp.array([0.5, 0.0]))
      >>> thompson_draw(jnp.array([1.0, 1.0]), 0.5, state).tolist()
      [0.75, 0.5]
    """
    width = jax.lax.rsqrt(jnp.maximum(state.counts, 1.0))
    return sample_means.untried_first(state, state.means + scale * normals * width)


def _probabilities_of_greatest(means: jax.Array, widths: jax.Array) -> jax.Array:
    """``P(x[a] > x[b] for all b)`` of independent normals; ``[A]`` float32, widths positive."""
    cuts = jnp.sort((means + widths * _CUTS[:, None]).ravel())
    half = jnp.diff(cuts)[:, None] / 2.0
    points = (cuts[:-1, None] + half * (1.0 + _NODES)).ravel()
    # Beyond 12 deviations a density is zero in float32; clipping keeps the logarithms finite.
    z = jnp.clip((points[:, None] - means) / widths, -12.0, 12.0)
    log_below = jax.scipy.stats.norm.logcdf(z)
    others = jnp.sum(log_below, axis=-1, keepdims=True) - log_below
    density = jnp.exp(jax.scipy.stats.norm.logpdf(z) + others) / widths
    mass = (half * _WEIGHTS).ravel() @ density
    return mass / jnp.sum(mass)


def thompson_probabilities(scale: chex.Numeric, state: sample_means.SampleMeans) -> jax.Array:
    """Computes the law of Thompson sampling, ``P(draw[a] > draw[b] for all b)``.

    With ``s[b] = scale / sqrt(n[b])`` it is ``integral of dPhi((x - Q[a]) / s[a]) times the product
    over b of Phi((x - Q[b]) / s[b])``, which has no closed form for three arms or more. The real
    line is cut at whole deviations of *every* arm and each piece is integrated by the 6-point
    Gauss-Legendre rule, so that arms of very different counts are resolved alike; the error is that
    of float32, about 1e-6. Untried arms share the whole mass; ``scale = 0`` is greedy.

    Args:
      scale: scalar.
      state: counts and means.

    Returns:
      ``[A]`` float32, sums to one.

    Example:
      >>> state = sample_means.SampleMeans(jnp.array([4.0, 4.0]), jnp.array([0.5, 0.5]))
      >>> thompson_probabilities(0.5, state).round(3).tolist()
      [0.5, 0.5]
    """
    scale = jnp.abs(jnp.asarray(scale, jnp.float32))
    widths = jnp.where(scale > 0, scale, 1.0) * jax.lax.rsqrt(jnp.maximum(state.counts, 1.0))
    drawn = _probabilities_of_greatest(state.means, widths)
    greedy = ties.argmax_probabilities(sample_means.untried_first(state, state.means))
    return jnp.where((scale > 0) & jnp.all(state.counts > 0), drawn, greedy)


@memoize
def thompson(num_arms: int) -> Agent:
    """Makes a Gaussian Thompson sampling agent: untried arms first, ties at random.

    Its params are `ThompsonParams`, its state `SampleMeans`. It does not see offers.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> agent = thompson(3)
      >>> params = ThompsonParams(scale=0.2)
      >>> law = agent.probabilities(params, agent.init(params), jnp.zeros(3))
      >>> print(np.asarray(law).round(2))
      [0.33 0.33 0.33]
    """

    def act(key, params: ThompsonParams, state: sample_means.SampleMeans, offer):
        del offer
        key_normals, key_tie = jax.random.split(key)
        normals = jax.random.normal(key_normals, (num_arms,), jnp.float32)
        return ties.random_argmax(key_tie, thompson_draw(normals, params.scale, state))

    def probabilities(params: ThompsonParams, state: sample_means.SampleMeans, offer):
        del offer
        return thompson_probabilities(params.scale, state)

    return sample_means.sample_mean_agent(num_arms, act, probabilities)


register(
    "family",
    "thompson",
    thompson,
    label="Thompson",
    summary="the arm whose draw from its posterior is greatest (Gaussian, flat prior)",
    parameters=(Parameter("scale", (0.1, 0.2, 0.3, 0.5, 0.8)),),  # ours
    params=ThompsonParams,
    rank=4,
)
