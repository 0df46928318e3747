"""The public function: checks, defaults, and the choice of an implementation."""

import functools
from typing import Any, Literal, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks
from mermaide_jax.agents import Agent
from mermaide_jax.simulation.reference import simulate_plainly
from mermaide_jax.simulation.results import Bandits, Simulation
from mermaide_jax.simulation.rules import MOST_ARMS, rule_of
from mermaide_jax.simulation.xla import default_block_size, simulate_blocks

Implementation = Literal["auto", "xla", "reference", "pallas"]
IMPLEMENTATIONS: tuple[str, ...] = get_args(Implementation)


def simulate(
    key: chex.PRNGKey,
    agent: Agent,
    params: Any,
    bandits: Bandits,
    horizon: int,
    *,
    schedule: jax.Array | None = None,
    record: bool = False,
    implementation: Implementation = "auto",
    block_size: int | None = None,
    rounds: int = 20,
    first_agent: chex.Numeric = 0,
) -> Simulation:
    """Simulates ``N`` agents that pull arms for ``T`` steps, each on its own bandit.

    At step ``t`` agent ``i`` takes ``a ~ agent`` and receives
    ``mu[i, a] + sigma[i] * xi + schedule[t, i] * 1[a = target[i]]``, ``xi`` standard normal.

    Compiled at the first call for each agent, shape and option. It may be called inside ``jit``.
    Adding agents does not change the draws of the agents before; a longer horizon begins with the
    shorter one.

    Args:
      key: typed key, consumed.
      agent: any learning rule of `mermaide_jax.agents`, e.g. ``agents.ucb(10)``; static.
      params: its params; every leaf is a scalar (shared) or has leading axis ``N``.
      bandits: who earns what.
      horizon: ``T``; static.
      schedule: bonus announced and paid on the target: ``[T]`` for all agents, or ``[T, N]``.
        None pays nothing.
      record: also return all actions and rewards, ``[T, N]``.
      implementation: ``"reference"`` vmaps a scan of the plain agent; ``"xla"`` is the batched
        fast path; ``"pallas"`` one fused kernel; ``"auto"`` the fastest that the agent and the
        platform have.
      block_size: agents that are simulated together; None chooses. It does not change the results.
      rounds: rounds of the threefry generator, 20 or 13 (faster, passes the same batteries);
        ignored by the reference, which uses `jax.random`.
      first_agent: number of the first agent: ``N`` agents from number 1000 on have the draws of
        agents 1000 to 1000 + N - 1 of a larger call. For devices that share the agents.

    Returns:
      Simulation.

    Raises:
      ConfigError: an argument does not fit the others.
    """
    _checks.check_at_least("horizon", horizon, 1)
    _checks.check_choice("implementation", implementation, IMPLEMENTATIONS)
    num_agents, num_arms = jnp.shape(bandits.mean_rewards)
    rule = rule_of(agent, num_arms)
    if implementation == "auto":
        implementation = "reference" if rule is None else "xla"
    inputs = (key, first_agent, params, bandits, schedule)
    if implementation == "reference":
        return _reference(*inputs, agent=agent, horizon=horizon, record=record)
    return _blocks(
        *inputs,
        rule=rule,
        horizon=horizon,
        block_size=block_size or default_block_size(num_agents, num_arms),
        rounds=rounds,
        record=record,
        hints=jax.default_backend() == "cpu",
    )


def _spread(params, bandits: Bandits, schedule):
    """Every leaf with leading axis ``N``."""
    num_agents = jnp.shape(bandits.mean_rewards)[0]

    def spread(leaf):
        leaf = jnp.asarray(leaf)
        return leaf if leaf.ndim else jnp.broadcast_to(leaf, (num_agents,))

    params, noise, target = jax.tree.map(spread, (params, bandits.noise, bandits.target))
    mu = jnp.asarray(bandits.mean_rewards, jnp.float32)
    bandits = Bandits(mu, noise.astype(jnp.float32), target.astype(jnp.int32))
    schedule = None if schedule is None else jnp.asarray(schedule, jnp.float32)
    return params, bandits, schedule


def _reference_program(key, first_agent, params, bandits, schedule, **static):
    return simulate_plainly(
        key, jnp.uint32(first_agent), *_spread(params, bandits, schedule), **static
    )


def _blocks_program(key, first_agent, params, bandits, schedule, **static):
    params, bandits, schedule = _spread(params, bandits, schedule)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    return simulate_blocks(key, jnp.uint32(first_agent), params, bandits, schedule, **static)


_reference = jax.jit(_reference_program, static_argnames=("agent", "horizon", "record"))
_BLOCKS_STATIC = ("rule", "horizon", "block_size", "rounds", "record", "hints")
_blocks = jax.jit(
    _blocks_program,
    static_argnames=_BLOCKS_STATIC,
    compiler_options={"xla_cpu_prefer_vector_width": 512},
)
