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
"""Agents in one program: the threads of a GPU's warpgroup, and whole vectors of a TPU."""


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

    On a ``platform`` ``"gpu"`` or ``"tpu"`` the kernel is compiled by its Mosaic; on ``"cpu"`` its
    operations are interpreted one by one.

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> options = {"horizon": 9, "block_size": 3, "rounds": 13, "record": False, "family": family}
      >>> fused = jax.jit(functools.partial(simulate_fused, **options, platform="cpu"))
      >>> betas, bandits = agents.UCBParams(jnp.ones(3)), Bandits(jnp.eye(3, 2), *jnp.zeros((2, 3)))
      >>> fused(jax.random.key(0), jnp.uint32(0), betas, bandits, None).counts.sum(axis=1).tolist()
      [9, 9, 9]
    """
    num_agents, num_arms = bandits.mean_rewards.shape
    keys = counters.stream_keys(key, 1 + family.num_streams(num_arms))
    fill = functools.partial(blocks.fill, block_size=block_size)
    params, bandits = jax.tree.map(fill, (params, bandits))
    noise, target = jnp.asarray(bandits.noise), jnp.asarray(bandits.target)
    agents = jnp.arange(noise.shape[0], dtype=jnp.uint32) + first_agent
    block = Block(agents, params, bandits.mean_rewards.T, noise, target)
    each = schedule is not None and schedule.ndim == 2
    if schedule is not None and each:
        schedule = fill(schedule.T).T
    rows = lambda dtype, number: jax.ShapeDtypeStruct((number, len(agents)), dtype)  # noqa: E731
    outputs = (rows(jnp.float32, num_arms), rows(jnp.float32, num_arms))
    if record:
        outputs += (rows(jnp.int32, horizon), rows(jnp.float32, horizon))
    operands, structure = jax.tree.flatten((keys, schedule, block))
    split = jax.tree.leaves((False, schedule if schedule is None else each, _all_true(block)))
    if platform == "gpu":
        mosaic = importlib.import_module("mermaide_jax.simulation.mosaic")
        run, stage, row = mosaic.run_blocks, mosaic.stage, mosaic.row
    else:
        run = functools.partial(_run_blocks, block_size, platform == "cpu")
        stage, row = (stages.stage if platform == "cpu" else stages.plain), stages.plain
    program = functools.partial(_kernel, family, rounds, horizon, stage, row, structure)
    means, weights, *recorded = run(program, operands, split, outputs)
    state = State(means, weights)
    counts, total, share = summarise(family, target, state, horizon)
    keep = slice(num_agents)
    recorded = (leaf[:, keep] for leaf in recorded)
    return Simulation(counts.T[keep], total[keep], share[keep], *recorded)


def _all_true(tree: Any) -> Any:
    return jax.tree.map(lambda _: True, tree)


def _run_blocks(block_size: int, interpret: bool, program, operands, split, outputs) -> Any:
    """As `mermaide_jax.simulation.mosaic.run_blocks`, on a TPU or interpreted."""
    last = functools.partial(_by_last_axis, block_size=block_size)
    specs = [last(x) if part else _whole(x) for x, part in zip(operands, split, strict=True)]
    return pl.pallas_call(
        program,
        out_shape=outputs,
        grid=(outputs[0].shape[-1] // block_size,),
        in_specs=specs,
        out_specs=tuple(map(last, outputs)),
        interpret=interpret,
        name="simulate",
    )(*operands)


def _by_last_axis(leaf, block_size: int) -> pl.BlockSpec:
    """Each program has its own part of the last axis."""
    before = leaf.shape[:-1]
    return pl.BlockSpec((*before, block_size), lambda i: (*(0 for _ in before), i))


def _whole(leaf) -> pl.BlockSpec:
    return pl.BlockSpec(leaf.shape, lambda _: (0,) * leaf.ndim)


def _kernel(family: FastFamily, rounds: int, horizon: int, stage, row, structure, *refs) -> None:
    num_inputs = structure.num_leaves
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
        clock = Clock(time, stage(sqrt_log)(time), bonus)
        state, arm, reward = advance(family, rounds, keys, block, state, clock, stage, careful=True)
        for ref, value in zip(recorded, (arm, reward), strict=False):
            ref[time, :] = value
        return state

    state = jax.tree.map(row, start(family, block, num_arms))
    state = lax.fori_loop(0, horizon, step, state)
    for arm in range(num_arms):
        means_ref[arm, :] = state.means[arm]
        weights_ref[arm, :] = state.weights[arm]
