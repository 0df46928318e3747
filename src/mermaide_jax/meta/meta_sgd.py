"""Meta-SGD: the rates of the inner loop are learned along with where it starts."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mermaide_jax import errors
from mermaide_jax.base import Params
from mermaide_jax.meta.inner_loop import Adapt, Loss, inner_loop

RATE_SCALE = 5.0
"""Inner rates are ``exp(5 x)``: Adam moves their logarithms five times as fast as weights."""


class MetaSGDParams(NamedTuple):
    """What a meta-learner learns.

    Attributes:
      params: ``theta``, where the inner loop starts.
      log_rates: of each leaf of ``params``, logarithms of the inner rates over `RATE_SCALE`: a
        scalar, or an array of the leaf's shape.
    """

    params: Params
    log_rates: Any


def init_meta_sgd(params: Params, rate: float, *, per_parameter: bool = False) -> MetaSGDParams:
    """Starts all inner rates at the same value.

    Args:
      params: ``theta``.
      rate: the rate, above 0.
      per_parameter: a rate for each parameter in place of one for each leaf.

    Raises:
      ConfigError: a rate that is not above 0.

    Example:
      >>> learned = init_meta_sgd({"w": jnp.zeros(2)}, rate=1.0, per_parameter=True)
      >>> learned.log_rates["w"].tolist()
      [0.0, 0.0]
    """
    errors.check_positive("rate", rate)
    start = math.log(rate) / RATE_SCALE

    def of_leaf(leaf: jax.Array) -> jax.Array:
        return jnp.full_like(leaf, start) if per_parameter else jnp.float32(start)

    return MetaSGDParams(params, jax.tree.map(of_leaf, params))


def with_inner_rate(meta: MetaSGDParams, rate: jax.Array | float) -> MetaSGDParams:
    """Sets one inner rate for all weights; 0 does not adapt.

    Args:
      meta: the params.
      rate: float scalar, at least 0; may be traced.

    Example:
      >>> learned = init_meta_sgd({"w": jnp.zeros(2)}, rate=0.5)
      >>> float(with_inner_rate(learned, 1.0).log_rates["w"])
      0.0
    """
    log_rate = jnp.log(jnp.asarray(rate, jnp.float32)) / RATE_SCALE
    return meta._replace(
        log_rates=jax.tree.map(lambda x: jnp.full_like(x, log_rate), meta.log_rates)
    )


def sgd_with_rates(
    log_rates: Any, longest_gradient: float | None = None
) -> optax.GradientTransformation:
    """Makes SGD with a rate for each leaf or parameter, and a step that can be bounded.

        step_l = -exp(log_rate_l) g_l / sqrt(1 + |g|^2 / G^2)

    Beyond ``G`` a longer gradient makes the step hardly longer. The bound is smooth, also at a zero
    gradient, so that the meta-gradient passes.

    Args:
      log_rates: logarithms, a scalar or an array in the place of each leaf; may be traced.
      longest_gradient: ``G``; None: no bound.

    Example:
      >>> optimizer = sgd_with_rates({"w": jnp.float32(0.0)})  # log rates: a rate of 1
      >>> weights = {"w": jnp.array([1.0, 2.0])}
      >>> updates, _ = optimizer.update(weights, optimizer.init(weights))
      >>> updates["w"].tolist()
      [-1.0, -2.0]
    """

    def update(updates: Any, params: Any) -> Any:
        del params
        bound = 1.0
        if longest_gradient is not None:
            squares = sum(jnp.sum(g**2) for g in jax.tree.leaves(updates))
            bound = jax.lax.rsqrt(1.0 + squares / longest_gradient**2)
        return jax.tree.map(lambda log_rate, g: -jnp.exp(log_rate) * bound * g, log_rates, updates)

    return optax.stateless(update)


def meta_sgd(
    loss: Loss,
    num_steps: int = 1,
    *,
    longest_gradient: float | None = None,
    make_inner_loop: Callable[..., Adapt] = inner_loop,
) -> Adapt:
    """Makes ``adapt(meta, support) -> params``: an inner loop whose rates are params too.

        theta' = theta - exp(5 x) * grad L(theta; D)        learned: theta and x

    Differentiating a function of the adapted params in ``meta`` gives the gradient of both.

    Args:
      loss: ``loss(params, support) -> scalar`` of the network's own params.
      num_steps: SGD steps.
      longest_gradient: see `sgd_with_rates`.
      make_inner_loop: what is differentiated; `inner_loop` or a variant of it.

    Returns:
      ``adapt`` for `MetaSGDParams`.

    Source: Li, Zhou, Chen and Li (2017), "Meta-SGD" (https://arxiv.org/abs/1707.09835); a rate for
    each leaf, on a logarithmic scale, is ours.

    Example:
      >>> square = lambda x, target: (x - target) ** 2
      >>> adapt = meta_sgd(square)
      >>> learned = init_meta_sgd(jnp.float32(0.0), rate=0.25)
      >>> round(float(adapt(learned, jnp.float32(1.0))), 3)
      0.5
    """

    def adapt(meta: MetaSGDParams, support: Any) -> Params:
        log_rates = jax.tree.map(lambda x: RATE_SCALE * x, meta.log_rates)
        optimizer = sgd_with_rates(log_rates, longest_gradient)
        return make_inner_loop(loss, optimizer, num_steps)(meta.params, support)

    return adapt
