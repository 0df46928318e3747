"""Following recorded episodes of UCB agents with Bayesian observers, beside the world model."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from mermaide_jax.agents import UCBParams
from mermaide_jax.base import Task
from mermaide_jax.errors import refuse
from mermaide_jax.games import make_bandit
from mermaide_jax.oracles import ucb_beliefs
from mermaide_jax.oracles.observers import informed_prior, stranger_prior
from mermaide_jax.results.configs import config_from_dict
from mermaide_jax.results.records import Record
from mermaide_jax.results.results import Results
from mermaide_jax.studies.kit import say
from mermaide_jax.studies.mermaide.config import StudyConfig

__all__ = ["INFORMED", "MODEL", "STRANGER", "observe_episodes", "recorded_episodes"]

STRANGER, INFORMED, MODEL = "observer", "observer, informed of the agent", "world model"
_LEAST = 1e-6


def recorded_episodes(results: Results) -> list[Record]:
    """Lists the recorded episodes of UCB agents with predictions, of the greatest K.

    Raises:
      ConfigError: there are none, or interventions are not binary.

    Example:
      >>> one = {"family": "ucb", "predicted_target_probability": [0.2, 0.5]}
      >>> episodes = [one | {"k_shot": number} for number in (0, 1)]
      >>> results = Results({"game": {"kind": "binary"}}, {}, "", 0.0, "", [], [], episodes, "")
      >>> [episode["k_shot"] for episode in recorded_episodes(results)]
      [1]
    """
    kind = results.config["game"]["kind"]
    if kind != "binary":
        refuse("results", f"interventions of kind {kind}", "binary ones")
    found = [
        episode
        for episode in results.episodes
        if episode["family"] == "ucb" and episode["predicted_target_probability"] is not None
    ]
    if not found:
        refuse("results", "no recorded episode of a UCB agent with predictions", "at least one")
    most = max(episode["k_shot"] for episode in found)
    return [episode for episode in found if episode["k_shot"] == most]


def observe_episodes(
    results: Results, particles: int, sweeps: int, beta: tuple[float, float]
) -> pd.DataFrame:
    """Computes how likely each predictor thought what came, by episode and step.

    What came is that the agent took the target, or not; the predictors are two observers, one of
    whom is `STRANGER` to the agent, and the world model.

    Args:
      results: of a finished study.
      particles: of an observer.
      sweeps: Gibbs sweeps after each action.
      beta: range of the coefficients that a stranger thinks possible.

    Returns:
      Columns principal, k_shot, agent, episode, step, predictor and log_likelihood.
    """
    config = config_from_dict(StudyConfig, results.config)
    num_arms, economics = config.game.num_arms, config.game.economics
    stranger, frames = stranger_prior(num_arms, economics, beta), []

    @jax.jit
    def observe(key, action, bonus, prior):
        return ucb_beliefs(key, action, bonus, num_arms, prior, particles, sweeps)

    for number, episode in enumerate(recorded_episodes(results)):
        action, target = np.asarray(episode["action"], np.int32), episode["target"]
        hit = action == target
        paid = economics.bonus * (np.asarray(episode["intervention"]) > 0) * hit
        env = make_bandit(episode["mean_rewards"], target, economics)
        informed = informed_prior(Task(UCBParams(episode["coefficient"]), env))
        predictions = {MODEL: np.asarray(episode["predicted_target_probability"])}
        for who, prior in ((STRANGER, stranger), (INFORMED, informed)):
            law = observe(jax.random.key(number), action, jnp.asarray(paid, jnp.float32), prior)
            predictions[who] = np.asarray(law)[:, target]
        frames.append(_likelihoods(predictions, hit).assign(**_about(episode, number)))
        say(f"episode {number + 1}: observed")
    return pd.concat(frames, ignore_index=True)


def _likelihoods(predictions: dict[str, np.ndarray], hit: np.ndarray) -> pd.DataFrame:
    """Log-likelihoods of ``hit`` ``[T]`` by the predicted probabilities of one, by predictor."""
    frames = []
    for who, predicted in predictions.items():
        chance = np.clip(np.where(hit, predicted, 1.0 - predicted), _LEAST, 1.0)
        columns = {"step": np.arange(len(hit)), "predictor": who, "log_likelihood": np.log(chance)}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames)


def _about(episode: Record, number: int) -> Record:
    names: Sequence[str] = ("principal", "k_shot", "agent")
    return {key: episode[key] for key in names} | {"episode": number}
