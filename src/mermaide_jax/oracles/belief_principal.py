"""The policy of a belief oracle as a principal, to be played like any other."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Principal
from mermaide_jax.games import GameConfig, observed_target
from mermaide_jax.oracles.belief import BeliefSolution


class BeliefTable(NamedTuple):
    """A `BeliefSolution` as arrays, the params of `belief_principal`; all layers in a row.

    Attributes:
      children: ``[n, U, A]`` int32, the belief that follows; -1 where none does.
      policy: ``[n]`` int32, what to do.
      roots: ``[A]`` int32, the first belief for each target, -1 for a target without one; the same
        for all if targets are not observed.
    """

    children: jax.Array
    policy: jax.Array
    roots: jax.Array


def belief_table(solution: BeliefSolution) -> BeliefTable:
    """Lays out a solution as arrays, for `belief_principal`.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3,), 2, 2, games.Economics(noise=0.0)
      ... )
      >>> belief_table(oracles.solve_belief(agent, config, tasks)).roots.shape
      (2,)
    """
    starts = np.cumsum([0, *(layer.values.size for layer in solution.layers)])
    children = [
        np.where(layer.children < 0, -1, layer.children + start)
        for layer, start in zip(solution.layers, starts[1:], strict=True)
    ]
    num_arms = children[0].shape[-1]
    anywhere = solution.roots.get(None, -1)
    roots = [solution.roots.get(target, anywhere) for target in range(num_arms)]
    policy = np.concatenate([layer.policy for layer in solution.layers])
    as_int32 = lambda x: jnp.asarray(np.asarray(x), jnp.int32)  # noqa: E731
    return BeliefTable(as_int32(np.concatenate(children)), as_int32(policy), as_int32(roots))


@memoize
def belief_principal(config: GameConfig) -> Principal:
    """Makes a principal that follows a `BeliefTable`, its params, in games of ``config``.

    It reads the previous action and the target in its observation and remembers what it did. After
    something that the prior holds impossible it does nothing for the rest of the episode.

    Args:
      config: the game that the solution is of.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3,), 2, 2, games.Economics(noise=0.0)
      ... )
      >>> table = belief_table(oracles.solve_belief(agent, config, tasks))
      >>> game = games.make_intervention_game(agent, config)
      >>> task = jax.tree.map(lambda leaf: leaf[0], tasks)
      >>> best = belief_principal(config)
      >>> games.rollout(jax.random.key(1), game, best, table, task).reward.shape
      (2,)
    """
    num_arms = config.num_arms

    def init(table: BeliefTable):
        del table
        return jnp.int32(-1), jnp.int32(0)

    def act(key: chex.PRNGKey, table: BeliefTable, carry, observation: jax.Array):
        del key
        node, last = carry
        action = observation[:num_arms]
        following = table.children[node, last, jnp.argmax(action)]
        following = jnp.where(node < 0, jnp.int32(-1), following)
        root = table.roots[0]
        if config.observe_target:
            root = table.roots[observed_target(config, observation)]
        node = jnp.where(jnp.any(action > 0), following, root)
        chosen = jnp.where(node < 0, jnp.int32(0), table.policy[node])
        return chosen, (node, chosen), ()

    return Principal(init, act)
