"""The principal of the Stackelberg experiment: an MLP that reads a summary and makes an offer."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax._jax.distributions import Categorical
from mermaide_jax.base import Principal
from mermaide_jax.networks.heads import MLPHead

Params = Any

LEAST_DEVIATION = 0.003
"""Least standard deviation of a continuous offer, in shares of the greatest bonus."""
NO_OFFER = -1.0
"""The continuous intervention that stands for no offer."""
START_DEVIATION = 0.2
"""Standard deviation of a continuous offer before any learning, less the least one."""
WIDTH_WEIGHT = 0.2
"""What the logarithm of the standard deviation counts in the entropy, beside whether to offer."""


class OfferPrincipal(NamedTuple):
    """A memoryless principal that learns, as pure functions of one stream.

    Attributes:
      principal: its `Principal`; ``act`` samples, the carry is empty, ``info`` is the
        log-probability (density) of the intervention, a float32 scalar.
      init_params: ``init_params(key) -> params``; ``key`` is consumed.
      log_prob: ``log_prob(params, observations, interventions)``: ``[..., O]`` and ``[...]`` to
        ``[...]`` float32.
      natural: ``natural(params, observations, interventions)``, like ``log_prob``, with the density
        of a continuous share weighted by its variance over that before any learning. REINFORCE
        with it follows the natural gradient in the mean: its steps, and their derivatives, stay
        bounded however narrow the policy is.
      entropy: ``entropy(params, observations)``: ``[..., O]`` to ``[...]`` float32, what an entropy
        bonus rewards. Of interventions that can be counted: their entropy in nats. Of a continuous
        share: the entropy of whether to offer, and a fifth of the logarithm of the standard
        deviation, times the probability of an offer.
      greedy: ``greedy(params, observation) -> intervention``, the mode of the policy.
    """

    principal: Principal
    init_params: Callable[[chex.PRNGKey], Params]
    log_prob: Callable[[Params, jax.Array, jax.Array], jax.Array]
    natural: Callable[[Params, jax.Array, jax.Array], jax.Array]
    entropy: Callable[[Params, jax.Array], jax.Array]
    greedy: Callable[[Params, jax.Array], jax.Array]


@memoize
def offer_principal(
    observation_size: int, num_interventions: int, features: int = 64
) -> OfferPrincipal:
    """One hidden ReLU layer; its outputs are logits of interventions, or a Gaussian's parameters.

        U > 0:   u ~ Categorical(logits = MLP(s)),  int32 in [0, U)
        U = 0:   u = -1 (no offer) with probability sigmoid(-z), else
                 u ~ N(1/2 + m, (0.003 + 0.4 sigmoid(l))^2),  (z, m, l) = MLP(s),  float32

    The choice of no offer is apart from the share: the least offer worth making is far from none,
    and a Gaussian alone does not find its way between them. The game clips a share to [0, 1]; its
    density is that before clipping, so the score function is unbiased.

    Args:
      observation_size: ``O``.
      num_interventions: ``U``, see `games.Game`; 0 for a continuum.
      features: hidden size.

    Raises:
      ConfigError: no observation, negative ``U``, or no hidden unit.
    """
    errors.check_at_least("observation_size", observation_size, 1)
    errors.check_at_least("num_interventions", num_interventions, 0)
    errors.check_at_least("features", features, 1)
    network = MLPHead(num_interventions or 3, features)

    def outputs(params: Params, observations: jax.Array) -> Any:
        return network.apply({"params": params}, observations, method="unroll")

    def init_params(key: chex.PRNGKey) -> Params:
        return network.init(key, (), jnp.zeros((observation_size,), jnp.float32))["params"]

    sample, log_prob_of, natural_of, entropy_of, mode = (
        _continuous() if num_interventions == 0 else _discrete()
    )

    def act(key: chex.PRNGKey, params: Params, carry: tuple[()], observation: jax.Array):
        values = outputs(params, observation)
        intervention = sample(key, values)
        return intervention, carry, log_prob_of(values, intervention)

    def log_prob(params: Params, observations: jax.Array, interventions: jax.Array) -> jax.Array:
        return log_prob_of(outputs(params, observations), interventions)

    def natural(params: Params, observations: jax.Array, interventions: jax.Array) -> jax.Array:
        return natural_of(outputs(params, observations), interventions)

    def entropy(params: Params, observations: jax.Array) -> jax.Array:
        return entropy_of(outputs(params, observations))

    def greedy(params: Params, observation: jax.Array) -> jax.Array:
        return mode(outputs(params, observation))

    principal = Principal(lambda params: (), act)
    return OfferPrincipal(principal, init_params, log_prob, natural, entropy, greedy)


def _discrete() -> tuple[Callable[..., jax.Array], ...]:
    """Sample, log-probability (twice), entropy and mode of an intervention, from logits ``[U]``."""

    def sample(key: chex.PRNGKey, logits: jax.Array) -> jax.Array:
        return Categorical(logits=logits).sample(seed=key).astype(jnp.int32)

    def log_prob(logits: jax.Array, intervention: jax.Array) -> jax.Array:
        return jnp.asarray(Categorical(logits=logits).log_prob(intervention))

    def entropy(logits: jax.Array) -> jax.Array:
        return jnp.asarray(Categorical(logits=logits).entropy())

    def mode(logits: jax.Array) -> jax.Array:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)

    return sample, log_prob, log_prob, entropy, mode


def _moments(values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of a share, from ``(z, m, l)``."""
    growth = 2.0 * jax.nn.sigmoid(values[..., 2])
    return 0.5 + values[..., 1], LEAST_DEVIATION + START_DEVIATION * growth


def _log_probs(values: jax.Array, intervention: jax.Array, weigh: bool) -> jax.Array:
    """Log-density of "no offer" or of a share, from ``(z, m, l)``; see ``natural``."""
    mean, deviation = _moments(values)
    density = jax.scipy.stats.norm.logpdf(intervention, mean, deviation)
    if weigh:
        density *= jax.lax.stop_gradient(deviation / START_DEVIATION) ** 2
    logit = values[..., 0]
    offered = jax.nn.log_sigmoid(logit) + density
    return jnp.where(intervention == NO_OFFER, jax.nn.log_sigmoid(-logit), offered)


def _continuous() -> tuple[Callable[..., jax.Array], ...]:
    """Sample, log-density (plain, natural), entropy and mode of a share, from ``(z, m, l)``."""

    def sample(key: chex.PRNGKey, values: jax.Array) -> jax.Array:
        key_whether, key_share = jax.random.split(key)
        mean, deviation = _moments(values)
        share = mean + deviation * jax.random.normal(key_share, mean.shape, jnp.float32)
        offers = jax.random.bernoulli(key_whether, jax.nn.sigmoid(values[..., 0]))
        return jnp.where(offers, share, NO_OFFER)

    def entropy(values: jax.Array) -> jax.Array:
        chance = jax.nn.sigmoid(values[..., 0])
        whether = jax.nn.softplus(values[..., 0]) - chance * values[..., 0]
        return whether + WIDTH_WEIGHT * chance * jnp.log(_moments(values)[1])

    def mode(values: jax.Array) -> jax.Array:
        return jnp.where(values[..., 0] >= 0.0, _moments(values)[0], NO_OFFER)

    plain, natural = (functools.partial(_log_probs, weigh=weigh) for weigh in (False, True))
    return sample, plain, natural, entropy, mode
