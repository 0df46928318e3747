"""Taking trained principals to new agents of every coefficient, and judging their predictions."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from mermaide_jax import registry
from mermaide_jax.agents import grid_of
from mermaide_jax.base import Task
from mermaide_jax.errors import check_given, refuse
from mermaide_jax.evaluation.prediction import action_law, prediction_quality
from mermaide_jax.evaluation.protocol import play_adapted
from mermaide_jax.games import finite_tasks, target_first
from mermaide_jax.report.names import family_label
from mermaide_jax.results.records import Record
from mermaide_jax.studies.kit import say
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.finished import TrainedRun
from mermaide_jax.studies.mermaide.learned import build
from mermaide_jax.studies.mermaide.setting import make_games, make_setting
from mermaide_jax.training import make_adapt

__all__ = ["draw_agents", "play_new_agents"]

_SALT = 2**20


def draw_agents(seed: int, config: StudyConfig, family: str, number: int) -> Task:
    """Draws agents of one family, as many of each coefficient, in turn.

    Args:
      seed: of the agents.
      config: the study whose game they play.
      family: their family.
      number: agents of each coefficient.

    Example:
      >>> tasks = draw_agents(0, StudyConfig(), "ucb", 2)
      >>> np.allclose(tasks.agent.beta, 2 * grid_of("ucb"))  # one of each, then another
      True
    """
    key = jax.random.fold_in(jax.random.key(seed), _SALT)
    agent, values, game = make_games(config)[family].agent, grid_of(family), config.game
    if agent is None:
        refuse("game", family, "a game that names its agent (Game.agent)")
    number, sizes = number * len(values), (game.num_arms, game.economics)
    tasks = finite_tasks(key, family, agent, values, number, *sizes)
    align = jax.vmap(lambda task: target_first(agent, task))
    return align(tasks) if config.training.target_first else tasks


def play_new_agents(
    runs: Sequence[TrainedRun], agents: int, episodes: int, seed: int
) -> tuple[list[Record], list[Record]]:
    """Adapts every run to new agents of its family, for each K, and plays fresh episodes.

    Args:
      runs: of one study.
      agents: new agents of each coefficient.
      episodes: fresh episodes with each.
      seed: of the agents and of all draws, which are the same for every principal and K.

    Returns:
      Rows of scores (principal, family, seed, k_shot, agent, coefficient, score); and for runs with
      a world model rows with the `PredictionQuality` ``[N, E, T]`` of what it predicted.
    """
    scores, predictions = [], []
    families = registry.names("family")
    for run in runs:
        config, (family, number) = run.config, run.stream
        key = jax.random.fold_in(jax.random.key(seed), families.index(family))
        key, tasks = jax.random.fold_in(key, number), draw_agents(seed, config, family, agents)
        play = _player(run.name, dataclasses.replace(config, seed=0, seeds=1), family, episodes)
        for shots in config.evaluation.shots:
            # The same draws for every principal and K, on purpose: clones are for that.
            score, quality = play(jax.random.clone(key), run.params, tasks, shots)
            about = {"family": family, "seed": number, "k_shot": shots, "principal": run.name}
            scores += _score_rows(about, np.asarray(score), grid_of(family))
            if principal_configs(run.name, config)[0].world_model:
                predictions.append(about | {"quality": jax.tree.map(np.asarray, quality)})
        say(f"{run.name}, {family_label(family)}, seed {number}: played")
    return scores, predictions


def _score_rows(about: Record, scores: np.ndarray, grid: Sequence[float]) -> list[Record]:
    return [
        about | {"agent": i, "coefficient": grid[i % len(grid)], "score": float(score)}
        for i, score in enumerate(scores)
    ]


@functools.cache
def _player(name: str, config: StudyConfig, family: str, episodes: int) -> Callable[..., Any]:
    """Adapts one run to agents and plays: mean scores ``[N]`` and the quality of predictions."""
    learned, training = build(name, config, make_setting(config))
    game, adapt = make_games(config)[family], make_adapt(training, learned)
    agent = check_given("game.agent", game.agent, "one, whose law predictions are held against")
    law_of_one = functools.partial(action_law, agent, config.game.static)

    @functools.partial(jax.jit, static_argnums=3)
    def play_run(key, params, tasks: Task, shots: int):
        key_adapt, key_play = jax.random.split(key)
        own = (game, learned, adapt, params, tasks, shots, episodes)
        played = play_adapted(key_adapt, key_play, *own)
        law = jax.vmap(jax.vmap(law_of_one, (None, 0)))(tasks, played)
        judge = jax.vmap(jax.vmap(prediction_quality, (0, 0, None)))
        quality = judge(law, played.principal.prediction, tasks.env.target)
        return played.reward.sum(-1).mean(-1), quality

    return play_run
