"""Cutting agents into blocks, and putting the results together again."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from mermaide_jax._jax.batching import merge_blocks, split_blocks
from mermaide_jax.simulation.results import Bandits, Simulation


def map_blocks(
    one_block: Callable,
    first_agent: jax.Array,
    params: Any,
    bandits: Bandits,
    schedule: jax.Array | None,
    block_size: int,
) -> Simulation:
    """Runs one block of agents after the other.

    Args:
      one_block: ``one_block(agents, params, bandits, schedule)``, with leading axis ``block_size``
        in all but a shared schedule, gives counts, total reward and share on target, and a tuple
        of what was recorded, all with the same leading axis.
      first_agent: number of the first agent.
      params: leaves ``[N, ...]``.
      bandits: leaves ``[N, ...]``.
      schedule: None, ``[T]``, or ``[T, N]``, which reaches ``one_block`` as ``[block_size, T]``.
      block_size: agents in a block; the last one is filled up, and the filling dropped.

    Example:
      >>> bandits = Bandits(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(3, jnp.int32))
      >>> one = lambda agents, params, bandits, schedule: (bandits.mean_rewards, agents, agents, ())
      >>> map_blocks(one, jnp.uint32(7), None, bandits, None, block_size=2).total_reward.tolist()
      [7, 8, 9]
    """
    num_agents = bandits.mean_rewards.shape[0]
    agents = jnp.arange(num_agents, dtype=jnp.uint32) + first_agent
    each = schedule.T if schedule is not None and schedule.ndim == 2 else None

    def one(inputs):
        *rest, each = inputs
        return one_block(*rest, schedule if each is None else each)

    whole = jax.tree.map(lambda leaf: fill(leaf, block_size), (agents, params, bandits, each))
    out = merge_blocks(lax.map(one, split_blocks(whole, block_size)))
    counts, total, share, recorded = jax.tree.map(lambda leaf: leaf[:num_agents], out)
    return Simulation(counts, total, share, *(leaf.T for leaf in recorded))


def fill(leaf: jax.Array, block_size: int) -> jax.Array:
    """Lengthens ``[N, ...]`` to whole blocks by repeating the last agent.

    Example:
      >>> fill(jnp.array([1, 2, 3]), block_size=2).tolist()
      [1, 2, 3, 3]
    """
    missing = -leaf.shape[0] % block_size
    if not missing:
        return leaf
    return jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
