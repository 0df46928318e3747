"""What is minimised: the inner loss of one agent's episodes, and the outer loss of a batch."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import losses, meta
from mermaide_jax.games import Trajectory
from mermaide_jax.principals import LearnedPrincipal
from mermaide_jax.training.config import TrainingConfig

Params = Any


class Episodes(NamedTuple):
    """What the losses need of ``M`` episodes; a leading axis of agents is added by ``vmap``.

    Attributes:
      observation: ``[M, T, O]`` float32.
      intervention: ``[M, T]`` int32.
      action: ``[M, T]`` int32, the agent's actions.
      reward: ``[M, T]`` float32, the principal's rewards.
    """

    observation: jax.Array
    intervention: jax.Array
    action: jax.Array
    reward: jax.Array


class LossInfo(NamedTuple):
    """Means per step, in nats: the world model's log-likelihood and the policy's entropy."""

    log_likelihood: jax.Array
    entropy: jax.Array


class Weights(NamedTuple):
    """Scalars of the loss that change while training goes on.

    Attributes:
      policy: 1, or 0 while only the world model trains.
      entropy: coefficient of the entropy bonus.
    """

    policy: chex.Numeric
    entropy: chex.Numeric


def to_episodes(trajectory: Trajectory) -> Episodes:
    """The part of trajectories that the losses need, without gradient."""
    return jax.lax.stop_gradient(
        Episodes(
            trajectory.observation,
            trajectory.intervention,
            trajectory.step.action,
            trajectory.reward,
        )
    )


def advantages(rewards: jax.Array) -> jax.Array:
    """Returns to go less the leave-one-out baseline of the same agent and step, to unit variance.

    Args:
      rewards: ``[N, M, T]`` principal's rewards of ``M`` episodes with each of ``N`` agents.

    Returns:
      ``[N, M, T]``, divided by the standard deviation over everything (a scale, not a shift, so
      that the baseline stays the only thing subtracted).
    """
    returns = jax.vmap(jax.vmap(losses.rewards_to_go))(rewards)
    centred = returns - jax.vmap(losses.leave_one_out_baseline)(returns)
    return centred / (jnp.sqrt(jnp.mean(jnp.square(centred))) + 1e-6)


def inner_loss(
    config: TrainingConfig,
    learned: LearnedPrincipal,
    params: Params,
    episodes: Episodes,
    policy_weight: chex.Numeric = 1.0,
) -> jax.Array:
    """The loss of the inner SGD on the ``K`` episodes of one agent (MERMAIDE, Algorithms 1, 2).

        L = 1/K sum_k sum_t [ -log pi(u_t) G_t  -  log p(a_t) ]

    Summed over time with raw returns ``G_t``: at a rate of 7e-4 anything smaller does not move the
    policy. With ``meta_gradient="dice"`` the first term is `losses.dice_loss`.

    Returns:
      scalar.
    """

    def one(episode: Episodes) -> jax.Array:
        decision = learned.replay(params, episode.observation, episode.intervention)
        if config.meta_gradient == "dice":
            policy_loss = losses.dice_loss(decision.log_prob, episode.reward)
        else:
            returns = losses.rewards_to_go(episode.reward)
            policy_loss = losses.reinforce_loss(decision.log_prob, returns)
        model_loss = losses.next_action_loss(decision.prediction, episode.action)
        return jnp.asarray(policy_weight * policy_loss + model_loss)

    return jnp.mean(jax.vmap(one)(episodes))


def outer_loss(
    learned: LearnedPrincipal,
    weights: Weights,
    params: Params,
    episodes: Episodes,
    advantage: jax.Array,
) -> tuple[jax.Array, LossInfo]:
    """The loss of the outer Adam on ``M`` episodes of one agent, a mean over episodes and steps.

        L = mean_{m,t} [ w (-log pi(u_t) A_t - b H(pi)) - log p(a_t) ]

    Args:
      learned: the principal.
      weights: ``w`` and ``b``.
      params: its params, adapted or not.
      episodes: ``M`` episodes.
      advantage: ``[M, T]``.

    Returns:
      scalar, and `LossInfo` of the same episodes.
    """

    def one(episode: Episodes, advantage: jax.Array) -> tuple[jax.Array, LossInfo]:
        decision = learned.replay(params, episode.observation, episode.intervention)
        policy_loss = losses.reinforce_loss(decision.log_prob, advantage)
        policy_loss -= jnp.asarray(weights.entropy) * jnp.sum(decision.entropy)
        model_loss = losses.next_action_loss(decision.prediction, episode.action)
        loss = jnp.asarray(weights.policy) * policy_loss + model_loss
        info = LossInfo(-model_loss / advantage.shape[0], jnp.mean(decision.entropy))
        return loss / advantage.shape[0], info

    loss, info = jax.vmap(one)(episodes, advantage)
    return jnp.mean(loss), jax.tree.map(jnp.mean, info)


def make_adapt(
    config: TrainingConfig, learned: LearnedPrincipal, num_steps: int | None = None
) -> meta.Adapt:
    """``adapt(params, episodes, policy_weight=1.0) -> params``: the inner loop on one agent.

    Plain SGD without momentum at ``config.inner_learning_rate``; what moves is configured. It is
    the same in training (Algorithm 1) and in the K-shot test (Algorithm 2).
    """

    def loss(params: Params, episodes: Episodes, policy_weight: chex.Numeric = 1.0) -> jax.Array:
        return inner_loss(config, learned, params, episodes, policy_weight)

    moves = {"policy": config.adapt_policy}
    if learned.config.world_model:
        moves["world_model"] = config.adapt_world_model
    return meta.inner_loop(
        loss,
        optax.sgd(config.inner_learning_rate),
        config.inner_steps if num_steps is None else num_steps,
        first_order=config.meta_gradient == "first_order",
        adapts=moves,
    )
