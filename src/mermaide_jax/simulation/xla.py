"""Blocks of agents, one after the other: the fast path for XLA."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mermaide_jax.simulation import counters, stages
from mermaide_jax.simulation.results import Bandits, Simulation
from mermaide_jax.simulation.rules import Rule
from mermaide_jax.simulation.step import Block, Clock, advance, counts_of, start


def default_block_size(num_agents: int, num_arms: int) -> int:
    """Agents whose state of ``2 A`` rows stays in a first-level cache, in whole vectors."""
    most = max(32, min(256, 2048 // num_arms // 32 * 32))
    return num_agents if num_agents < 16 else min(most, math.ceil(num_agents / 16) * 16)


def square_root_of_log(horizon: int) -> np.ndarray:
    """``sqrt(log t)`` for ``t = 0..T-1`` (0 at ``t = 0``), ``[T]`` float32."""
    return np.sqrt(np.log(np.maximum(np.arange(horizon, dtype=np.float64), 1))).astype(np.float32)


def simulate_blocks(
    key: jax.Array,
    first_agent: jax.Array,
    params,
    bandits: Bandits,
    schedule: jax.Array | None,
    *,
    rule: Rule,
    horizon: int,
    block_size: int,
    rounds: int,
    record: bool,
    hints: bool,
) -> Simulation:
    """See `simulate`; leaves of ``params`` and of ``bandits`` have leading axis ``N``."""
    num_agents, num_arms = bandits.mean_rewards.shape
    keys = counters.stream_keys(key, 1 + rule.num_streams(num_arms))
    numbers = jnp.arange(num_agents, dtype=jnp.uint32) + first_agent
    per_agent = (numbers, params, bandits)
    shared = per_step = None
    if schedule is not None and schedule.ndim == 2:
        per_step = schedule.T
    elif schedule is not None:
        shared = schedule
    run = functools.partial(_run_block, rule, horizon, rounds, record, hints)
    run = stages.one_kernel(run) if hints else run

    def one_block(inputs):
        (agents, params, bandits), per_step = inputs
        block = Block(agents, params, bandits.mean_rewards.T, bandits.noise, bandits.target)
        log_time = jnp.asarray(square_root_of_log(horizon))
        bonus = shared if per_step is None else per_step.T
        counts, total, share, recorded = run(keys, block, log_time, bonus)
        return counts.T, total, share, recorded and tuple(x.T for x in recorded)

    cut = functools.partial(_cut, block_size=block_size)
    out = lax.map(one_block, jax.tree.map(cut, (per_agent, per_step)))
    join = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:num_agents]  # noqa: E731
    counts, total, share, recorded = jax.tree.map(join, out)
    return Simulation(counts, total, share, *(x.T for x in recorded or ()))


def _cut(leaf: jax.Array, block_size: int) -> jax.Array:
    """``[N, ...]`` to ``[N / block_size, block_size, ...]``; the last agent fills the last block."""
    blocks = math.ceil(leaf.shape[0] / block_size)
    missing = blocks * block_size - leaf.shape[0]
    if missing:
        leaf = jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
    return leaf.reshape(blocks, block_size, *leaf.shape[1:])


def _run_block(rule, horizon, rounds, record, hints, keys, block: Block, log_time, bonus):
    """All steps of one block; rows are stacked by arm, ``[A, L]``."""
    num_arms, size = block.mean_rewards.shape
    stage = stages.stage if hints else stages.plain

    def step(time, carry):
        state, recorded = carry
        paid = None if bonus is None else jnp.broadcast_to(bonus[time], (size,))
        clock = Clock(time, log_time[time], paid)
        state, arm, reward = advance(rule, rounds, keys, block, state, clock, stage)
        if record:
            recorded = (recorded[0].at[time].set(arm), recorded[1].at[time].set(reward))
        return state, recorded

    empty = jnp.zeros((horizon, size), jnp.int32), jnp.zeros((horizon, size), jnp.float32)
    carry = (start(rule, block, num_arms), empty if record else None)
    state, recorded = lax.fori_loop(0, horizon, step, carry)
    counts = counts_of(rule, state.weights)
    total = jnp.sum(counts * state.means, 0)
    on_target = lax.broadcasted_iota(jnp.int32, counts.shape, 0) == block.target[None]
    share = jnp.sum(jnp.where(on_target, counts, 0.0), 0) / np.float32(horizon)
    return counts.astype(jnp.int32), total, share, recorded
