"""A policy that learns from a single task, by REINFORCE on batches of interactions."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import losses
from mermaide_jax.training.loop import Trainer, train

__all__ = ["learn_alone", "train_alone"]


def learn_alone(
    init: Callable[[chex.PRNGKey], tuple[Any, Any]],
    play: Callable[..., tuple[Any, jax.Array, Any]],
    log_probs: Callable[[Any, Any], jax.Array],
    look: Callable[..., Any],
) -> Trainer:
    """Makes a `training.Trainer` whose data are a task and the learning rate of its Adam.

    Each update plays a batch and takes one step on it,

        L(theta) = -1/B sum_b (R_b - mean of the other rewards) log pi_theta(u_b)

    Args:
      init: ``init(key) -> (params, known)``; ``known`` is what it keeps of the task beside them.
      play: ``play(key, params, known, task) -> (batch, rewards [B], known)``.
      log_probs: ``log_probs(params, batch) -> [B]``.
      look: ``look(key, params, known, task) -> metrics``, before the batch.

    Example:
      An arm that pays what the task says, and one that pays nothing:

      >>> def play(key, logits, known, task):
      ...     arms = jax.random.categorical(key, logits, shape=(8,))
      ...     return arms, jnp.where(arms == 1, task, 0.0), known
      >>> trainer = learn_alone(
      ...     lambda key: (jnp.zeros(2), ()),
      ...     play,
      ...     lambda logits, arms: jax.nn.log_softmax(logits)[arms],
      ...     lambda key, logits, known, task: logits,
      ... )
      >>> tasks, rates = jnp.array([[1.0, -1.0]]), jnp.array([0.1])
      >>> logits = train_alone(jax.random.split(jax.random.key(0), 1), trainer, tasks, rates, 30)
      >>> (logits[0, :, -1, 1] > logits[0, :, -1, 0]).tolist()
      [True, False]
    """

    def start(key: chex.PRNGKey):
        params, known = init(key)
        return params, optax.adam(1.0).init(params), known

    def update(key: chex.PRNGKey, state: Any, data: tuple[Any, jax.Array]):
        (params, optimizer, known), (task, rate) = state, data
        key_play, key_look = jax.random.split(key)
        metrics = look(key_look, params, known, task)
        batch, rewards, known = play(key_play, params, known, task)
        advantages = rewards - losses.leave_one_out_baseline(rewards[:, None])[:, 0]

        def loss(params: Any) -> jax.Array:
            return losses.reinforce_loss(log_probs(params, batch), advantages) / rewards.shape[0]

        updates, optimizer = optax.adam(rate).update(jax.grad(loss)(params), optimizer)
        return (optax.apply_updates(params, updates), optimizer, known), metrics

    return Trainer(start, update)


def train_alone(
    keys: chex.PRNGKey, trainer: Trainer, tasks: Any, rates: jax.Array, updates: int
) -> Any:
    """Trains a learner of its own for each task, side by side.

    Args:
      keys: ``[M]``, of as many sets of tasks.
      trainer: of `learn_alone`.
      tasks: leading axes ``[M, N]``.
      rates: learning rate of each set, ``[M]``.
      updates: number of updates ``U``.

    Returns:
      The metrics, leading axes ``[M, N, U]``.

    Example:
      >>> look = lambda key, params, known, task: task
      >>> play = lambda key, params, known, task: (jnp.zeros(2), jnp.zeros(2), known)
      >>> init, learn = lambda key: (jnp.zeros(2), ()), lambda p, batch: p * batch
      >>> trainer = learn_alone(init, play, learn, look)
      >>> keys = jax.random.split(jax.random.key(0), 2)
      >>> train_alone(keys, trainer, jnp.ones((2, 3)), jnp.full(2, 0.1), 4).shape
      (2, 3, 4)
    """
    number = jax.tree.leaves(tasks)[0].shape[1]
    streams = jax.vmap(lambda key: jax.random.split(key, number))(keys).ravel()
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), tasks)
    data = (flat, jnp.repeat(rates, number))
    _, history = train(streams, trainer, data, updates, side_by_side=None)
    return jax.tree.map(lambda leaf: leaf.reshape(len(rates), number, *leaf.shape[1:]), history)
