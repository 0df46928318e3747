"""A trained principal with planning above it, through the world model that it has learned."""

from collections.abc import Sequence
from typing import Any

from mermaide_jax.base import Task
from mermaide_jax.principals.planning import Planner, planning
from mermaide_jax.report.names import principal_label
from mermaide_jax.results.records import Record
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained, adapt_streams, build
from mermaide_jax.studies.mermaide.replay import bandits_of, play_again, replayed_rows
from mermaide_jax.studies.mermaide.setting import make_setting

__all__ = ["check_plannable", "play_with_planning"]


def check_plannable(name: str, config: StudyConfig, rollouts: int, margin: float) -> None:
    """Refuses a principal or a game with which there is no planning.

    Raises:
      ConfigError: see `principals.planning.planning`.

    Example:
      >>> check_plannable("mermaide", StudyConfig(), rollouts=2, margin=1.5)
      >>> check_plannable("reinforce", StudyConfig(), rollouts=2, margin=1.5)
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: world_model: got False, expected True
    """
    learned, _ = build(name, config, make_setting(config))
    planning(config.game.static, learned, rollouts, margin)


def play_with_planning(
    name: str,
    config: StudyConfig,
    trained: Trained,
    shots: Sequence[int],
    episodes: int,
    rollouts: int,
    margin: float,
) -> tuple[list[Record], list[Record]]:
    """Plays the first episodes of the test by the policy alone, and with planning above it.

    Args:
      name: a learned principal with a world model.
      config: the study.
      trained: the principal, trained.
      shots: numbers K of episodes to adapt on.
      episodes: with each agent.
      rollouts: imagined episodes for each choice.
      margin: how many standard errors are sure enough.

    Returns:
      Rows of scores of both, as many in the same order.
    """
    setting = make_setting(config)
    learned, _ = build(name, config, setting)
    planner = planning(config.game.static, learned, rollouts, margin)

    def params_of(params: Any, tasks: tuple[Task, ...]) -> Planner:
        return Planner(params, bandits_of(tasks).cost)

    alone: list[Record] = []
    above: list[Record] = []
    for number in shots:
        params = adapt_streams(name, config, setting, trained, number)
        who = f"{principal_label(name)}, {number}-shot"
        own = (name, config, setting)
        scores = play_again(f"{who}, alone", setting, learned.principal, params, episodes)
        alone += replayed_rows(*own, scores, number, episodes)
        options: dict[str, Any] = {"params_of": params_of, "batch_size": 1}
        who = f"{who}, with planning"
        scores = play_again(who, setting, planner, params, episodes, **options)
        above += replayed_rows(*own, scores, number, episodes)
    return alone, above
