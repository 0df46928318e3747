"""The equilibrium of the Stackelberg game, in closed form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mermaide_jax.base import Task
from mermaide_jax.games.stackelberg import StackelbergConfig
from mermaide_jax.games.tasks import Bandit


class Equilibrium(NamedTuple):
    """Stackelberg equilibrium of one task.

    Attributes:
      share: float32 scalar, share of ``delta`` to offer on the target; 0 if nothing is worth it.
      bonus: float32 scalar, ``delta * share``.
      payoff: float32 scalar, what the principal earns per interaction.
    """

    share: jax.Array
    bonus: jax.Array
    payoff: jax.Array


def equilibrium(task: Task, config: StackelbergConfig) -> Equilibrium:
    """Finds the least offer that makes the target a best response, if it is worth its cost.

        g  = max_j mu[j] - mu[a*]                        the agent's preference for another arm
        s* = min {s in S: delta s >= g}                  S: the shares on offer, with 0
        payoff = max(1 - c delta s*, 0)                  0 too if no share is large enough

    Ties go to the principal (the strong equilibrium); for a continuum of shares this is the
    supremum, which no offer attains against an agent that breaks ties otherwise. Offers on other
    arms make the target less attractive and never help.

    Args:
      task: one task, fields as in `Task`.
      config: which shares there are.

    Returns:
      Equilibrium of float32 scalars.

    Example:
      >>> env = games.make_bandit(jnp.array([0.5, 0.75]), 0, games.Economics(cost=0.75))
      >>> task = games.make_task(agents.best_response(2), None, env)
      >>> found = equilibrium(task, StackelbergConfig(num_arms=2))
      >>> float(found.share), float(found.payoff)
      (0.25, 0.8125)
    """
    env: Bandit = task.env
    gap = jnp.max(env.mean_rewards) - env.mean_rewards[env.target]
    if config.kind == "continuous":
        least = gap / jnp.where(gap > 0.0, env.bonus, 1.0)  # 0 where there is no gap, nor a bonus
        share = jnp.where(gap <= env.bonus, least, jnp.inf)
    else:
        several = sorted(config.magnitudes) if config.kind == "magnitude" else (1.0,)
        shares = jnp.asarray((0.0, *several), jnp.float32)
        share = jnp.min(jnp.where(env.bonus * shares >= gap, shares, jnp.inf))
    payoff = 1.0 - env.cost * env.bonus * share
    worth_it = payoff > 0.0
    share = jnp.where(worth_it, share, 0.0)
    return Equilibrium(share, share * env.bonus, jnp.where(worth_it, payoff, 0.0))
