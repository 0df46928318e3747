"""How the members of a batch are run: side by side, one after the other, or in blocks."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

CACHE_BYTES = 2**20
"""Weights that a CPU core can be expected to keep at hand."""


def members_in_cache(weights: Any) -> int | None:
    """How many members of ``weights``, with leading axis ``N``, to run side by side.

    A member with weights of its own multiplies small matrices by large ones. Side by side, the
    weights of all pass through the cache at every step of a recurrence; one after the other, only
    once. None, all of them, where the weights fit or the machine is not a CPU.
    """
    leaves = jax.tree.leaves(weights)
    number, total = leaves[0].shape[0], sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    if jax.default_backend() != "cpu" or total <= CACHE_BYTES:
        return None
    return max(1, number * CACHE_BYTES // total)


def map_batches(function: Callable[..., Any], batch_size: int | None, *args: Any) -> Any:
    """``vmap`` of ``function`` over leading axes, ``batch_size`` members at a time (None: all)."""
    number = jax.tree.leaves(args)[0].shape[0]
    if number == 1:
        # XLA does not undo a batch of one: it makes an update half again as slow on CPUs.
        alone = function(*jax.tree.map(lambda x: x[0], args))
        return jax.tree.map(lambda x: x[None], alone)
    if batch_size is None or batch_size >= number:
        return jax.vmap(function)(*args)
    one = lambda member: function(*member)  # noqa: E731
    return jax.lax.map(one, args, batch_size=None if batch_size == 1 else batch_size)


def split_blocks(tree: Any, size: int) -> Any:
    """``[N, ...]`` to ``[N / size, size, ...]``."""
    return jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), tree)


def merge_blocks(tree: Any) -> Any:
    """``[N, M, ...]`` to ``[N * M, ...]``."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def sum_over_blocks(function: Callable[..., Any], blocks: Any) -> Any:
    """``sum_i function(block_i)``, holding one block in memory at a time.

    Args:
      function: ``function(block) -> pytree`` of sums over the block's members.
      blocks: pytree with leading axis ``N / size``, see `split_blocks`.
    """
    first = jax.tree.map(lambda x: x[0], blocks)
    if jax.tree.leaves(blocks)[0].shape[0] == 1:
        return function(first)
    step = lambda sums, block: (jax.tree.map(jnp.add, sums, function(block)), None)  # noqa: E731
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, first))
    return jax.lax.scan(step, zeros, blocks)[0]


def fold_batch(size: int, axis: int, array: jax.Array, batched: bool) -> jax.Array:
    """Makes an axis of an array larger by the batch, which is its first axis if it has one."""
    array = array if batched else jnp.broadcast_to(array, (size, *array.shape))
    array = jnp.moveaxis(array, 0, axis)
    return array.reshape(*array.shape[:axis], -1, *array.shape[axis + 2 :])


def unfold_batch(size: int, axis: int, array: jax.Array) -> jax.Array:
    """Undoes `fold_batch`; the batch comes first."""
    shape = (*array.shape[:axis], size, -1, *array.shape[axis + 1 :])
    return jnp.moveaxis(array.reshape(shape), axis, 0)
