"""Blocks of agents, one after the other: the fast path for XLA."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from mermaide_jax.simulation import blocks, counters, stages
from mermaide_jax.simulation.families import FastFamily
from mermaide_jax.simulation.results import Bandits, Simulation
from mermaide_jax.simulation.step import (
    Block,
    Clock,
    State,
    advance,
    sqrt_log,
    start,
    summarise,
)

_ONE_TASK = 190_000
"""XLA:CPU splits a loop among threads when it counts 200,000 or more for it; one kernel may not."""
_VECTOR = 16


def largest_kernel(family: FastFamily, num_arms: int) -> int:
    """Gives the most agents in a block that is compiled into one kernel.

    As XLA's cost model counts the dearest stage: 10 for each byte of two rows per arm, 1 for each
    operation, of which a stream of random numbers takes some 250.

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> largest_kernel(family, 2), largest_kernel(family, 100)
      (272, 16)
    """
    cost = 90 * num_arms + 250 * (1 + family.num_streams(num_arms))
    return _ONE_TASK // cost // _VECTOR * _VECTOR


def default_block_size(family: FastFamily, num_agents: int, num_arms: int) -> int:
    """Agents whose state stays in a first-level cache, in whole vectors.

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> [default_block_size(family, number, 2) for number in (5, 20, 1000)]
      [5, 48, 128]
    """
    largest = largest_kernel(family, num_arms)
    most = min(largest, 128) if largest else 1024
    # Blocks of one or two vectors are unrolled too far: three are played sooner.
    few = num_agents if num_agents < 12 else max(48, math.ceil(num_agents / _VECTOR) * _VECTOR)
    return min(most, few)


def simulate_blocks(
    key: jax.Array,
    first_agent: jax.Array,
    params,
    bandits: Bandits,
    schedule: jax.Array | None,
    *,
    family: FastFamily,
    horizon: int,
    block_size: int,
    rounds: int,
    record: bool,
    hints: bool,
) -> Simulation:
    """Simulates a specialised family by blocks, see `simulate`; leaves have leading axis ``N``.

    Example:
      >>> bandits = Bandits(jnp.array([[0.2, 0.9]] * 3), jnp.zeros(3), jnp.zeros(3, jnp.int32))
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> inputs = (jax.random.key(0), jnp.uint32(0), agents.UCBParams(jnp.ones(3)), bandits, None)
      >>> options = {"horizon": 9, "block_size": 2, "rounds": 20, "record": False, "hints": False}
      >>> simulate_blocks(*inputs, family=family, **options).counts.sum(axis=1).tolist()
      [9, 9, 9]
    """
    keys = counters.stream_keys(key, 1 + family.num_streams(bandits.mean_rewards.shape[1]))
    run = functools.partial(_run_block, family, horizon, rounds, record, hints)
    if hints and block_size <= largest_kernel(family, bandits.mean_rewards.shape[1]):
        run = stages.one_kernel(run)

    def one_block(agents, params, bandits: Bandits, bonus):
        noise, target = jnp.asarray(bandits.noise), jnp.asarray(bandits.target)
        block = Block(agents, params, bandits.mean_rewards.T, noise, target)
        bonus = bonus.T if bonus is not None and bonus.ndim == 2 else bonus
        # A large constant inside one kernel makes XLA:CPU abort: nothing here may look constant.
        state, recorded = run(*lax.optimization_barrier((keys, block, bonus)))
        counts, total, share = summarise(family, block.target, state, horizon)
        return counts.T, total, share, tuple(leaf.T for leaf in recorded)

    return blocks.map_blocks(one_block, first_agent, params, bandits, schedule, block_size)


def _run_block(family, horizon, rounds, record, hints, keys, block: Block, bonus):
    """All steps of one block; rows are stacked by arm, ``[A, L]``."""
    num_arms, size = block.mean_rewards.shape
    stage = stages.stage if hints else stages.plain
    keys = [(words[0], words[1]) for words in keys]

    def step(time, carry):
        state, recorded = carry
        paid = None if bonus is None else jnp.broadcast_to(bonus[time], (size,))
        clock = Clock(time, stage(sqrt_log)(time), paid)
        state, arm, reward = advance(family, rounds, keys, block, state, clock, stage)
        if record:
            write = functools.partial(lax.dynamic_update_index_in_dim, index=time, axis=0)
            recorded = (write(recorded[0], arm), write(recorded[1], reward))
        return state, recorded

    empty = jnp.zeros((horizon, size), jnp.int32), jnp.zeros((horizon, size), jnp.float32)
    begin = State(*map(jnp.stack, start(family, block, num_arms)))
    carry = (begin, empty if record else ())
    return lax.fori_loop(0, horizon, step, carry)
