"""The public function: checks, defaults, and the choice of an implementation."""

import functools
from typing import Any, Literal, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks
from mermaide_jax.agents import Agent
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

    Returns:
      Simulation.

    Raises:
      ConfigError: an argument does not fit the others.
    """
    _checks.check_at_least("horizon", horizon, 1)
    _checks.check_choice("implementation", implementation, IMPLEMENTATIONS)
    return _reference(key, agent, params, bandits, horizon, schedule, record)


@functools.partial(jax.jit, static_argnums=(1, 4, 6))
def _reference(key, agent, params, bandits, horizon, schedule, record):
    num_agents, num_arms = bandits.mean_rewards.shape
    spread = lambda leaf: jnp.broadcast_to(  # noqa: E731
        leaf, jnp.shape(leaf) if jnp.ndim(leaf) else (num_agents,)
    )
    params, noise, target = jax.tree.map(spread, (params, bandits.noise, bandits.target))
    bonus = jnp.zeros(horizon) if schedule is None else jnp.asarray(schedule, jnp.float32)

    def one(key, params, mu, noise, target, bonus):
        def step(carry, bonus):
            key, state, counts, total = carry
            key, key_act, key_noise = jax.random.split(key, 3)
            offer = jnp.where(jnp.arange(num_arms) == target, bonus, 0.0)
            action = agent.act(key_act, params, state, offer)
            xi = jax.random.normal(key_noise, dtype=jnp.float32)
            reward = mu[action] + noise * xi + offer[action]
            state = agent.update(params, state, action, reward)
            counts = counts.at[action].add(1)
            out = (action, reward) if record else None
            return (key, state, counts, total + reward), out

        start = (key, agent.init(params), jnp.zeros(num_arms, jnp.int32), jnp.float32(0))
        (_, _, counts, total), out = jax.lax.scan(step, start, bonus)
        return counts, total, counts[target] / horizon, out

    keys = jax.random.split(key, num_agents)
    over = (0, 0, 0, 0, 0, 1 if bonus.ndim == 2 else None)
    counts, total, share, out = jax.vmap(one, in_axes=over, out_axes=(0, 0, 0, 1))(
        keys, params, bandits.mean_rewards, noise, target, bonus
    )
    return Simulation(counts, total, share, *(out or (None, None)))
