"""The inner loop: a few optimiser steps on a task's own data, differentiable end to end."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mermaide_jax import errors
from mermaide_jax.base import Params
from mermaide_jax.meta.gradient import hessian_aware_grad

Loss = Callable[[Params, Any], Any]
"""``loss(params, data) -> scalar`` of one task; ``data`` is any pytree."""
Adapt = Callable[[Params, Any], Params]
"""``adapt(params, support) -> params`` of one task; ``support`` is the data it adapts on. How it is
differentiated makes the kind of meta-gradient (`MetaGradient`)."""


def inner_loop(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    num_steps: int = 1,
    *,
    first_order: bool = False,
    adapts: Any = True,
    minibatches: bool = False,
    pass_loss: bool = False,
    reference: bool = False,
) -> Adapt:
    """Makes ``adapt(params, support) -> params``: ``num_steps`` steps on ``loss(params, support)``.

        theta_0 = theta,   theta_{j+1} = theta_j - opt(grad L(theta_j; D_j))

    Differentiating a function of the adapted params with respect to ``params`` gives the
    second-order meta-gradient of MAML, for one SGD step ``(I - alpha H) g``.

    Args:
      loss: ``loss(params, support) -> scalar``. It may be anything differentiable.
      optimizer: any optax optimiser; its state starts afresh in every call. Differentiating through
        Adam needs ``eps_root > 0`` (a zero gradient gives NaN otherwise).
      num_steps: number of steps.
      first_order: treat the inner gradients as constants (FOMAML): the Hessian is dropped.
      adapts: which params may move: a bool, or a pytree of bools that is a prefix of ``params``
        (``{"policy": True, "world_model": False}``).
      minibatches: whether ``support`` is a stream with leading axis ``num_steps``, of which step
        ``j`` sees the ``j``-th; else every step sees all of it.
      pass_loss: give the optimiser the loss too (``value``, ``grad``, ``value_fn``), as those need
        that go by its value (`optax.polyak_sgd`) or search along a line (`optax.lbfgs`); it is then
        evaluated once more in each step.
      reference: differentiate through the inner gradient by ``jax.grad`` itself, in place of the
        same Hessian-vector product in forward mode (`hessian_aware_grad`).

    Returns:
      `Adapt` of one task; ``vmap`` it over tasks with ``in_axes=(None, 0)``.

    Raises:
      ConfigError: negative ``num_steps``; when called, a stream of another length.

    Source: Finn, Abbeel and Levine (2017), Algorithm 1 (https://arxiv.org/abs/1703.03400);
    MERMAIDE, Algorithms 1 and 2.

    Example:
      >>> import jax, jax.numpy as jnp, optax
      >>> adapt = inner_loop(lambda x, target: (x - target) ** 2, optax.sgd(0.25))
      >>> float(adapt(jnp.float32(0.0), jnp.float32(1.0)))
      0.5
      >>> float(jax.grad(adapt)(jnp.float32(0.0), jnp.float32(1.0)))  # 1 - 0.25 * 2
      0.5
    """
    errors.check_at_least("num_steps", num_steps, 0)
    gradient = jax.grad(loss) if first_order or reference else hessian_aware_grad(loss)

    def hold(moves: bool, updates: Params) -> Params:
        return updates if moves else jax.tree.map(jnp.zeros_like, updates)

    def adapt(params: Params, support: Any) -> Params:
        def step(carry, batch):
            params, state = carry
            data = batch if minibatches else support
            grads = gradient(params, data)
            if first_order:
                grads = jax.lax.stop_gradient(grads)
            extra = _extra_arguments(loss, params, data, grads) if pass_loss else {}
            updates, state = optimizer.update(grads, state, params, **extra)
            updates = jax.tree.map(hold, adapts, updates)
            return (optax.apply_updates(params, updates), state), None

        batches = _checked_stream(support, num_steps) if minibatches else None
        carry = (params, optimizer.init(params))
        if num_steps == 1:
            first = jax.tree.map(lambda leaf: leaf[0], batches)
            return step(carry, first)[0][0]
        return jax.lax.scan(step, carry, batches, length=num_steps)[0][0]

    return adapt


def _extra_arguments(loss: Loss, params: Params, data: Any, grads: Params) -> dict[str, Any]:
    """What optimisers need that go by the loss: its value, and the function itself."""
    value_fn = lambda p: loss(p, data)  # noqa: E731
    return {"value": value_fn(params), "grad": grads, "value_fn": value_fn}


def _checked_stream(support: Any, num_steps: int) -> Any:
    for leaf in jax.tree.leaves(support):
        if jnp.shape(leaf)[:1] != (num_steps,):
            expected = f"a leading axis of num_steps, {num_steps}, in every leaf"
            errors.refuse("support", jnp.shape(leaf), expected)
    return support
