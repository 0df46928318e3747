"""Plain gradient descent on an objective that plays anew for each estimate of its gradient."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax.training.loop import Trainer

__all__ = ["DescentState", "Gradient", "descend"]

Gradient = Callable[[chex.PRNGKey, Any, jax.Array, Any], tuple[Any, Any]]
"""``gradient(key, params, update, data) -> (gradient, metrics)``: an estimate by fresh draws;
``update`` is the number of updates done."""


class DescentState(NamedTuple):
    """What is learned by gradient descent.

    Attributes:
      update: int32 scalar, updates done, by which rates and bonuses go.
      params: what is learned.
      optimizer: state of the optimizer.
    """

    update: jax.Array
    params: Any
    optimizer: Any


def descend(
    init_params: Callable[[chex.PRNGKey], Any],
    gradient: Gradient,
    optimizer: optax.GradientTransformation,
) -> Trainer:
    """Makes a `training.Trainer` of a gradient and an optimizer, for `training.train`.

    Args:
      init_params: ``init_params(key) -> params``; ``key`` is consumed.
      gradient: see `Gradient`.
      optimizer: of optax.

    >>> import numpy as np
    >>> from mermaide_jax.training import train
    >>> toward = lambda key, x, update, goal: (x - goal, {"distance": jnp.abs(x - goal)})
    >>> trainer = descend(lambda key: jnp.float32(0.0), toward, optax.sgd(0.5))
    >>> goals = np.asarray([1.0, 2.0], np.float32)  # of two streams
    >>> state, history = train(jax.random.split(jax.random.key(0)), trainer, goals, 3)
    >>> np.asarray(state.learner.params).tolist(), history["distance"].shape
    ([0.875, 1.75], (2, 3))
    """

    def init(key: chex.PRNGKey) -> DescentState:
        params = init_params(key)
        return DescentState(jnp.int32(0), params, optimizer.init(params))

    def update(key: chex.PRNGKey, state: DescentState, data: Any) -> tuple[DescentState, Any]:
        grads, metrics = gradient(key, state.params, state.update, data)
        updates, following = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return DescentState(state.update + 1, params, following), metrics

    return Trainer(init, update)
