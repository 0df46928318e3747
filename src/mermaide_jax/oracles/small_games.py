"""Games small enough to solve: what each principal can earn, exactly, by what it knows.

For a prior over finitely many tasks, the greatest expected score of

- ``script``: the best of never, always, at random and the first k steps for every k, on this prior;
- ``belief``: a principal that knows the prior and sees actions only;
- ``informed``: one that also knows the task (rewards and coefficient), but sees actions only;
- ``all_knowing``: one that knows the task and the agent's state before each step, ``V``;
- ``sees_draw``: one that also knows the coming action, ``W``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mermaide_jax.agents import grid_of, make_agent
from mermaide_jax.base import Task
from mermaide_jax.games import Economics, GameConfig, finite_tasks
from mermaide_jax.oracles.belief import BeliefSolution, solve_belief
from mermaide_jax.oracles.exact import ExactSolution, policy_value, solve_exact
from mermaide_jax.oracles.states import StateGraph

__all__ = ["SmallGame", "best_script", "solve_small_game"]

COINS = (-1.0, 1.0)
"""The reward noise is plus or minus sigma, each as likely."""
_BIG = 1_000_000


class SmallGame(NamedTuple):
    """One kind of game to solve.

    Attributes:
      family: of the agents.
      arms: number of arms.
      noise: sigma; the reward noise is plus or minus sigma, each as likely.
      horizon: steps of an episode.
      tasks: number of tasks of the prior, each as likely, as many of each coefficient.
    """

    family: str
    arms: int
    noise: float
    horizon: int
    tasks: int


def solve_small_game(game: SmallGame, seed: int = 0) -> dict[str, float | int]:
    """Computes the expected scores of all principals under one prior.

    Args:
      game: what is played.
      seed: of the prior; a larger prior begins with the smaller one.

    Returns:
      A score under each name of the module, and the number of agent ``states`` and ``beliefs``.

    >>> found = solve_small_game(SmallGame("ucb", arms=2, noise=0.0, horizon=2, tasks=5))
    >>> found["script"] <= found["belief"] <= found["all_knowing"] <= found["sees_draw"]
    True
    """
    agent, config = make_agent(game.family, game.arms), GameConfig(game.arms, game.horizon)
    draws = COINS if game.noise else (0.0,)
    own = (game.family, agent, grid_of(game.family), game.tasks, game.arms)
    prior = finite_tasks(jax.random.key(seed), *own, Economics(noise=game.noise))

    def watch(part: Task) -> BeliefSolution:
        limits: dict[str, Any] = {"max_states": _BIG, "max_beliefs": _BIG}
        return solve_belief(agent, config, part, draws=draws, **limits)

    def know(task: Task, sees_draw: bool) -> ExactSolution:
        options = {"draws": draws, "max_states": _BIG}
        return solve_exact(agent, config, task, sees_draw=sees_draw, **options)

    alone = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], prior) for i in range(game.tasks)]
    bare = [jax.tree.map(lambda leaf: leaf[0], part) for part in alone]
    belief, known = watch(prior), [know(task, False) for task in bare]
    return {
        "script": best_script([solution.graph for solution in known]),
        "belief": belief.value,
        "informed": float(np.mean([watch(part).value for part in alone])),
        "all_knowing": float(np.mean([solution.value for solution in known])),
        "sees_draw": float(np.mean([know(task, True).value for task in bare])),
        "states": belief.num_states,
        "beliefs": belief.num_beliefs,
    }


def best_script(graphs: Sequence[StateGraph]) -> float:
    """Computes the best mean score of one script for all tasks.

    Args:
      graphs: of the tasks (`oracles.reachable_states`), each as likely.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 2, games.Economics(noise=0.0)
      ... )
      >>> best_script([oracles.reachable_states(agent, config, task, (0.0,), 100)])  # never pays
      1.0
    """
    horizon = len(graphs[0].layers)
    scripts = [np.full((horizon, 2), 0.5)]  # at random
    for k in range(horizon + 1):
        paid = (np.arange(horizon) < k).astype(float)
        scripts.append(np.stack([1 - paid, paid], axis=-1))

    def score(script: np.ndarray) -> float:
        values = [policy_value(graph, lambda t, states: script[t]) for graph in graphs]
        return float(np.mean(values))

    return max(score(script) for script in scripts)
