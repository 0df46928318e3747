"""What is simulated, and what comes back."""

from typing import NamedTuple

import chex
import jax


class Bandits(NamedTuple):
    """One Gaussian bandit per agent.

    Attributes:
      mean_rewards: ``[N, A]`` float32, ``mu``; its shape sets the numbers of agents and arms.
      noise: scalar or ``[N]``, standard deviation ``sigma`` of the rewards.
      target: scalar or ``[N]`` int32, the arm that the payment schedule pays, and whose share of
        the pulls is reported.
    """

    mean_rewards: jax.Array
    noise: chex.Numeric = 0.0
    target: chex.Numeric = 0


class Simulation(NamedTuple):
    """Results of ``N`` agents over ``T`` steps.

    Attributes:
      counts: ``[N, A]`` int32, pulls of each arm.
      total_reward: ``[N]`` float32, sum of what the agent received, payments included.
      target_share: ``[N]`` float32, share of the steps on the target.
      actions: ``[T, N]`` int32, or None unless recorded.
      rewards: ``[T, N]`` float32, or None unless recorded.
    """

    counts: jax.Array
    total_reward: jax.Array
    target_share: jax.Array
    actions: jax.Array | None = None
    rewards: jax.Array | None = None
