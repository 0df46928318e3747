"""The principal of the Stackelberg experiment: an MLP that reads a summary and makes an offer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Params, Principal
from mermaide_jax.networks.heads import MLPHead
from mermaide_jax.networks.laws import PolicyLaw, categorical, share_or_nothing


class OfferPrincipal(NamedTuple):
    """A memoryless principal that learns.

    Attributes:
      principal: its `Principal`; ``act`` samples, the carry is empty, ``info`` is the
        log-probability (density) of the intervention, a float32 scalar.
      init_params: ``init_params(key) -> params``; ``key`` is consumed.
      outputs: ``outputs(params, observations [..., O]) -> [..., outputs]``.
      law: of the interventions that these stand for.
    """

    principal: Principal
    init_params: Callable[[chex.PRNGKey], Params]
    outputs: Callable[[Params, jax.Array], jax.Array]
    law: PolicyLaw


@memoize
def offer_principal(
    observation_size: int, num_interventions: int, features: int = 64
) -> OfferPrincipal:
    """Makes a principal of one hidden ReLU layer, whose outputs are the parameters of its law.

    The law is `networks.laws.categorical` for ``U > 0`` (int32 in ``[0, U)``), and
    `networks.laws.share_or_nothing` for a continuum (float32). The game clips a share to [0, 1];
    its density is that before clipping, so the score function is unbiased.

    Args:
      observation_size: ``O``.
      num_interventions: ``U``, see `base.Game`; 0 for a continuum.
      features: hidden size.

    Raises:
      ConfigError: no observation, negative ``U``, or no hidden unit.

    Example:
      >>> made = offer_principal(observation_size=5, num_interventions=0, features=4)  # a continuum
      >>> params = made.init_params(jax.random.key(0))
      >>> offer, _, _ = made.principal.act(jax.random.key(1), params, (), jnp.zeros(5))
      >>> offer.dtype
      dtype('float32')
    """
    errors.check_at_least("observation_size", observation_size, 1)
    errors.check_at_least("num_interventions", num_interventions, 0)
    errors.check_at_least("features", features, 1)
    network = MLPHead(num_interventions or 3, features)
    law = share_or_nothing() if num_interventions == 0 else categorical()

    def outputs(params: Params, observations: jax.Array) -> Any:
        return network.apply({"params": params}, observations, method="unroll")

    def init_params(key: chex.PRNGKey) -> Params:
        return network.init(key, (), jnp.zeros((observation_size,), jnp.float32))["params"]

    def act(key: chex.PRNGKey, params: Params, carry: tuple[()], observation: jax.Array):
        values = outputs(params, observation)
        intervention = law.sample(key, values)
        return intervention, carry, law.log_prob(values, intervention)

    return OfferPrincipal(Principal(lambda params: (), act), init_params, outputs, law)
