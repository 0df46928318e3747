"""When principals pay: trained ones and the all-knowing planner in the episodes of the test."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import pandas as pd

from mermaide_jax.base import Trajectory
from mermaide_jax.report.names import principal_label
from mermaide_jax.report.timing import payment_profiles
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained, adapt_streams, build
from mermaide_jax.studies.mermaide.replay import play_again, play_planned
from mermaide_jax.studies.mermaide.setting import Setting, make_setting

__all__ = ["Played", "payment_times", "stream_profiles"]

ORACLE = "all_knowing"


class Played(NamedTuple):
    """Bool, ``[..., N, E, T]``: which steps were paid for, and in which the target was taken."""

    paid: jax.Array
    hit: jax.Array


def payment_times(
    config: StudyConfig, trained: Mapping[str, Trained], shots: Sequence[int], episodes: int
) -> pd.DataFrame:
    """Profiles of all principals of a study, in the first episodes of the test.

    Args:
      config: the study.
      trained: its learned principals; the all-knowing planner is played beside them.
      shots: numbers K of episodes to adapt on.
      episodes: with each agent.

    Returns:
      The columns of `report.timing.payment_profiles`, and agents, principal, k_shot and seed.
    """
    setting, frames = make_setting(config), []
    for name, principal in trained.items():
        learned, _ = build(name, config, setting)
        for number in shots:
            params = adapt_streams(name, config, setting, principal, number)
            own = (f"{principal_label(name)}, {number}-shot", setting, learned.principal)
            played = play_again(*own, params, episodes, look=_look)
            frames.append(stream_profiles(played, setting, name, number))
    sizes = {"episodes": episodes, "all_knowing_episodes": episodes}
    options = dataclasses.replace(config.evaluation, **sizes)
    played = play_planned(ORACLE, setting, options, _look)
    return pd.concat([*frames, stream_profiles(played, setting, ORACLE, 0)])


def _look(trajectory: Trajectory) -> Played:
    return Played(trajectory.intervention > 0, trajectory.step.hit)


def stream_profiles(played: Played, setting: Setting, name: str, shots: int) -> pd.DataFrame:
    """Profiles of one principal: a line for each stream and step.

    Args:
      played: leading axis ``[S]``.
      setting: the streams.
      name: the principal.
      shots: K.

    Example:
      >>> paid = jax.numpy.ones((2, 1, 1, 3), bool)  # streams, agents, episodes, steps
      >>> setting = make_setting(StudyConfig(seeds=1))
      >>> table = stream_profiles(Played(paid, ~paid), setting, "always", 0)
      >>> table[table["agents"] == "ucb"][["step", "paid", "hit"]].to_numpy().tolist()
      [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, 0.0]]
    """
    frames = []
    for place, stream in enumerate(setting.streams):
        about = {"agents": stream.population, "principal": name, "k_shot": shots}
        profiles = payment_profiles(played.paid[place], played.hit[place])
        frames.append(pd.DataFrame(profiles).assign(seed=stream.seed, **about))
    return pd.concat(frames)
