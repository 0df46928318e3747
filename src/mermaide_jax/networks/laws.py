"""The laws by which networks' outputs become interventions."""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax._jax.distributions import Categorical

LEAST_DEVIATION = 0.003
"""Least standard deviation of a continuous offer, in shares of the greatest bonus."""
NO_OFFER = -1.0
"""The continuous intervention that stands for no offer."""
START_DEVIATION = 0.2
"""Standard deviation of a continuous offer before any learning, less the least one."""
WIDTH_WEIGHT = 0.2
"""What the logarithm of the standard deviation counts in the entropy, beside whether to offer."""


class PolicyLaw(NamedTuple):
    """The law of interventions, as functions of a network's outputs; ``[...]`` float32 each.

    Attributes:
      sample: ``sample(key, outputs) -> intervention``.
      log_prob: ``log_prob(outputs, interventions)``, log-probability or density.
      natural: the same, with the density of a continuous share weighted by its variance over that
        before any learning. REINFORCE with it follows the natural gradient in the mean: its steps,
        and their derivatives, stay bounded however narrow the policy is.
      entropy: ``entropy(outputs)``, what an entropy bonus rewards. Of interventions that can be
        counted: their entropy in nats. Of a continuous share: the entropy of whether to offer, and
        a fifth of the logarithm of the standard deviation, times the probability of an offer.
      mode: ``mode(outputs) -> intervention``.
    """

    sample: Callable[..., jax.Array]
    log_prob: Callable[..., jax.Array]
    natural: Callable[..., jax.Array]
    entropy: Callable[..., jax.Array]
    mode: Callable[..., jax.Array]


def categorical() -> PolicyLaw:
    """Makes the law of an intervention that can be counted, from logits ``[..., U]``.

    Example:
      >>> law = categorical()
      >>> int(law.mode(jnp.array([0.1, 2.0])))
      1
    """

    def log_prob(logits: jax.Array, intervention: jax.Array) -> jax.Array:
        return jnp.asarray(Categorical(logits=logits).log_prob(intervention))

    return PolicyLaw(
        lambda key, logits: Categorical(logits=logits).sample(seed=key).astype(jnp.int32),
        log_prob,
        log_prob,
        lambda logits: jnp.asarray(Categorical(logits=logits).entropy()),
        lambda logits: jnp.argmax(logits, axis=-1).astype(jnp.int32),
    )


def _moments(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of a share, from ``(z, m, l)``."""
    growth = 2.0 * jax.nn.sigmoid(values[..., 2])
    return 0.5 + values[..., 1], LEAST_DEVIATION + START_DEVIATION * growth


def share_or_nothing() -> PolicyLaw:
    """Makes the law of no offer, or of a share of the greatest bonus, from ``(z, m, l)``.

        u = -1 (no offer) with probability sigmoid(-z), else
        u ~ N(1/2 + m, (0.003 + 0.4 sigmoid(l))^2)

    The choice of no offer is apart from the share: the least offer worth making is far from none,
    and a Gaussian alone does not find its way between them.

    Example:
      >>> law = share_or_nothing()
      >>> float(law.mode(jnp.array([-1.0, 0.0, 0.0]))), float(law.mode(jnp.array([1.0, 0.0, 0.0])))
      (-1.0, 0.5)
    """

    def sample(key: chex.PRNGKey, values: jax.Array) -> jax.Array:
        key_whether, key_share = jax.random.split(key)
        mean, deviation = _moments(values)
        share = mean + deviation * jax.random.normal(key_share, mean.shape, jnp.float32)
        offers = jax.random.bernoulli(key_whether, jax.nn.sigmoid(values[..., 0]))
        return jnp.where(offers, share, NO_OFFER)

    def log_prob(values: jax.Array, intervention: jax.Array, weigh: bool = False) -> jax.Array:
        mean, deviation = _moments(values)
        density = jax.scipy.stats.norm.logpdf(intervention, mean, deviation)
        if weigh:
            density *= jax.lax.stop_gradient(deviation / START_DEVIATION) ** 2
        offered = jax.nn.log_sigmoid(values[..., 0]) + density
        return jnp.where(intervention == NO_OFFER, jax.nn.log_sigmoid(-values[..., 0]), offered)

    def entropy(values: jax.Array) -> jax.Array:
        chance = jax.nn.sigmoid(values[..., 0])
        whether = jax.nn.softplus(values[..., 0]) - chance * values[..., 0]
        return whether + WIDTH_WEIGHT * chance * jnp.log(_moments(values)[1])

    def mode(values: jax.Array) -> jax.Array:
        return jnp.where(values[..., 0] >= 0.0, _moments(values)[0], NO_OFFER)

    natural = lambda values, intervention: log_prob(values, intervention, weigh=True)  # noqa: E731
    return PolicyLaw(sample, log_prob, natural, entropy, mode)
