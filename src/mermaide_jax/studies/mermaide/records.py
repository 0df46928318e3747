"""From arrays to the records that are saved: rows, training curves, episodes."""

from typing import Any

import numpy as np

from mermaide_jax.base import Trajectory
from mermaide_jax.evaluation.protocol import Scores
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.learned import Trained
from mermaide_jax.studies.mermaide.scripted import episodes_played
from mermaide_jax.studies.mermaide.setting import Setting

CURVE_EVERY = 10
"""Updates averaged into one point of a training curve."""

Record = dict[str, Any]


def score_rows(
    principal: str,
    config: StudyConfig,
    setting: Setting,
    scores: Scores,
    num_shots: int,
    parameter: np.ndarray | None = None,
) -> list[Record]:
    """Makes a row for each stream and test agent.

    Args:
      principal: its name.
      config: the study.
      setting: streams and agents.
      scores: ``[S, m]``.
      num_shots: ``K``.
      parameter: ``[S]``, a scripted principal's number, if it was chosen.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config = StudyConfig(seeds=1)  # two families, ten test agents of each
      >>> scores = Scores(*np.full((5, 2, 10), 0.5))
      >>> rows = score_rows("always", config, make_setting(config), scores, 0)
      >>> len(rows), rows[1]["family"], rows[1]["coefficient"], rows[1]["score"]
      (20, 'ucb', 0.5, 0.5)
    """
    rows = []
    for s, stream in enumerate(setting.streams):
        for m, agent in enumerate(setting.agents[stream.population]):
            row = {
                "principal": principal,
                "family": agent.family,
                "coefficient": agent.coefficient,
                "split": config.agents.split,
                "k_shot": num_shots,
                "seed": stream.seed,
                "agent": agent.index,
                "horizon": config.game.horizon,
                "episodes": episodes_played(principal, config.evaluation),
            }
            row |= {name: _number(values[s, m]) for name, values in scores._asdict().items()}
            if parameter is not None:
                row["parameter"] = _number(parameter[s])
            rows.append(row)
    return rows


def without_world_model(scores: Scores) -> Scores:
    """Takes out of scores what is said of a world model that is not there.

    Example:
      >>> scores = without_world_model(Scores(*np.ones((5, 1, 1))))
      >>> scores.score.item(), scores.world_model_accuracy.item()
      (1.0, nan)
    """
    nothing = np.full_like(scores.score, np.nan)
    return scores._replace(world_model_log_likelihood=nothing, world_model_accuracy=nothing)


def curve_rows(principal: str, setting: Setting, trained: Trained, warm_up: int) -> list[Record]:
    """Makes training curves, `CURVE_EVERY` updates averaged into one point.

    Args:
      principal: its name.
      setting: the streams.
      trained: with metrics ``[S, updates]``.
      warm_up: first updates, that trained the world model alone.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> setting = make_setting(StudyConfig(seeds=1))  # of two families
      >>> trained = Trained(None, training.Metrics(*np.ones((6, 2, 25))))
      >>> rows = curve_rows("mermaide", setting, trained, warm_up=10)
      >>> [(row["update"], row["phase"]) for row in rows if row["family"] == "ucb"]
      [(10, 'world_model'), (20, 'joint'), (25, 'joint')]
    """
    updates = trained.history.score.shape[1]
    rows = []
    for s, stream in enumerate(setting.streams):
        for start in range(0, updates, CURVE_EVERY):
            stop = min(start + CURVE_EVERY, updates)
            means = {
                name: _number(np.mean(values[s, start:stop]))
                for name, values in trained.history._asdict().items()
            }
            rows.append(
                {
                    "principal": principal,
                    "family": stream.population,
                    "seed": stream.seed,
                    "update": stop,
                    "phase": "world_model" if stop <= warm_up else "joint",
                    **means,
                }
            )
    return rows


def episode_records(
    principal: str, config: StudyConfig, setting: Setting, played: Trajectory, num_shots: int
) -> list[Record]:
    """Makes a record for each test agent of the first stream of each group.

    Args:
      principal: its name.
      config: the study.
      setting: streams and agents.
      played: leading axes ``[S, m, T]``.
      num_shots: ``K``.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config, zero = StudyConfig(seeds=1), np.zeros((2, 10, 4))  # streams, agents, steps
      >>> choice = principals.Decision(zero, zero, zero, np.zeros((2, 10, 4, config.game.num_arms)))
      >>> played = Trajectory(zero, zero, zero + 0.5, games.StepInfo(*[zero] * 4), choice)
      >>> episode_records("mermaide", config, make_setting(config), played, 0)[0]["score"]
      2.0
    """
    has_model = principal_configs(principal, config)[0].world_model
    records = []
    for s, stream in enumerate(setting.streams):
        if stream.seed != config.seed:
            continue
        bandits = setting.bandits_met(s)
        for m, agent in enumerate(setting.agents[stream.population]):
            target = int(bandits.target[m])
            decision = played.principal
            predicted = np.exp(decision.prediction[s, m, :, target])
            records.append(
                {
                    "principal": principal,
                    "family": agent.family,
                    "coefficient": agent.coefficient,
                    "seed": stream.seed,
                    "k_shot": num_shots,
                    "agent": agent.index,
                    "target": target,
                    "mean_rewards": _numbers(bandits.mean_rewards[m]),
                    "action": played.step.action[s, m].tolist(),
                    "intervention": played.intervention[s, m].tolist(),
                    "predicted_target_probability": _numbers(predicted) if has_model else None,
                    "policy_probability": _numbers(decision.pay_prob[s, m]),
                    "agent_estimates": _numbers(played.step.agent_estimates[s, m]),
                    "reward": _numbers(played.step.agent_reward[s, m]),
                    "score": _number(np.sum(played.reward[s, m])),
                }
            )
    return records


def _number(value: Any) -> float | None:
    """The float32 with no more digits than tell it from its neighbours; None if not finite."""
    return float(str(np.float32(value))) if np.isfinite(value) else None


def _numbers(values: Any) -> list:
    """The same for an array, as nested lists; what is not finite stays."""
    return np.asarray(values, np.float32).astype(str).astype(float).tolist()
