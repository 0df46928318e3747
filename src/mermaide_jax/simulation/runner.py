"""The public function: checks, defaults, and the choice of an implementation."""

import functools
from typing import Any, Literal, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.compiling import WIDE_VECTORS, CpuJit
from mermaide_jax.base import Agent
from mermaide_jax.simulation import generic, pallas, xla
from mermaide_jax.simulation.families import MOST_ARMS, FastFamily, fast_family_of
from mermaide_jax.simulation.reference import simulate_plainly
from mermaide_jax.simulation.results import Bandits, Simulation

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

    Example:
      >>> bandits = simulation.Bandits(jnp.tile(jnp.array([0.2, 0.9]), (3, 1)))
      >>> params = agents.UCBParams(jnp.array([0.1, 0.3, 0.5]))
      >>> found = simulate(jax.random.key(0), agents.ucb(2), params, bandits, horizon=100)
      >>> found.counts.sum(axis=1).tolist()
      [100, 100, 100]
    """
    _check(key, params, bandits, horizon, schedule, implementation, block_size, rounds)
    num_agents, num_arms = jnp.shape(bandits.mean_rewards)
    family = fast_family_of(agent, num_arms)
    if family is None:
        _check_agent(agent, params, bandits, implementation)
    inputs = (key, first_agent, params, bandits, schedule)
    if implementation == "reference":
        return _reference(*inputs, agent=agent, horizon=horizon, record=record)
    static = {"horizon": horizon, "rounds": rounds, "record": record}
    # Any agent runs by `vmap`; memory traffic limits it, so blocks keep states in the cache.
    if family is None:
        size = block_size or min(num_agents, generic.BLOCK_SIZE)
        return _generic(*inputs, agent=agent, block_size=size, **static)
    # A specialised family has its whole step in one fused kernel where Pallas compiles one. On CPUs
    # Pallas only interprets, and XLA does as well with hints on what to fuse (`stages`).
    platform = jax.default_backend()
    on_cpu = platform == "cpu"
    if implementation == "pallas" or (implementation == "auto" and _compiles(family, platform)):
        size = block_size or pallas.BLOCK_SIZE
        if platform == "gpu" and size != pallas.BLOCK_SIZE:
            threads = f"{pallas.BLOCK_SIZE} or None, as a kernel on a GPU has an agent a thread"
            errors.refuse("block_size", size, threads)
        return _fused(*inputs, family=family, block_size=size, platform=platform, **static)
    size = block_size or xla.default_block_size(family, num_agents, num_arms)
    return _blocks(*inputs, family=family, block_size=size, hints=on_cpu, **static)


def _check(key, params, bandits, horizon, schedule, implementation, block_size, rounds) -> None:
    """Refuses what does not fit together, before any work."""
    errors.check_at_least("horizon", horizon, 1)
    errors.check_choice("implementation", implementation, IMPLEMENTATIONS)
    if block_size is not None:
        errors.check_at_least("block_size", block_size, 1)
    if rounds not in (13, 20):
        errors.refuse("rounds", rounds, "13 or 20")
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed or key.ndim:
        errors.refuse("key", key, "one typed key, jax.random.key(seed)")
    shape = jnp.shape(bandits.mean_rewards)
    if len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
        errors.refuse("shape of mean_rewards", shape, "(N, A) with N >= 1 and A >= 2")
    num_agents = shape[0]
    for name in ("noise", "target"):
        if jnp.shape(getattr(bandits, name)) not in ((), (num_agents,)):
            errors.refuse(f"shape of {name}", jnp.shape(getattr(bandits, name)), "() or (N,)")
    for leaf in jax.tree.leaves(params):
        if jnp.shape(leaf)[:1] not in ((), (num_agents,)):
            errors.refuse("shape of params", jnp.shape(leaf), f"() or ({num_agents}, ...)")
    if schedule is not None and jnp.shape(schedule) not in ((horizon,), (horizon, num_agents)):
        errors.refuse("shape of schedule", jnp.shape(schedule), "(T,) or (T, N)")


def _check_agent(agent: Agent, params, bandits: Bandits, implementation: str) -> None:
    """An agent that goes through the general runner must have the bandits' arms."""
    num_arms = jnp.shape(bandits.mean_rewards)[1]
    if implementation == "pallas":
        known = f"ucb, epsilon_greedy or thompson, with {num_arms} <= {MOST_ARMS} arms"
        errors.refuse("agent", agent, f"one with a specialised rule: {known}")
    one = lambda leaf: leaf[0] if jnp.ndim(leaf) else jnp.asarray(leaf)  # noqa: E731
    estimates = lambda p: agent.estimates(p, agent.init(p))  # noqa: E731
    arms = jax.eval_shape(lambda p: estimates(jax.tree.map(one, p)), params).shape
    if arms != (num_arms,):
        errors.refuse("number of arms of mean_rewards", num_arms, f"the agent's, {arms[0]}")


@functools.cache
def _compiles(family: FastFamily, platform: str) -> bool:
    """Whether the Pallas kernel compiles here; on CPU it would only be interpreted."""
    if platform == "cpu":
        return False
    size = pallas.BLOCK_SIZE
    row = jnp.zeros(size)
    inputs = (
        jax.random.key(0),
        0,
        family.params(row),
        Bandits(jnp.zeros((size, 4)), row, row),
        None,
    )
    static = {"horizon": 8, "rounds": 20, "record": False, "block_size": size}
    try:
        _fused.lower(*inputs, family=family, platform=platform, **static).compile()
    except Exception:  # whatever Pallas does not know on this platform, XLA does
        return False
    return True


def _spread(key, first_agent, params, bandits: Bandits, schedule):
    """The inputs as the implementations take them: every leaf with leading axis ``N``."""
    num_agents = jnp.shape(bandits.mean_rewards)[0]

    def spread(leaf):
        leaf = jnp.asarray(leaf)
        return leaf if leaf.ndim else jnp.broadcast_to(leaf, (num_agents,))

    params, noise, target = jax.tree.map(spread, (params, bandits.noise, bandits.target))
    mu = jnp.asarray(bandits.mean_rewards, jnp.float32)
    bandits = Bandits(mu, noise.astype(jnp.float32), target.astype(jnp.int32))
    schedule = None if schedule is None else jnp.asarray(schedule, jnp.float32)
    return key, jnp.uint32(first_agent), params, bandits, schedule


def _spread_rows(*inputs):
    """`_spread` for the specialised rules, whose params are float32."""
    key, first_agent, params, bandits, schedule = _spread(*inputs)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    return key, first_agent, params, bandits, schedule


def _reference_program(*inputs, **static):
    return simulate_plainly(*_spread(*inputs), **static)


def _generic_program(*inputs, **static):
    return generic.simulate_any(*_spread(*inputs), **static)


def _blocks_program(*inputs, **static):
    return xla.simulate_blocks(*_spread_rows(*inputs), **static)


def _fused_program(*inputs, **static):
    return pallas.simulate_fused(*_spread_rows(*inputs), **static)


_COMMON = ("horizon", "block_size", "rounds", "record")
_reference = jax.jit(_reference_program, static_argnames=("agent", "horizon", "record"))
_generic = jax.jit(_generic_program, static_argnames=("agent", *_COMMON))
_fused = jax.jit(_fused_program, static_argnames=("family", "platform", *_COMMON))
_blocks = CpuJit(_blocks_program, WIDE_VECTORS, static_argnames=("family", "hints", *_COMMON))
