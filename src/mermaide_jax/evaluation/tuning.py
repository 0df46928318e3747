"""The one number of a scripted principal, chosen on training agents."""

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.base import Games, Principal, Tasks
from mermaide_jax.evaluation.protocol import evaluate


def tune(
    key: chex.PRNGKey,
    game: Games,
    principal: Principal,
    candidates: jax.Array,
    tasks: Tasks,
    num_episodes: int,
) -> jax.Array:
    """Finds the candidate with the best mean score on ``tasks``, all tried with the same keys.

    Args:
      key: typed key, consumed.
      game: the game.
      principal: scripted principal with a single scalar as params.
      candidates: ``[C]`` values to try.
      tasks: ``N`` training agents (never the test agents).
      num_episodes: episodes with each agent for each candidate.

    Returns:
      scalar, one of ``candidates``; the first of equals.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> dear = games.Economics(cost=100.0)
      >>> tasks = games.finite_tasks(jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, dear)
      >>> game = games.make_intervention_game(agent, config)
      >>> first_k = principals.first_k(game.pay_target)
      >>> int(tune(jax.random.key(1), game, first_k, jnp.arange(5), tasks, num_episodes=3))
      0
    """

    def mean_score(candidate: jax.Array) -> jax.Array:
        scores = evaluate(key, game, principal, candidate, tasks, num_episodes)
        return jnp.mean(scores.score)

    return candidates[jnp.argmax(jax.vmap(mean_score)(candidates))]
