"""A trained principal with a planner above it that follows UCB agents with exact beliefs."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mermaide_jax.base import Principal, Task
from mermaide_jax.errors import check_positive, refuse
from mermaide_jax.oracles import Watcher, watching
from mermaide_jax.oracles.observers import for_each, informed_prior, stranger_prior
from mermaide_jax.results.records import Record
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained, adapt_streams, build
from mermaide_jax.studies.mermaide.replay import bandits_of, play_again, replayed_rows
from mermaide_jax.studies.mermaide.setting import make_setting

__all__ = ["ALONE", "FAMILY", "INFORMED", "LABELS", "WATCHING", "check_watchable", "watch_agents"]

FAMILY = "ucb"
ALONE, WATCHING, INFORMED = "alone", "watching", "informed"
LABELS = {
    ALONE: "the principal alone",
    WATCHING: "and exact beliefs",
    INFORMED: "and informed of the task",
}
"""What is played: name to label."""


def check_watchable(config: StudyConfig) -> None:
    """Refuses a study whose agents cannot be followed.

    Raises:
      ConfigError: no reward noise, or no principals that met UCB agents alone.

    Example:
      >>> from mermaide_jax.studies.mermaide.config import AgentOptions
      >>> check_watchable(StudyConfig())
      >>> check_watchable(StudyConfig(agents=AgentOptions(families=("epsilon_greedy",))))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: agents: got ['epsilon_greedy'], expected principals that ...
    """
    check_positive("game.noise", config.game.noise)
    if FAMILY not in config.agents.populations:
        expected = "principals that were trained on UCB agents"
        refuse("agents", list(config.agents.populations), expected)


def watch_agents(
    name: str,
    config: StudyConfig,
    trained: Trained,
    seeds: range,
    episodes: int,
    particles: int,
    sweeps: int,
    beta: tuple[float, float],
) -> dict[str, list[Record]]:
    """Plays the first episodes of the test at 0-shot, alone and with the planner above.

    Args:
      name: a learned principal.
      config: the study.
      trained: the principal, trained.
      seeds: whose training runs are played.
      episodes: with each agent.
      particles: agents that the observer thinks possible, and imagined episodes for each choice.
      sweeps: Gibbs sweeps of the observer after each action.
      beta: range of the coefficients that it thinks possible; where it is informed, it knows the
        agent's rewards and coefficient.

    Returns:
      Rows of scores by the names of `LABELS`.
    """
    whole = make_setting(config)
    places = [
        place
        for place, stream in enumerate(whole.streams)
        if stream.population == FAMILY and stream.seed in seeds
    ]
    setting, (learned, _) = whole.only(places), build(name, config, whole)
    params = adapt_streams(name, config, setting, _only(trained, places), 0)
    above = watching(config.game.static, learned.principal, particles, sweeps)

    def watcher(is_informed: bool) -> Callable[[Any, tuple[Task, ...]], Watcher]:
        def params_of(base: Any, tasks: tuple[Task, ...]) -> Watcher:
            env = bandits_of(tasks)
            stranger = stranger_prior(config.game.num_arms, config.game.economics, beta)
            prior = informed_prior(tasks[0]) if is_informed else for_each(stranger, len(env.target))
            return Watcher(base, prior, env.cost, env.bonus)

        return params_of

    ways: dict[str, tuple[Principal, Any]] = {
        ALONE: (learned.principal, lambda base, tasks: base),
        WATCHING: (above, watcher(False)),
        INFORMED: (above, watcher(True)),
    }
    found = {}
    for way, (principal, params_of) in ways.items():
        own = (LABELS[way], setting, principal, params, episodes)
        scores = play_again(*own, params_of=params_of, batch_size=1)
        found[way] = replayed_rows(name, config, setting, scores, 0, episodes)
    return found


def _only(trained: Trained, places: list[int]) -> Trained:
    """The principals of some streams."""
    pick = lambda tree: jax.tree.map(lambda leaf: leaf[np.asarray(places)], tree)  # noqa: E731
    return Trained(pick(trained.state), pick(trained.history))
