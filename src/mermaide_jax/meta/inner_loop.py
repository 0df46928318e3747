"""The inner loop: a few optimiser steps on a task's own data, differentiable end to end."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mermaide_jax import errors
from mermaide_jax.meta.gradient import hessian_aware_grad

Params = Any
Loss = Callable[..., Any]
Adapt = Callable[..., Params]


def inner_loop(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    num_steps: int = 1,
    *,
    first_order: bool = False,
    adapts: Any = True,
    reference: bool = False,
) -> Adapt:
    """Returns ``adapt(params, *data) -> params``: ``num_steps`` steps on ``loss(params, *data)``.

        theta_0 = theta,   theta_{j+1} = theta_j - opt(grad L(theta_j; D))

    Differentiating a function of the adapted params with respect to ``params`` gives the
    second-order meta-gradient of MAML, for one SGD step ``(I - alpha H) g``.

    Args:
      loss: ``loss(params, *data) -> scalar``. It may be anything differentiable.
      optimizer: any optax optimiser; its state starts afresh in every call. Differentiating through
        Adam needs ``eps_root > 0`` (a zero gradient gives NaN otherwise).
      num_steps: steps on the same data.
      first_order: treat the inner gradients as constants (FOMAML): the Hessian is dropped.
      adapts: which params may move: a bool, or a pytree of bools that is a prefix of ``params``
        (``{"policy": True, "world_model": False}``).
      reference: differentiate through the inner gradient by ``jax.grad`` itself, in place of the
        same Hessian-vector product in forward mode (`hessian_aware_grad`).

    Raises:
      ConfigError: negative ``num_steps``.

    Source: Finn, Abbeel and Levine (2017), Algorithm 1; MERMAIDE, Algorithms 1 and 2.
    """
    errors.check_at_least("num_steps", num_steps, 0)
    gradient = jax.grad(loss) if first_order or reference else hessian_aware_grad(loss)

    def hold(moves: bool, updates: Params) -> Params:
        return updates if moves else jax.tree.map(jnp.zeros_like, updates)

    def adapt(params: Params, *data: Any) -> Params:
        def step(carry, _):
            params, state = carry
            grads = gradient(params, *data)
            if first_order:
                grads = jax.lax.stop_gradient(grads)
            updates, state = optimizer.update(grads, state, params)
            updates = jax.tree.map(hold, adapts, updates)
            return (optax.apply_updates(params, updates), state), None

        carry = (params, optimizer.init(params))
        if num_steps == 1:
            return step(carry, None)[0][0]
        return jax.lax.scan(step, carry, None, length=num_steps)[0][0]

    return adapt
