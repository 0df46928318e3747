"""From where more search no longer helps the upper references, and how far they are apart.

Each reference plays the same episodes of the full game. What plans may search more or less: the
clairvoyant planner by the width of its beam, the all-knowing one by the episodes it imagines. What
does not plan is tuned, on other episodes: the prescient principal on other agents or for each agent
alone, its family with a quiet end and the rules that see chances for each agent.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from mermaide_jax.base import Game, Principal, Task, Trajectory
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.games import collect
from mermaide_jax.oracles.all_knowing import by_script, play_all_knowing, script_grid
from mermaide_jax.oracles.clairvoyant import play_clairvoyant
from mermaide_jax.oracles.guided import guide_grid, guided, tune_each
from mermaide_jax.oracles.prescient import leads, prescient

__all__ = ["Measured", "Reference", "make_references", "measure_reference"]

Reference = Callable[[chex.PRNGKey, chex.PRNGKey, Task, Task], jax.Array]
"""``reference(tune_key, key, tasks, others) -> [N, M]``, scores of ``M`` episodes with each task;
``others`` are agents to tune on."""


class Measured(NamedTuple):
    """Scores ``[N, M]`` of a reference, and the milliseconds that an episode took."""

    scores: np.ndarray
    milliseconds: float


def make_references(
    game: Game,
    widths: Sequence[int],
    rollouts: Sequence[int],
    episodes: int,
    tuning_episodes: int,
) -> dict[str, Reference]:
    """Makes every reference of a game.

    Args:
      game: the game; the bonus of its tasks is 1.
      widths: of the beam of the clairvoyant planner, each a reference ``beam_WIDTH``.
      rollouts: imagined episodes of the all-knowing planner, each a reference ``rollouts_NUMBER``.
      episodes: ``M``, with each agent.
      tuning_episodes: other episodes with each agent, on which parameters are chosen.

    Example:
      >>> config = games.GameConfig(num_arms=3, horizon=4)
      >>> game = games.make_intervention_game(agents.ucb(3), config)
      >>> sorted(make_references(game, widths=[2], rollouts=[4], episodes=1, tuning_episodes=1))
      ['beam_2', 'guided_each', 'prescient', 'prescient_each', 'rollouts_4', 'rule_each']
    """
    plain, thresholds = prescient(game.pay_target), leads()

    def shared(tune_key, key, tasks: Task, others: Task) -> jax.Array:
        value = tune(tune_key, game, plain, thresholds, others, tuning_episodes)
        return _scores(collect(key, game, plain, value, tasks, episodes))

    def per_agent(
        tune_key, key, tasks: Task, others: Task, principal: Principal, values: Any
    ) -> jax.Array:
        del others
        best = tune_each(tune_key, game, principal, values, tasks, tuning_episodes)
        return _scores(collect(key, game, principal, best, tasks, episodes, params_axis=0))

    def clairvoyant(tune_key, key, tasks: Task, others: Task, width: int) -> jax.Array:
        del tune_key, others
        return _scores(play_clairvoyant(key, game, tasks, episodes, width))

    def all_knowing(tune_key, key, tasks: Task, others: Task, number: int) -> jax.Array:
        del others
        sizes = (episodes, number)
        played = play_all_knowing(
            key, tune_key, game, tasks, *sizes, tuning_episodes=tuning_episodes
        )
        return _scores(played)

    tuned = {
        "prescient_each": (plain, thresholds),
        "guided_each": (guided(game.pay_target, game.horizon), guide_grid(game.horizon)),
        "rule_each": (by_script(game), script_grid(game.horizon)),
    }
    return (
        {"prescient": shared}
        | {n: functools.partial(per_agent, principal=p, values=v) for n, (p, v) in tuned.items()}
        | {f"beam_{width}": functools.partial(clairvoyant, width=width) for width in widths}
        | {f"rollouts_{n}": functools.partial(all_knowing, number=n) for n in rollouts}
    )


def _scores(played: Trajectory) -> jax.Array:
    return played.reward.sum(-1)


def measure_reference(reference: Reference, key: chex.PRNGKey, *tasks: Task) -> Measured:
    """Plays a reference once, compiled beforehand.

    Args:
      reference: of `make_references`.
      key: typed key, not consumed: every reference is to play the same episodes.
      *tasks: ``N`` agents, and others to tune on.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 2, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> reference = make_references(game, [2], [], episodes=3, tuning_episodes=1)["beam_2"]
      >>> measure_reference(reference, jax.random.key(1), tasks, tasks).scores.shape
      (2, 3)
    """
    arguments = (*jax.random.split(jax.random.clone(key)), *tasks)
    compiled = jax.jit(reference).lower(*arguments).compile()
    began = time.perf_counter()
    scores = np.asarray(compiled(*arguments))
    return Measured(scores, 1e3 * (time.perf_counter() - began) / scores.size)
