"""Testing the principals that are not trained: scripted ones, their number tuned, and planners."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import registry
from mermaide_jax.agents import population
from mermaide_jax.base import Principal, Trajectory
from mermaide_jax.evaluation.protocol import Scores, evaluate, summarise
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.games import count_agents, split_agent_keys
from mermaide_jax.principals.members import Planned, candidates_of, make_scripted
from mermaide_jax.studies.mermaide.config import EvaluationOptions, StudyConfig
from mermaide_jax.studies.mermaide.learned import stream_keys
from mermaide_jax.studies.mermaide.setting import Populations, Setting
from mermaide_jax.training import over_streams

_TUNING_EPISODES = 16


def evaluate_scripted(
    name: str, config: StudyConfig, setting: Setting
) -> tuple[Scores, np.ndarray | None]:
    """Scores a principal that is not trained on the test agents, its number chosen on the others.

    Args:
      name: a principal that is not trained; those that plan have no number.
      config: the study.
      setting: its games and agents.

    Example:
      >>> from mermaide_jax.studies.mermaide.config import AgentOptions
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> who = AgentOptions(families=("ucb",), train=3, test=2)
      >>> config = StudyConfig(agents=who, evaluation=EvaluationOptions(episodes=2), seeds=1)
      >>> scores, number = evaluate_scripted("always", config, make_setting(config))
      >>> scores.interventions.tolist(), number.tolist()
      ([[100.0, 100.0]], [1.0])
    """
    member = registry.get("principal", name)
    if isinstance(member.value, Planned):
        return _evaluate_planned(member.value, config, setting), None
    game, num_streams = setting.game, len(setting.streams)
    candidates = candidates_of(name, game, config)
    principal = make_scripted(name, game)
    run = _tester(setting.populations, principal, config.evaluation.episodes, num_streams)
    keys = (stream_keys(setting, use) for use in ("play", "tune"))
    values = jnp.broadcast_to(candidates, (num_streams, *candidates.shape))
    agents = (setting.index, {"train": setting.train, "test": setting.test})
    return jax.tree.map(np.asarray, run(*agents, *keys, values))


def _evaluate_planned(member: Planned, config: StudyConfig, setting: Setting) -> Scores:
    """Plans the very episodes that the others play, or the first of them."""
    play = setting.populations.bind(player_of(member, config.evaluation, summarise))
    run = over_streams(play, len(setting.streams))
    keys = (stream_keys(setting, use) for use in ("play", "tune"))
    return jax.tree.map(np.asarray, run(setting.index, setting.test, *keys))


def player_of(
    member: Planned, options: EvaluationOptions, look: Callable[[Trajectory], Any]
) -> Callable[..., Any]:
    """Makes ``play(games, tasks, key, tune_key)`` of one stream of a principal that plans.

    Args:
      member: the principal.
      options: how it plans.
      look: what is kept of the episodes, leading axes ``[N, M, T]``.

    Example:
      >>> bandit = (agents.ucb(3), (0.3, 0.5), 2, 3, games.Economics())
      >>> tasks = games.finite_tasks(jax.random.key(0), "ucb", *bandit)
      >>> plan = lambda key, tune_key, game, tasks, options: tasks.env.target  # needs no game
      >>> play = player_of(Planned(plan, lambda options: 1), EvaluationOptions(), jnp.shape)
      >>> play((None,), (tasks,), jax.random.key(1), jax.random.key(2))
      (2,)
    """

    def one_stream(games, tasks, key, tune_key) -> Any:
        families = population([count_agents(part) for part in tasks])
        keys = (families.split(split_agent_keys(k, tasks)) for k in (key, tune_key))

        def play(game, part, key, tune_key) -> Trajectory:
            return member.play(key, tune_key, game, part, options)

        return look(families.run([play] * len(games), games, tasks, *keys))

    return one_stream


def episodes_played(name: str, options: EvaluationOptions) -> int:
    """Counts the fresh episodes that principal ``name`` plays with each test agent.

    Example:
      >>> options = EvaluationOptions(episodes=64, all_knowing_episodes=8)
      >>> episodes_played("always", options), episodes_played("all_knowing", options)
      (64, 8)
    """
    member = registry.get("principal", name).value
    return member.episodes(options) if isinstance(member, Planned) else options.episodes


@functools.cache
def _tester(
    populations: Populations, principal: Principal, num_episodes: int, num_streams: int
) -> Callable[..., tuple[Scores, jax.Array]]:
    """Chooses the number and tests it; never, always and random share one program."""

    def tuned(games: Any, tasks: Any, tune_key: Any, candidates: jax.Array) -> jax.Array:
        if candidates.shape[0] == 1:
            return candidates[0]
        return tune(tune_key, games, principal, candidates, tasks, _TUNING_EPISODES)

    def tested(games: Any, tasks: Any, key: Any, value: jax.Array) -> Scores:
        return evaluate(key, games, principal, value, tasks, num_episodes)

    choose, test = populations.bind(tuned), populations.bind(tested)

    def one_stream(index, agents, key, tune_key, candidates):
        value = choose(index, agents["train"], tune_key, candidates)
        return test(index, agents["test"], key, value), value

    return over_streams(one_stream, num_streams)
