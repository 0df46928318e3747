"""The whole rollout as one Pallas kernel: state in registers, the time loop inside.

One program of the grid plays one block of agents. Each arm's mean and weight is a row of its own,
a value of the loop, so nothing but results is written to memory. The step is that of the XLA path.
"""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

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

BLOCK_SIZE = 128
"""Agents in one program: a power of two, as Triton wants, and whole vectors of a TPU."""


def simulate_fused(
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
    platform: str,
) -> Simulation:
    """Simulates a specialised family in one kernel, see `simulate`; leaves have leading axis ``N``.

    On ``platform`` ``"gpu"`` the kernel is compiled by Triton, on ``"tpu"`` by Mosaic; on ``"cpu"``
    its operations are interpreted one by one.
    """
    num_agents, num_arms = bandits.mean_rewards.shape
    keys = counters.stream_keys(key, 1 + family.num_streams(num_arms))
    fill = functools.partial(blocks.fill, block_size=block_size)
    params, bandits = jax.tree.map(fill, (params, bandits))
    noise, target = jnp.asarray(bandits.noise), jnp.asarray(bandits.target)
    agents = jnp.arange(noise.shape[0], dtype=jnp.uint32) + first_agent
    block = Block(agents, params, bandits.mean_rewards.T, noise, target)
    if schedule is not None and schedule.ndim == 2:
        schedule = fill(schedule.T).T
    inputs = (keys, schedule, block)
    rows = lambda dtype, number: jax.ShapeDtypeStruct((number, len(agents)), dtype)  # noqa: E731
    outputs = (rows(jnp.float32, num_arms), rows(jnp.float32, num_arms))
    if record:
        outputs += (rows(jnp.int32, horizon), rows(jnp.float32, horizon))
    last = functools.partial(_by_last_axis, block_size=block_size)
    specs = (_whole(keys), _schedule_spec(schedule, last), jax.tree.map(last, block))
    leaves, structure = jax.tree.flatten(inputs)
    stage = stages.stage if platform == "cpu" else stages.plain
    means, weights, *recorded = pl.pallas_call(
        functools.partial(_kernel, family, rounds, horizon, stage, structure, len(leaves)),
        out_shape=outputs,
        grid=(len(agents) // block_size,),
        in_specs=jax.tree.leaves(specs),
        out_specs=tuple(map(last, outputs)),
        interpret=platform == "cpu",
        compiler_params=_compiler_params(platform),
        name="simulate",
    )(*leaves)
    state = State(means, weights)
    counts, total, share = summarise(family, target, state, horizon)
    keep = slice(num_agents)
    recorded = (leaf[:, keep] for leaf in recorded)
    return Simulation(counts.T[keep], total[keep], share[keep], *recorded)


def _compiler_params(platform: str) -> Any:
    if platform != "gpu":
        return None
    # Imported here, as not every JAX has it.
    triton = importlib.import_module("jax.experimental.pallas.triton")
    return triton.CompilerParams(num_warps=4)


def _by_last_axis(leaf, block_size: int) -> pl.BlockSpec:
    """Each program has its own part of the last axis."""
    before = leaf.shape[:-1]
    return pl.BlockSpec((*before, block_size), lambda i: (*(0 for _ in before), i))


def _whole(leaf) -> pl.BlockSpec:
    return pl.BlockSpec(leaf.shape, lambda _: (0,) * leaf.ndim)


def _schedule_spec(schedule, last) -> pl.BlockSpec | None:
    if schedule is None:
        return None
    return last(schedule) if schedule.ndim == 2 else _whole(schedule)


def _kernel(
    family: FastFamily, rounds: int, horizon: int, stage, structure, num_inputs: int, *refs
) -> None:
    keys_ref, schedule, block = jax.tree.unflatten(structure, refs[:num_inputs])
    means_ref, weights_ref, *recorded = refs[num_inputs:]
    num_arms, size = means_ref.shape
    read = lambda ref: ref[:]  # noqa: E731
    block = Block(
        agents=read(block.agents),
        params=jax.tree.map(read, block.params),
        mean_rewards=tuple(block.mean_rewards[arm, :] for arm in range(num_arms)),
        noise=read(block.noise),
        target=read(block.target),
    )

    keys = tuple((keys_ref[i, 0], keys_ref[i, 1]) for i in range(keys_ref.shape[0]))

    def step(time, state: State) -> State:
        bonus = None
        if schedule is not None:
            paid = schedule[time] if schedule.ndim == 1 else schedule[time, :]
            bonus = jnp.broadcast_to(paid, (size,))
        clock = Clock(time, sqrt_log(time), bonus)
        state, arm, reward = advance(family, rounds, keys, block, state, clock, stage, careful=True)
        for ref, row in zip(recorded, (arm, reward), strict=False):
            ref[time, :] = row
        return state

    state = lax.fori_loop(0, horizon, step, start(family, block, num_arms))
    for arm in range(num_arms):
        means_ref[arm, :] = state.means[arm]
        weights_ref[arm, :] = state.weights[arm]
