"""A gradient whose own derivative is one Hessian-vector product in forward mode."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Params = Any


def hessian_aware_grad(loss: Callable[..., Any]) -> Callable[..., Params]:
    """Returns ``gradient(params, *data)``, equal to ``jax.grad(loss)`` in value and derivatives.

    Reverse mode through ``jax.grad`` builds the graph of a graph. The Hessian is symmetric, so the
    same cotangent is a *tangent* of the gradient:

        v^T d(grad L(theta; D))/d(theta, D) = d/ds grad_(theta, D) L(theta + s v; D)  at s = 0

    The gradient is linearised once, where it is computed, so that pulling a cotangent back costs
    the tangent pass alone: two gradients' worth of products, as backward through forward would,
    without storing a backward pass.

    Args:
      loss: ``loss(params, *data) -> scalar``; ``params`` are floating; data may be anything, and
        what the loss closes over is differentiated too.

    Source: Pearlmutter (1994); MAML's use of it, Finn, Abbeel and Levine (2017), section 2.2.

    Example:
      >>> gradient = hessian_aware_grad(lambda x, data: jnp.sum(data * x**3))
      >>> x, data = jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0])
      >>> gradient(x, data).tolist()
      [3.0, 12.0]
      >>> jax.grad(lambda x: gradient(x, data)[1])(x).tolist()  # a row of the Hessian
      [0.0, 12.0]
    """

    def gradient(params: Params, *data: Any) -> Params:
        pure, closed_over = jax.closure_convert(loss, params, *data)
        leaves, treedef = jax.tree.flatten((data, tuple(closed_over)))
        smooth = [jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) for leaf in leaves]
        floats = [leaf for leaf, is_smooth in zip(leaves, smooth, strict=True) if is_smooth]
        others = [leaf for leaf, is_smooth in zip(leaves, smooth, strict=True) if not is_smooth]

        def of_floats(params, floats, others):
            parts = {True: iter(floats), False: iter(others)}
            data, closed_over = treedef.unflatten(next(parts[s]) for s in smooth)
            return pure(params, *data, *closed_over)

        return _gradient(of_floats, params, floats, others)

    return gradient


def _gradient(loss, params, floats, others):
    """The gradient of ``loss(params, floats, others)`` in ``params``."""

    @jax.custom_vjp
    def gradient(params, floats, others):
        return _tied(jax.grad(loss)(params, floats, others), (params, floats, others))

    def forward(params, floats, others):
        both = lambda p: jax.grad(loss, argnums=(0, 1))(p, floats, others)  # noqa: E731
        (of_params, _), tangent = jax.linearize(both, params)
        return _tied(of_params, (params, floats, others)), tangent

    def backward(tangent, cotangent):
        return (*tangent(cotangent), None)

    gradient.defvjp(forward, backward)
    return gradient(params, floats, others)


def _tied(tree: Any, inputs: Any) -> Any:
    """``tree``, every leaf of which depends on all of ``inputs``, if only in form.

    Under `jax.vmap`, a leaf that depends on no batched input is not batched, and `jax.custom_vjp`
    hands the sum of its cotangents to every member of the batch: they would count ``N`` times.
    """
    firsts = [jnp.ravel(leaf)[:1] for leaf in jax.tree.leaves(inputs)]
    same = jnp.any(jnp.concatenate([first == first for first in firsts]))
    return jax.tree.map(lambda leaf: jnp.where(same, leaf, leaf), tree)
