"""How well a world model predicts an agent, measured against the agent's own law of action.

The simulator knows the probabilities with which the agent acts, ``p_t``, so a prediction ``q_t`` is
not judged by the luck of single actions:

    cross-entropy = -sum_a p_t(a) log q_t(a)      entropy = -sum_a p_t(a) log p_t(a)
    divergence    = cross-entropy - entropy = KL(p_t || q_t), zero for the best prediction of all

The agent's state is no secret of the principal's to use: this is for reports alone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mermaide_jax.base import Agent, Task, Trajectory
from mermaide_jax.games import GameConfig, decode_intervention


class PredictionQuality(NamedTuple):
    """Of each step of one episode, ``[T]`` float32, in nats but for the last two.

    Attributes:
      entropy: of the agent's own law, the least cross-entropy there is.
      divergence: what the prediction lacks.
      target_predicted: ``q_t(a*)``.
      target_true: ``p_t(a*)``.
    """

    entropy: jax.Array
    divergence: jax.Array
    target_predicted: jax.Array
    target_true: jax.Array


def action_law(agent: Agent, config: GameConfig, task: Task, trajectory: Trajectory) -> jax.Array:
    """Computes the agent's probabilities before each step of an episode that was played.

    The agent is taken once more through what it was offered, did and received.

    Args:
      agent: the rule.
      config: the intervention game that was played.
      task: who was played with.
      trajectory: one episode, leading axis ``T``.

    Returns:
      ``[T, A]`` float32.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> never = principals.random(game.pay_target)
      >>> trajectory = games.rollout(jax.random.key(1), game, never, 0.0, task)
      >>> law = action_law(agent, config, task, trajectory)
      >>> print(np.asarray(law[0]).round(2))  # before the first pull
      [0.33 0.33 0.33]
    """

    def step(state, event):
        intervention, action, reward = event
        offer = decode_intervention(config, intervention, task.env.target)
        law = agent.probabilities(task.agent, state, jnp.asarray(task.env.bonus * offer.bonus))
        return agent.update(task.agent, state, action, reward), law

    events = (trajectory.intervention, trajectory.step.action, trajectory.step.agent_reward)
    return jax.lax.scan(step, agent.init(task.agent), events)[1]


def prediction_quality(
    law: jax.Array, prediction: jax.Array, target: jax.Array
) -> PredictionQuality:
    """Compares predictions with the law of the agent.

    Args:
      law: ``[T, A]`` probabilities, see `action_law`.
      prediction: ``[T, A]`` log-probabilities, see `principals.Decision`.
      target: int32 scalar.

    Example:
      >>> law = jnp.array([[0.5, 0.5]])
      >>> quality = prediction_quality(law, jnp.log(law), jnp.int32(0))
      >>> float(quality.divergence[0]), float(quality.target_predicted[0])
      (0.0, 0.5)
    """
    entropy = -jnp.sum(jax.scipy.special.xlogy(law, law), axis=-1)
    # An action that cannot happen does not count, however unlikely it was thought.
    cross = -jnp.sum(jnp.where(law > 0, law * prediction, 0.0), axis=-1)
    predicted = jnp.exp(prediction[:, target])
    return PredictionQuality(entropy, cross - entropy, predicted, law[:, target])
