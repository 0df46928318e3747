"""K-shot evaluation: adapt to each agent on K episodes, then play many fresh ones (Algorithm 2)."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import losses, meta
from mermaide_jax.base import Games, Principal, Tasks, Trajectory
from mermaide_jax.games import collect, count_agents
from mermaide_jax.principals import Decision, LearnedPrincipal
from mermaide_jax.training.objective import to_episodes


class Scores(NamedTuple):
    """Means over the episodes with one agent; float32 scalars, ``[N]`` for ``N`` agents.

    Attributes:
      score: sum of the principal's rewards per episode.
      success_rate: share of steps in which the agent took the target.
      interventions: number of interventions per episode.
      world_model_log_likelihood: nats per step; NaN if nothing is predicted.
      world_model_accuracy: share of steps whose most likely action was taken; NaN likewise.
    """

    score: jax.Array
    success_rate: jax.Array
    interventions: jax.Array
    world_model_log_likelihood: jax.Array
    world_model_accuracy: jax.Array


def summarise(trajectory: Trajectory) -> Scores:
    """Summarises a batch of episodes with each of ``N`` agents as `Scores`.

    Args:
      trajectory: leading axes ``[N, E, T]``.

    Returns:
      Scores with leading axis ``[N]``.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> always = principals.random(game.pay_target)
      >>> trajectory = games.collect(jax.random.key(1), game, always, 1.0, tasks, num_episodes=5)
      >>> summarise(trajectory).interventions.tolist()
      [4.0, 4.0]
    """
    log_likelihood = accuracy = jnp.full(trajectory.reward.shape, jnp.nan, jnp.float32)
    if isinstance(trajectory.principal, Decision):
        prediction, action = trajectory.principal.prediction, trajectory.step.action
        log_likelihood = losses.log_likelihoods(prediction, action)
        accuracy = (jnp.argmax(prediction, axis=-1) == action).astype(jnp.float32)
    paid = (trajectory.intervention > 0).astype(jnp.float32)
    return Scores(
        score=jnp.mean(jnp.sum(trajectory.reward, axis=-1), axis=-1),
        success_rate=jnp.mean(trajectory.step.hit.astype(jnp.float32), axis=(-2, -1)),
        interventions=jnp.mean(jnp.sum(paid, axis=-1), axis=-1),
        world_model_log_likelihood=jnp.mean(log_likelihood, axis=(-2, -1)),
        world_model_accuracy=jnp.mean(accuracy, axis=(-2, -1)),
    )


def evaluate(
    key: chex.PRNGKey,
    game: Games,
    principal: Principal,
    params: Any,
    tasks: Tasks,
    num_episodes: int,
) -> Scores:
    """Plays ``num_episodes`` with each agent, without adaptation.

    Args:
      key: typed key, consumed.
      game: the game.
      principal: who steers.
      params: its params.
      tasks: ``N`` agents.
      num_episodes: episodes with each.

    Returns:
      Scores ``[N]``.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> never = principals.random(game.pay_target)
      >>> scores = evaluate(jax.random.key(1), game, never, 0.0, tasks, num_episodes=5)
      >>> scores.interventions.tolist()
      [0.0, 0.0]
    """
    return summarise(collect(key, game, principal, params, tasks, num_episodes))


def adapt_to_tasks(
    key: chex.PRNGKey,
    game: Games,
    learned: LearnedPrincipal,
    adapt: meta.Adapt,
    params: Any,
    tasks: Tasks,
    num_shots: int,
) -> Any:
    """Adapts params to each of ``N`` agents on ``K`` episodes played with the shared ones.

    Args:
      key: typed key, consumed.
      game: the game.
      learned: the principal.
      adapt: ``adapt(params, episodes) -> params``, see `training.make_adapt`.
      params: its params as trained.
      tasks: ``N`` agents.
      num_shots: ``K``; 0 does not adapt.

    Returns:
      params with leading axis ``[N]``; plain copies if ``K = 0``.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> params = learned.init_params(jax.random.key(1))
      >>> adapt = training.make_adapt(training.TrainingConfig(), learned)
      >>> adapted = adapt_to_tasks(jax.random.key(2), game, learned, adapt, params, tasks, 1)
      >>> jax.tree.leaves(adapted)[0].shape[0]
      2
    """
    if num_shots == 0:
        # Copies, so that what follows is one program for any K: params of each agent's own.
        num_tasks = count_agents(tasks)
        return jax.tree.map(lambda p: jnp.broadcast_to(p, (num_tasks, *p.shape)), params)
    episodes = to_episodes(collect(key, game, learned.principal, params, tasks, num_shots))
    return jax.vmap(adapt, in_axes=(None, 0))(params, episodes)


def play_adapted(
    key_adapt: chex.PRNGKey,
    key_play: chex.PRNGKey,
    game: Games,
    learned: LearnedPrincipal,
    adapt: meta.Adapt,
    params: Any,
    tasks: Tasks,
    num_shots: int,
    num_episodes: int,
) -> Trajectory:
    """Adapts to each agent on ``K`` episodes, then plays fresh ones (Algorithm 2).

    Args:
      key_adapt: typed key of the episodes to adapt on, consumed.
      key_play: typed key of the fresh ones, consumed.
      game: the game.
      learned: the principal.
      adapt: ``adapt(params, episodes) -> params``, see `training.make_adapt`.
      params: its params as trained.
      tasks: ``N`` agents it has never met.
      num_shots: ``K``; 0 does not adapt.
      num_episodes: ``E``, fresh episodes with each agent.

    Returns:
      Trajectory ``[N, E, T]`` of the fresh episodes alone.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> params = learned.init_params(jax.random.key(1))
      >>> adapt = training.make_adapt(training.TrainingConfig(), learned)
      >>> keys = jax.random.split(jax.random.key(2))
      >>> play_adapted(*keys, game, learned, adapt, params, tasks, 1, num_episodes=5).reward.shape
      (2, 5, 4)
    """
    adapted = adapt_to_tasks(key_adapt, game, learned, adapt, params, tasks, num_shots)
    return collect(key_play, game, learned.principal, adapted, tasks, num_episodes, params_axis=0)


def k_shot(
    key: chex.PRNGKey,
    game: Games,
    learned: LearnedPrincipal,
    adapt: meta.Adapt,
    params: Any,
    tasks: Tasks,
    num_shots: int,
    num_episodes: int,
) -> Scores:
    """Gives the `Scores` ``[N]`` of `play_adapted`: its arguments, but for one key, consumed.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> params = learned.init_params(jax.random.key(1))
      >>> adapt = training.make_adapt(training.TrainingConfig(), learned)
      >>> k_shot(jax.random.key(2), game, learned, adapt, params, tasks, 0, 5).score.shape
      (2,)
    """
    key_adapt, key_play = jax.random.split(key)
    own = (game, learned, adapt, params, tasks, num_shots, num_episodes)
    return summarise(play_adapted(key_adapt, key_play, *own))
