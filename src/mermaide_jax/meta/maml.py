"""The MAML objective, how good the params are *after* they adapted, and its gradient."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mermaide_jax._jax.batching import (
    map_batches,
    members_in_cache,
    merge_blocks,
    split_blocks,
    sum_over_blocks,
)
from mermaide_jax.base import Params
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.meta.inner_loop import Adapt, Loss


def maml_loss(adapt: Adapt, outer_loss: Loss) -> Callable[[Params, Any, Any], Any]:
    """Makes ``loss(params, support, query)`` of one task, the MAML objective.

        L_i(theta) = outer_loss(adapt(theta; D_i); D'_i)

    ``jax.grad`` of it is the meta-gradient; average over tasks with ``vmap``. The data are given,
    so no sampling takes place in the differentiated graph: how theta changes the *distribution*
    of ``D_i`` reaches the gradient only if the inner loss accounts for it (`losses.dice_loss`).

    Args:
      adapt: what `inner_loop` returns.
      outer_loss: ``outer_loss(params, query) -> scalar``, or ``(scalar, aux)`` for
        ``jax.grad(..., has_aux=True)``.

    Source: Finn, Abbeel and Levine (2017), Eq. (1) (https://arxiv.org/abs/1703.03400).

    Example:
      >>> square = lambda x, target: (x - target) ** 2
      >>> loss = maml_loss(meta.inner_loop(square, optax.sgd(0.25)), square)
      >>> float(loss(jnp.float32(0.0), jnp.float32(1.0), jnp.float32(1.0)))  # after a step to 0.5
      0.25
    """

    def loss(params: Params, support: Any, query: Any) -> Any:
        return outer_loss(adapt(params, support), query)

    return loss


def meta_gradient(
    adapt: Adapt, outer_loss: Loss, *, has_aux: bool = False
) -> Callable[[Params, Any, Any], tuple[Any, Params]]:
    """Makes ``gradient(params, support, query) -> (loss, gradient)`` of one task, for given data.

    What kind of meta-gradient it is follows from how ``adapt`` is differentiated: see
    `mermaide_jax.meta.kinds`. Where the query is to be played with the adapted params, see
    `maml_gradient`.

    Args:
      adapt: what `inner_loop` returns.
      outer_loss: ``outer_loss(params, query) -> scalar``, or ``(scalar, aux)`` with ``has_aux``.
      has_aux: whether it gives more than the loss.

    Example:
      >>> import jax.numpy as jnp, optax
      >>> from mermaide_jax.meta import inner_loop
      >>> square = lambda x, target: (x - target) ** 2
      >>> gradient = meta_gradient(inner_loop(square, optax.sgd(0.25)), square)
      >>> [float(x) for x in gradient(jnp.float32(0.0), jnp.float32(1.0), jnp.float32(1.0))]
      [0.25, -0.5]
    """
    return jax.value_and_grad(maml_loss(adapt, outer_loss), has_aux=has_aux)


class TaskGroup(NamedTuple):
    """Tasks that are played by one program, see `maml_gradient_of_groups`.

    Attributes:
      play: ``play(adapted, settings) -> data`` of a batch of them, every leaf with leading axis.
      support: ``D_i``, leading axis ``n``.
      settings: what ``play`` needs of each task (keys, the task itself), leading axis ``n``.
    """

    play: Callable[[Params, Any], Any]
    support: Any
    settings: Any

    @property
    def size(self) -> int:
        """Number ``n`` of tasks."""
        return jax.tree.leaves(self.support)[0].shape[0]


def maml_gradient(
    adapt: Adapt,
    outer_loss: Loss,
    play: Callable[[Params, Any], Any],
    prepare: Callable[[Any], Any],
    params: Params,
    support: Any,
    settings: Any,
    block_size: int | None = None,
) -> tuple[jax.Array, Params, Any]:
    """Computes the mean over tasks of `maml_loss` and its gradient, with queries that are played.

        theta_i = adapt(theta; D_i)    D'_i ~ play(theta_i)    g_i = grad outer_loss(theta_i; D'_i)
        gradient = 1/N sum_i (d theta_i / d theta)^T g_i

    Sampling takes place between adaptation and its pullback, outside of what is differentiated, and
    each task adapts once. Inner gradients of all tasks are taken at the same ``theta``, so they run
    side by side and share its products; what runs under a task's own ``theta_i`` is batched so that
    the weights stay in cache. With blocks, the tasks adapt twice (once to play, once to learn), and
    memory beyond the data is that of one block, whatever ``N``.

    Args:
      adapt: ``adapt(params, support) -> params`` of one task, see `inner_loop`.
      outer_loss: ``outer_loss(params, query) -> scalar`` of one task.
      play: see `TaskGroup`.
      prepare: what is done to the data of *all* tasks before any is learned from, such as a common
        scale: ``prepare(data) -> queries``, leading axis ``N`` throughout.
      params: ``theta``.
      support: ``D_i``, leading axis ``N``.
      settings: what ``play`` needs of each task, leading axis ``N``.
      block_size: tasks in memory at a time; it divides ``N``. None: all.

    Returns:
      mean loss, mean gradient, and the data that were played, leading axis ``N``.

    Raises:
      ConfigError: ``block_size`` does not divide ``N``.

    Example:
      >>> square = lambda x, target: (x - target) ** 2
      >>> adapt = meta.inner_loop(square, optax.sgd(0.25))
      >>> play = lambda adapted, targets: targets  # what is played depends on nothing here
      >>> targets = jnp.array([1.0, 3.0])
      >>> loss, gradient, _ = maml_gradient(
      ...     adapt, square, play, lambda data: data, jnp.float32(0.0), targets, targets
      ... )
      >>> float(loss), float(gradient)
      (1.25, -1.0)
    """
    group = TaskGroup(play, support, settings)
    if block_size is not None and group.size % check_at_least("block_size", block_size, 1):
        refuse("block_size", block_size, f"a divisor of the number of tasks, {group.size}")
    return maml_gradient_of_groups(adapt, outer_loss, prepare, params, [group], block_size)


def maml_gradient_of_groups(
    adapt: Adapt,
    outer_loss: Loss,
    prepare: Callable[[Any], Any],
    params: Params,
    groups: Sequence[TaskGroup],
    block_size: int | None = None,
) -> tuple[jax.Array, Params, Any]:
    """Does the same for tasks of several groups, each of which is played by its own program.

    Args:
      adapt: as in `maml_gradient`.
      outer_loss: as in `maml_gradient`.
      prepare: as in `maml_gradient`; it sees the data of all groups, one after the other.
      params: ``theta``.
      groups: ``N`` tasks in all; the data of all groups have the same shapes.
      block_size: tasks in memory at a time; a group whose size it does not divide is cut into
        blocks of the next smaller size that does. None: all.

    Returns:
      as `maml_gradient`, the groups one after the other.

    Raises:
      ConfigError: no groups, or a ``block_size`` below 1.

    Example:
      >>> square = lambda x, target: (x - target) ** 2
      >>> adapt = meta.inner_loop(square, optax.sgd(0.25))
      >>> group = lambda *targets: TaskGroup(lambda x, y: y, jnp.array(targets), jnp.array(targets))
      >>> groups = [group(1.0), group(3.0, 3.0)]
      >>> loss, gradient, _ = maml_gradient_of_groups(
      ...     adapt, square, lambda data: data, jnp.float32(0.0), groups
      ... )
      >>> round(float(loss), 3), round(float(gradient), 3)
      (1.583, -1.167)
    """
    check_at_least("number of groups", len(groups), 1)
    if block_size is not None:
        check_at_least("block_size", block_size, 1)

    # The names of the parts appear in profiles.
    @jax.named_scope("adapt")
    def adapt_all(support: Any) -> tuple[Params, Callable[..., Any]]:
        return jax.vjp(lambda p: jax.vmap(adapt, (None, 0))(p, support), params)

    def learn(adapted: Params, pullback: Callable[..., Any], queries: Any) -> Any:
        gradient = jax.value_and_grad(outer_loss)
        with jax.named_scope("learn"):
            members = members_in_cache(adapted)
            losses, cotangents = map_batches(gradient, members, adapted, queries)
        with jax.named_scope("pull_back"):
            return jnp.sum(losses), pullback(cotangents)[0]

    number = sum(group.size for group in groups)
    if block_size is None or block_size >= number:
        loss, grads, data = _all_at_once(adapt_all, learn, prepare, groups)
    else:
        loss, grads, data = _in_blocks(adapt_all, learn, prepare, groups, block_size)
    return loss / number, jax.tree.map(lambda g: g / number, grads), data


def _all_at_once(
    adapt_all: Callable[..., Any],
    learn: Callable[..., Any],
    prepare: Callable[[Any], Any],
    groups: Sequence[TaskGroup],
) -> tuple[jax.Array, Params, Any]:
    """Sums of losses and gradients; all tasks adapt and learn side by side."""
    adapted, pullback = adapt_all(_joined([group.support for group in groups]))
    own = _cut(adapted, groups)
    data = _joined([g.play(part, g.settings) for g, part in zip(groups, own, strict=True)])
    return *learn(adapted, pullback, prepare(data)), data


def _in_blocks(
    adapt_all: Callable[..., Any],
    learn: Callable[..., Any],
    prepare: Callable[[Any], Any],
    groups: Sequence[TaskGroup],
    block_size: int,
) -> tuple[jax.Array, Params, Any]:
    """The same, one block in memory at a time; a block is of one group."""
    sizes = [_block_size(group.size, block_size) for group in groups]
    data = []
    for group, size in zip(groups, sizes, strict=True):
        blocks = split_blocks((group.support, group.settings), size)
        play = lambda block, g=group: g.play(adapt_all(block[0])[0], block[1])  # noqa: E731
        data.append(merge_blocks(jax.lax.map(play, blocks)))

    def learn_block(block: Any) -> Any:
        # Adapted anew: to keep all pullbacks from playing on would be the memory that blocks save.
        adapted, pullback = adapt_all(block[0])
        return learn(adapted, pullback, block[1])

    played = _joined(data)
    queries = _cut(prepare(played), groups)
    sums = [
        sum_over_blocks(learn_block, split_blocks((group.support, query), size))
        for group, query, size in zip(groups, queries, sizes, strict=True)
    ]
    loss, grads = jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *sums)
    return loss, grads, played


def _block_size(number: int, most: int) -> int:
    """The greatest divisor of ``number`` that is at most ``most``."""
    return max(n for n in range(1, min(number, most) + 1) if number % n == 0)


def _joined(parts: Sequence[Any]) -> Any:
    """Trees of the groups, one after the other along the leading axis."""
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def _cut(tree: Any, groups: Sequence[TaskGroup]) -> list[Any]:
    """Undoes `_joined`."""
    if len(groups) == 1:
        return [tree]
    starts = itertools.accumulate((group.size for group in groups[:-1]), initial=0)
    return [
        jax.tree.map(lambda leaf, a=a, b=a + g.size: leaf[a:b], tree)
        for a, g in zip(starts, groups, strict=True)
    ]
