"""The MAML objective, how good the params are *after* they adapted, and its gradient."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mermaide_jax._jax.batching import (
    map_batches,
    members_in_cache,
    merge_blocks,
    split_blocks,
    sum_over_blocks,
)
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.meta.inner_loop import Adapt, Loss, Params


def maml_loss(adapt: Adapt, outer_loss: Loss) -> Loss:
    """Returns ``loss(params, adaptation_data, evaluation_data)`` of one task.

        L_i(theta) = outer_loss(adapt(theta; D_i); D'_i)

    ``jax.grad`` of it is the meta-gradient; average over tasks with ``vmap``. The data are given,
    so no sampling takes place in the differentiated graph: how theta changes the *distribution*
    of ``D_i`` reaches the gradient only if the inner loss accounts for it (`losses.dice_loss`).

    Args:
      adapt: what `inner_loop` returns.
      outer_loss: ``outer_loss(params, *evaluation_data) -> scalar``, or ``(scalar, aux)`` for
        ``jax.grad(..., has_aux=True)``.

    Source: Finn, Abbeel and Levine (2017), Eq. (1).
    """

    def loss(
        params: Params, adaptation_data: tuple[Any, ...], evaluation_data: tuple[Any, ...]
    ) -> Any:
        return outer_loss(adapt(params, *adaptation_data), *evaluation_data)

    return loss


def maml_gradient(
    adapt: Adapt,
    outer_loss: Loss,
    play: Callable[..., Any],
    prepare: Callable[[Any], tuple[Any, ...]],
    params: Params,
    support: Any,
    settings: Any,
    block_size: int | None = None,
) -> tuple[jax.Array, Params, Any]:
    """Mean over tasks of `maml_loss` and its gradient, with data sampled under the adapted params.

        theta_i = adapt(theta; D_i)    D'_i ~ play(theta_i)    g_i = grad outer_loss(theta_i; D'_i)
        gradient = 1/N sum_i (d theta_i / d theta)^T g_i

    Sampling takes place between adaptation and its pullback, outside of what is differentiated, and
    each task adapts once. Inner gradients of all tasks are taken at the same ``theta``, so they run
    side by side and share its products; what runs under a task's own ``theta_i`` is batched so that
    the weights stay in cache. With blocks, the tasks adapt twice (once to play, once to learn), and
    memory beyond the data is that of one block, whatever ``N``.

    Args:
      adapt: ``adapt(params, support) -> params`` of one task, see `inner_loop`.
      outer_loss: ``outer_loss(params, *data) -> scalar`` of one task.
      play: ``play(adapted, settings) -> data`` of a batch of tasks, every leaf with leading axis.
      prepare: what is done to the data of *all* tasks before any is learned from, such as a common
        scale: ``prepare(data) -> arguments of outer_loss``, leading axis ``N`` throughout.
      params: ``theta``.
      support: ``D_i``, leading axis ``N``.
      settings: what ``play`` needs of each task (keys, the task itself), leading axis ``N``.
      block_size: tasks in memory at a time; it divides ``N``. None: all.

    Returns:
      mean loss, mean gradient, and the data that were played, leading axis ``N``.

    Raises:
      ConfigError: ``block_size`` does not divide ``N``.
    """
    number = jax.tree.leaves(support)[0].shape[0]
    size = number if block_size is None else check_at_least("block_size", block_size, 1)
    if number % size:
        refuse("block_size", size, f"a divisor of the number of tasks, {number}")

    # The names of the parts appear in profiles.
    @jax.named_scope("adapt")
    def adapt_all(support: Any) -> tuple[Params, Callable[..., Any]]:
        return jax.vjp(lambda p: jax.vmap(adapt, (None, 0))(p, support), params)

    def learn(adapted: Params, pullback: Callable[..., Any], arguments: Any) -> Any:
        gradient = jax.value_and_grad(outer_loss)
        with jax.named_scope("learn"):
            members = members_in_cache(adapted)
            losses, cotangents = map_batches(gradient, members, adapted, *arguments)
        with jax.named_scope("pull_back"):
            return jnp.sum(losses), pullback(cotangents)[0]

    if size == number:
        adapted, pullback = adapt_all(support)
        data = play(adapted, settings)
        loss, grads = learn(adapted, pullback, prepare(data))
    else:
        blocks = split_blocks((support, settings), size)
        played = jax.lax.map(lambda block: play(adapt_all(block[0])[0], block[1]), blocks)
        data = merge_blocks(played)
        blocks = split_blocks((support, prepare(data)), size)

        def learn_block(block: Any) -> Any:
            adapted, pullback = adapt_all(block[0])
            return learn(adapted, pullback, block[1])

        loss, grads = sum_over_blocks(learn_block, blocks)
    return loss / number, jax.tree.map(lambda g: g / number, grads), data
