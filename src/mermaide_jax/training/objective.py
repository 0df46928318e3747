"""What is minimised: the inner loss of one agent's episodes, and the outer loss of a batch."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import losses, meta
from mermaide_jax.base import Trajectory
from mermaide_jax.principals import Decision, DecisionAndActivations, LearnedPrincipal
from mermaide_jax.training.config import TrainingConfig

Params = Any


class Episodes(NamedTuple):
    """What the losses need of ``M`` episodes; a leading axis of agents is added by ``vmap``.

    Attributes:
      observation: ``[M, T, O]`` float32.
      intervention: ``[M, T]`` int32.
      action: ``[M, T]`` int32, the agent's actions.
      reward: ``[M, T]`` float32, the principal's rewards.
      hit: ``[M, T]`` bool, or None: whether the agent took the target; no loss reads it.
      activations: None, or what the networks went through while these were played,
        see `principals.DecisionAndActivations`, and `LearnedPrincipal.lasting_activations` for how
        long they hold.
    """

    observation: jax.Array
    intervention: jax.Array
    action: jax.Array
    reward: jax.Array
    hit: Any = None
    activations: Any = None


class LossInfo(NamedTuple):
    """Means per step, in nats: the world model's log-likelihood and the policy's entropy."""

    log_likelihood: jax.Array
    entropy: jax.Array


def to_episodes(trajectory: Trajectory) -> Episodes:
    """Keeps of trajectories what the losses need, without gradient.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> never = principals.random(game.pay_target)
      >>> to_episodes(games.rollout(jax.random.key(1), game, never, 0.0, task)).reward.shape
      (4,)
    """
    return jax.lax.stop_gradient(
        Episodes(
            trajectory.observation,
            trajectory.intervention,
            trajectory.step.action,
            trajectory.reward,
            trajectory.step.hit,
            trajectory.principal.activations
            if isinstance(trajectory.principal, DecisionAndActivations)
            else None,
        )
    )


def advantages(rewards: jax.Array) -> jax.Array:
    """Takes returns to go less the leave-one-out baseline of the same agent, to unit variance.

    Args:
      rewards: ``[N, M, T]`` principal's rewards of ``M`` episodes with each of ``N`` agents.

    Returns:
      ``[N, M, T]``, divided by the root mean square of everything (a scale, not a shift, so that
      the baseline stays the only thing subtracted).

    Example:
      >>> advantages(jnp.array([[[1.0], [3.0]]])).round(3).tolist()
      [[[-1.0], [1.0]]]
    """
    returns = jax.vmap(jax.vmap(losses.rewards_to_go))(rewards)
    return _to_unit_variance(returns - jax.vmap(losses.leave_one_out_baseline)(returns))


def hit_advantages(rewards: jax.Array, hits: jax.Array) -> jax.Array:
    """Estimates advantages of payments for the target, of agents that move before they see them.

    What the agent does does not hang on the payment of the same step, and a payment reaches it only
    if it took the target. So without a hit a payment costs what it costs and changes nothing that
    follows; with one, the hit itself was not its doing:

        A_t = q_t - mean q_t + 1[a_t = a*] (G_{t+1} - mean G_{t+1}),    q_t = R^p_t - 1[a_t = a*]

    The means are of the *other* episodes with the same agent at the same step, that of ``G_{t+1}``
    of those with a hit if there are any. Compared with `advantages` this leaves out terms of mean
    zero, but for what a principal itself makes of having paid in vain.

    Args:
      rewards: ``[N, M, T]`` principal's rewards of ``M`` episodes with each of ``N`` agents.
      hits: ``[N, M, T]`` bool, whether the agent took the target.

    Returns:
      ``[N, M, T]``, to the scale of `advantages`.

    Example:
      >>> rewards, hits = jnp.array([[[0.25], [1.0]]]), jnp.array([[[True], [True]]])
      >>> hit_advantages(rewards, hits).round(3).tolist()  # the first paid
      [[[-1.0], [1.0]]]
    """
    return _to_unit_variance(jax.vmap(_centred_at_hits)(rewards, hits))


def _centred_at_hits(rewards: jax.Array, hits: jax.Array) -> jax.Array:
    """``[M, T]``, of one agent."""
    taken = hits.astype(rewards.dtype)
    paid = rewards - taken
    following = jax.vmap(losses.rewards_to_go)(rewards) - rewards
    others = jnp.sum(taken, axis=0) - taken
    of_hits = jnp.sum(taken * following, axis=0) - taken * following
    of_all = losses.leave_one_out_baseline(following)
    baseline = jnp.where(others > 0, of_hits / jnp.maximum(others, 1.0), of_all)
    return paid - losses.leave_one_out_baseline(paid) + taken * (following - baseline)


def _to_unit_variance(centred: jax.Array) -> jax.Array:
    return centred / (jnp.sqrt(jnp.mean(jnp.square(centred))) + 1e-6)


def inner_loss(
    config: TrainingConfig,
    learned: LearnedPrincipal,
    params: Params,
    episodes: Episodes,
    *,
    world_model_only: bool = False,
) -> jax.Array:
    """Computes the loss of the inner SGD on the ``K`` episodes of one agent (Algorithms 1, 2).

        L = 1/K sum_k sum_t [ -log pi(u_t) G_t  -  log p(a_t) ]

    Summed over time with raw returns ``G_t``: at a rate of 7e-4 anything smaller does not move the
    policy. The first term is that of the configured `meta.MetaGradient`; with
    ``world_model_only`` it is left out.

    Returns:
      scalar.

    Example:
      >>> config = games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agents.ucb(3), (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agents.ucb(3), config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> params = learned.init_params(jax.random.key(1))
      >>> played = games.collect(jax.random.key(2), game, learned.principal, params, tasks, 1)
      >>> episodes = jax.tree.map(lambda leaf: leaf[0], to_episodes(played))
      >>> inner_loss(training.TrainingConfig(), learned, params, episodes).shape
      ()
    """
    decision = _replay(learned, params, episodes)
    model_loss = jax.vmap(losses.next_action_loss)(decision.prediction, episodes.action)
    if world_model_only:
        return jnp.mean(model_loss)
    policy_loss = jax.vmap(config.kind.policy_loss)(decision.log_prob, episodes.reward)
    return jnp.mean(policy_loss + model_loss)


def outer_loss(
    learned: LearnedPrincipal,
    entropy_bonus: chex.Numeric,
    params: Params,
    episodes: Episodes,
    advantage: jax.Array,
    *,
    world_model_only: bool = False,
) -> tuple[jax.Array, LossInfo]:
    """Computes the loss of the outer Adam on ``M`` episodes, a mean over episodes and steps.

        L = mean_{m,t} [ -log pi(u_t) A_t - b H(pi) - log p(a_t) ]

    Args:
      learned: the principal.
      entropy_bonus: coefficient ``b``.
      params: its params, adapted or not, the same for all the episodes.
      episodes: ``M`` episodes, with one agent or several.
      advantage: ``[M, T]``.
      world_model_only: the last term alone.

    Returns:
      scalar, and `LossInfo` of the same episodes.

    Example:
      >>> config = games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agents.ucb(3), (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agents.ucb(3), config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> params = learned.init_params(jax.random.key(1))
      >>> played = games.collect(jax.random.key(2), game, learned.principal, params, tasks, 3)
      >>> episodes = jax.tree.map(lambda leaf: leaf[0], to_episodes(played))
      >>> loss, info = outer_loss(learned, 0.0, params, episodes, advantages(played.reward)[0])
      >>> round(float(info.log_likelihood), 2)  # of a world model that knows nothing: -log 3
      -1.1
    """
    if world_model_only:
        # The policy's entropy is reported still; nothing of it is differentiated.
        params = params | {"policy": jax.lax.stop_gradient(params["policy"])}
    decision = _replay(learned, params, episodes)
    model_loss = jax.vmap(losses.next_action_loss)(decision.prediction, episodes.action)
    policy_loss = jax.vmap(losses.reinforce_loss)(decision.log_prob, advantage)
    policy_loss -= entropy_bonus * jnp.sum(decision.entropy, axis=-1)
    loss = model_loss if world_model_only else policy_loss + model_loss
    horizon = advantage.shape[-1]
    return jnp.mean(loss) / horizon, LossInfo(
        log_likelihood=-jnp.mean(model_loss) / horizon, entropy=jnp.mean(decision.entropy)
    )


def _replay(learned: LearnedPrincipal, params: Params, episodes: Episodes) -> Decision:
    """What the networks say to ``M`` episodes, ``[M, T]``: all of them in one batch of products."""
    known = (episodes.observation, episodes.intervention, episodes.activations)
    if episodes.reward.shape[0] == 1:
        # XLA copies arrays to move an axis of one.
        decision = learned.replay(params, *jax.tree.map(lambda x: x[0], known))
        return jax.tree.map(lambda x: x[None], decision)
    time_first = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), known)
    decision = learned.replay(params, *time_first)
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), decision)


def make_adapt(
    config: TrainingConfig,
    learned: LearnedPrincipal,
    num_steps: int | None = None,
    *,
    world_model_only: bool = False,
) -> meta.Adapt:
    """Makes ``adapt(params, episodes) -> params``, the inner loop on one agent.

    Plain SGD without momentum at ``config.inner_learning_rate``; what moves is configured. After
    it, a principal with a memory remembers the episodes. It is the same in training (Algorithm 1)
    and in the K-shot test (Algorithm 2).

    Example:
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, 7, num_arms=3, num_interventions=2)
      >>> adapt = make_adapt(training.TrainingConfig(inner_steps=2), learned)
      >>> callable(adapt)
      True
    """

    def loss(params: Params, episodes: Episodes) -> jax.Array:
        return inner_loss(config, learned, params, episodes, world_model_only=world_model_only)

    moves = {"policy": config.adapt_policy}
    if learned.config.world_model:
        moves["world_model"] = config.adapt_world_model
    steps = config.inner_steps if num_steps is None else num_steps
    descend = config.kind.inner_loop(
        loss,
        optax.sgd(config.inner_learning_rate),
        steps,
        adapts=moves,
        reference=learned.config.recurrence == "reference",
    )

    def adapt(params: Params, episodes: Episodes) -> Params:
        # From the second step on the params are not those that played.
        if steps != 1 and not learned.lasting_activations:
            episodes = episodes._replace(activations=None)
        return learned.remember(descend(params, episodes), episodes.action, episodes.intervention)

    return adapt
