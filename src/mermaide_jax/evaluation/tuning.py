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
    """The candidate with the best mean score on ``tasks``, all of them tried with the same keys.

    Args:
      key: typed key, consumed.
      game: the game.
      principal: scripted principal with a single scalar as params.
      candidates: ``[C]`` values to try.
      tasks: ``N`` training agents (never the test agents).
      num_episodes: episodes with each agent for each candidate.

    Returns:
      scalar, one of ``candidates``; the first of equals.
    """

    def mean_score(candidate: jax.Array) -> jax.Array:
        scores = evaluate(key, game, principal, candidate, tasks, num_episodes)
        return jnp.mean(scores.score)

    return candidates[jnp.argmax(jax.vmap(mean_score)(candidates))]
