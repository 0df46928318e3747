"""Streams: independent runs side by side, split evenly over the devices."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mermaide_jax._jax.batching import map_batches
from mermaide_jax._jax.compiling import LITTLE_MEMORY, CpuJit


def stream_mesh(num_streams: int) -> Mesh:
    """Takes as many devices as divide the streams evenly.

    Example:
      >>> stream_mesh(1).size
      1
    """
    devices = jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if num_streams % n == 0)
    return Mesh(np.asarray(devices[:count]), ("streams",))


def place_streams(tree: Any, num_streams: int, *, copy: bool = False) -> Any:
    """Puts leading axis ``[S]`` on the devices as a chunk returns it, so that nothing moves.

    Args:
      tree: arrays.
      num_streams: ``S``.
      copy: never share memory with ``tree``, for what will be donated.

    Example:
      >>> place_streams({"x": jnp.arange(2.0)}, num_streams=2)["x"].tolist()
      [0.0, 1.0]
    """
    placement = NamedSharding(stream_mesh(num_streams), PartitionSpec("streams"))
    return jax.device_put(tree, placement, may_alias=False if copy else None)


def copy_to_host(tree: Any) -> Any:
    """Copies arrays to the host, as numpy's; typed keys stay JAX's. Nothing is shared.

    Example:
      >>> type(copy_to_host(jnp.arange(2.0))).__name__
      'ndarray'
    """

    def of_leaf(leaf: jax.Array) -> Any:
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return np.array(leaf)
        numbers: Any = np.array(jax.random.key_data(leaf))
        return jax.random.wrap_key_data(numbers, impl=jax.random.key_impl(leaf))

    return jax.tree.map(of_leaf, tree)


def over_streams(
    function: Callable[..., Any],
    num_streams: int,
    donate: tuple[int, ...] = (),
    side_by_side: int | None = 1,
) -> Callable[..., Any]:
    """Maps ``function`` over leading axis ``[S]``, the streams split evenly over the devices.

    Streams never talk to each other, so each device runs its own share as one program: side by
    side on an accelerator, but on a CPU one after the other, as each has weights of its own and
    fills the caches alone. On a CPU, unless called under a trace, it is compiled in an order that
    needs little memory.

    Args:
      function: of one stream.
      num_streams: ``S``.
      donate: numbers of arguments that are overwritten by results of the same shape.
      side_by_side: streams that a CPU runs as one batch; None: all of its share. For small
        networks, whose many small operations cost more than their arithmetic.

    Example:
      >>> over_streams(lambda x, y: x * y, 3)(jnp.arange(3.0), jnp.ones(3)).tolist()
      [0.0, 1.0, 2.0]
    """
    spec = PartitionSpec("streams")
    mesh = stream_mesh(num_streams)
    # On an accelerator streams fill the device together; on a CPU they evict each other's weights.
    batch = side_by_side if jax.default_backend() == "cpu" else None
    share = functools.partial(map_batches, function, batch)
    mapped = jax.shard_map(share, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return CpuJit(mapped, LITTLE_MEMORY, donate_argnums=donate)
