"""Agents of several families in one simulation, each family by its own program."""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.base import Agent
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.simulation.results import Bandits, Simulation
from mermaide_jax.simulation.runner import simulate


def simulate_families(
    key: chex.PRNGKey,
    agents: Sequence[Agent],
    params: Sequence[Any],
    bandits: Sequence[Bandits],
    horizon: int,
    *,
    schedule: jax.Array | None = None,
    first_agent: chex.Numeric = 0,
    **options: Any,
) -> Simulation:
    """Simulates agents of several families, sorted by family.

    Each family runs the program it would run alone, so that a set costs what its parts cost. The
    agents are numbered through: those of the second family begin where the first one ends, and an
    agent has the draws of its own number, whatever the others are. For agents in any order see
    `agents.sort_by_family`, whose population splits params and bandits and merges what comes back.

    Args:
      key: typed key, consumed.
      agents: the learning rule of each family.
      params: theirs, as in `simulate`.
      bandits: theirs, ``N`` in all.
      horizon: ``T``; static.
      schedule: ``[T]``, or ``[T, N]`` for the families one after the other.
      first_agent: number of the first agent of all.
      options: as in `simulate`, the same for all families.

    Returns:
      Simulation, the families one after the other.

    Raises:
      ConfigError: no family, not as many params or bandits as agents, or as in `simulate`.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from mermaide_jax import agents
      >>> bandits = Bandits(jnp.tile(jnp.array([0.2, 0.9]), (3, 1)))
      >>> families = (agents.ucb(2), agents.epsilon_greedy(2))
      >>> params = (agents.UCBParams(0.5), agents.EpsilonGreedyParams(0.1))
      >>> found = simulate_families(jax.random.key(0), families, params, (bandits, bandits), 100)
      >>> found.counts.sum(axis=1).tolist()
      [100, 100, 100, 100, 100, 100]
    """
    check_at_least("number of families", len(agents), 1)
    for name, given in (("params", params), ("bandits", bandits)):
        if len(given) != len(agents):
            refuse(f"number of {name}", len(given), f"one for each of {len(agents)} families")
    parts, start = [], 0
    for agent, own, theirs in zip(agents, params, bandits, strict=True):
        end = start + jnp.shape(theirs.mean_rewards)[0]
        paid = schedule[:, start:end] if schedule is not None and schedule.ndim == 2 else schedule
        numbers = {"schedule": paid, "first_agent": first_agent + start}
        # The draws go by the agents' numbers, so the families share the key, hence the clone.
        parts.append(
            simulate(jax.random.clone(key), agent, own, theirs, horizon, **numbers, **options)
        )
        start = end
    by_agent, by_time = _joined(0), _joined(1)
    return Simulation(
        by_agent([part.counts for part in parts]),
        by_agent([part.total_reward for part in parts]),
        by_agent([part.target_share for part in parts]),
        by_time([part.actions for part in parts]),
        by_time([part.rewards for part in parts]),
    )


def _joined(axis: int) -> Callable[[Sequence[Any]], Any]:
    """Joins arrays of the families along the axis of the agents; None stays None."""
    return lambda parts: None if parts[0] is None else jnp.concatenate(parts, axis)
