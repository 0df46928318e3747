"""What an observer of a UCB agent takes for granted: as a stranger, or informed of the agent."""

import jax
import jax.numpy as jnp

from mermaide_jax.base import Task
from mermaide_jax.games import Economics
from mermaide_jax.oracles.filtering_moves import UCBPrior

__all__ = ["BETA", "informed_prior", "stranger_prior"]

BETA = (0.1, 0.75)
"""Range of coefficients that a stranger thinks possible."""


def stranger_prior(
    num_arms: int, economics: Economics, beta: tuple[float, float] = BETA
) -> UCBPrior:
    """Makes the prior of who meets an agent for the first time: the ranges alone.

    Args:
      num_arms: ``A``.
      economics: of the game: noise, and range of the base mean rewards.
      beta: range of the coefficients.

    Returns:
      UCBPrior with bounds ``[A]``, arm by arm as those of `informed_prior`, so that one program
      serves both.

    Example:
      >>> stranger_prior(3, games.Economics()).reward_low.tolist()
      [0.0, 0.0, 0.0]
    """
    bounds = (
        jnp.full((num_arms,), end, jnp.float32)
        for end in (economics.reward_low, economics.reward_high)
    )
    return UCBPrior(jnp.float32(economics.noise), *bounds, *(jnp.float32(end) for end in beta))


def informed_prior(task: Task) -> UCBPrior:
    """Makes the prior of who is informed of an agent: all that other episodes could teach.

    Args:
      task: who is observed, a UCB agent in a game on a bandit.

    Example:
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agents.ucb(3), jnp.array([0.5]), 3, games.Economics()
      ... )
      >>> float(informed_prior(task).beta_low)
      0.5
    """
    rewards = jnp.asarray(task.env.mean_rewards, jnp.float32)
    beta = jnp.asarray(task.agent.beta, jnp.float32)
    return UCBPrior(jnp.asarray(task.env.noise, jnp.float32), rewards, rewards, beta, beta)


def for_each(prior: UCBPrior, number: int) -> UCBPrior:
    """Repeats a prior for each of several agents, leading axis ``[N]``.

    Example:
      >>> for_each(stranger_prior(3, games.Economics()), 2).reward_low.shape
      (2, 3)
    """
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *jnp.shape(leaf))), prior)
