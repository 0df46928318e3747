"""Playing again: trained principals in the very episodes of their test, in other ways.

`learned.adapt_streams` gives the params with which a principal was tested, `play_again` the same
episodes with any principal that uses them, `play_planned` those of a principal that plans. One
stream is played after the other, and said so: what plans takes a while.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import registry
from mermaide_jax.base import Principal, Task, Trajectory
from mermaide_jax.evaluation.protocol import Scores, summarise
from mermaide_jax.games import Bandit, collect
from mermaide_jax.report.names import family_label
from mermaide_jax.studies.kit import say
from mermaide_jax.studies.mermaide.config import EvaluationOptions, StudyConfig
from mermaide_jax.studies.mermaide.learned import stream_by_stream, stream_keys
from mermaide_jax.studies.mermaide.records import Record, score_rows
from mermaide_jax.studies.mermaide.scripted import player_of
from mermaide_jax.studies.mermaide.setting import Setting, Stream

__all__ = ["announce", "bandits_of", "play_again", "play_planned", "replayed_rows"]


def announce(who: str) -> Callable[[Stream], None]:
    """Makes what says that ``who`` has played a stream.

    Example:
      >>> announce("MERMAIDE")(Stream("ucb", 1))
      MERMAIDE, UCB, seed 1: played
    """
    return lambda stream: say(
        f"{who}, {family_label(stream.population)}, seed {stream.seed}: played"
    )


def bandits_of(tasks: tuple[Task, ...]) -> Bandit:
    """Gives the bandits of all agents of a set, leading axis ``[N]``.

    Example:
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agents.ucb(3), (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> bandits_of((tasks, tasks)).target.shape
      (4,)
    """
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(part.env for part in tasks))


def play_again(
    who: str,
    setting: Setting,
    principal: Principal,
    params: Any,
    num_episodes: int,
    *,
    params_of: Callable[[Any, tuple[Task, ...]], Any] = lambda params, tasks: params,
    look: Callable[[Trajectory], Any] = summarise,
    batch_size: int | None = None,
) -> Any:
    """Plays the first episodes of the test with each agent, with a principal of any kind.

    Args:
      who: what is said to have played.
      setting: streams and agents.
      principal: who steers.
      params: as adapted, leading axes ``[S, m]`` (`learned.adapt_streams`).
      num_episodes: episodes with each agent.
      params_of: ``params_of(params [m], tasks)``, the principal's own, leading axis ``[m]``.
      look: what is kept of the episodes ``[m, E, T]`` of a stream; `Scores` if not said otherwise.
      batch_size: agents side by side; None: all of them.

    Returns:
      What ``look`` gives, as numpy arrays with leading axis ``[S]``.

    Example:
      >>> from mermaide_jax.principals.members import make_scripted
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> setting = make_setting(StudyConfig(seeds=1)).only([0])
      >>> never = make_scripted("never", setting.game)
      >>> chance = jnp.zeros(setting.test["ucb"].env.target.shape)  # to pay, with each agent
      >>> play_again("Never", setting, never, chance, 1, look=lambda x: x.intervention).max().item()
      Never, UCB, seed 0: played
      0
    """

    def play(games: Any, tasks: Any, key: Any, params: Any) -> Any:
        own = params_of(params, tasks)
        options: dict[str, Any] = {"params_axis": 0, "batch_size": batch_size}
        return look(collect(key, games, principal, own, tasks, num_episodes, **options))

    run = jax.jit(setting.populations.bind(play))
    return stream_by_stream(setting, run, announce(who), stream_keys(setting, "play"), params)


def play_planned(
    name: str, setting: Setting, options: EvaluationOptions, look: Callable[[Trajectory], Any]
) -> Any:
    """Plays the first episodes of the test with a registered principal that plans.

    Args:
      name: its name, such as ``"all_knowing"``.
      setting: streams and agents.
      options: how it plans, and how many episodes it plays.
      look: as of `play_again`.
    """
    member = registry.get("principal", name)
    run = jax.jit(setting.populations.bind(player_of(member.value, options, look)))
    keys = (stream_keys(setting, use) for use in ("play", "tune"))
    return stream_by_stream(setting, run, announce(member.label.partition(" (")[0]), *keys)


def replayed_rows(
    name: str, config: StudyConfig, setting: Setting, scores: Scores, num_shots: int, episodes: int
) -> list[Record]:
    """Makes the rows of `records.score_rows`, with the number of episodes played again.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config = StudyConfig(seeds=1)
      >>> setting = make_setting(config)
      >>> scores = Scores(*[np.zeros(setting.test["ucb"].env.target.shape)] * len(Scores._fields))
      >>> {row["episodes"] for row in replayed_rows("mermaide", config, setting, scores, 1, 8)}
      {8}
    """
    scores = jax.tree.map(np.asarray, scores)
    rows = score_rows(name, config, setting, scores, num_shots)
    return [row | {"episodes": episodes} for row in rows]
