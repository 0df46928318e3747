"""Epsilon-greedy: the best sample mean, or with probability epsilon any arm."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents import sample_means, ties
from mermaide_jax.base import Agent
from mermaide_jax.registry import Parameter, register


class EpsilonGreedyParams(NamedTuple):
    """Leaves of an epsilon-greedy agent.

    Attributes:
      epsilon: scalar in [0, 1], probability of exploring.
      initial_value: scalar, ``Q0``: the estimate of an arm before its first pull.
    """

    epsilon: chex.Numeric
    initial_value: chex.Numeric = 0.0


@memoize
def epsilon_greedy(num_arms: int, initial_pull: bool = True) -> Agent:
    """Makes an epsilon-greedy agent: sample means, constant epsilon.

    With probability ``epsilon`` the action is uniform over all arms, else the arm with the
    greatest sample mean, ties at random. Its params are `EpsilonGreedyParams`, its state
    `SampleMeans`. It does not see offers.

    Args:
      num_arms: number of arms ``A``, at least 2.
      initial_pull: pull every arm once, in random order, before anything else. Without it an
        arm starts from ``Q0`` and the agent tends to lock on the arms it meets early.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> agent = epsilon_greedy(3, initial_pull=False)
      >>> params = EpsilonGreedyParams(epsilon=0.75)
      >>> state = agent.update(params, agent.init(params), jnp.int32(1), jnp.float32(1.0))
      >>> agent.probabilities(params, state, jnp.zeros(3)).tolist()
      [0.25, 0.5, 0.25]
    """

    def greedy_values(state: sample_means.SampleMeans) -> jax.Array:
        return sample_means.untried_first(state, state.means) if initial_pull else state.means

    def act(key, params: EpsilonGreedyParams, state: sample_means.SampleMeans, offer):
        del offer
        key_explore, key_arm, key_tie = jax.random.split(key, 3)
        greedy = ties.random_argmax(key_tie, greedy_values(state))
        uniform = jax.random.randint(key_arm, (), 0, num_arms, jnp.int32)
        explore = jax.random.uniform(key_explore, dtype=jnp.float32) < params.epsilon
        if initial_pull:
            # Every arm first: a uniform pull now would leave an arm untried for longer.
            explore &= jnp.all(state.counts > 0)
        return jnp.where(explore, uniform, greedy)

    def probabilities(params: EpsilonGreedyParams, state: sample_means.SampleMeans, offer):
        del offer
        explore = jnp.clip(jnp.asarray(params.epsilon, jnp.float32), 0.0, 1.0)
        if initial_pull:
            explore = jnp.where(jnp.all(state.counts > 0), explore, 0.0)
        greedy = ties.argmax_probabilities(greedy_values(state))
        return (1.0 - explore) * greedy + explore / num_arms

    return sample_means.sample_mean_agent(num_arms, act, probabilities, lambda p: p.initial_value)


register(
    "family",
    "epsilon_greedy",
    epsilon_greedy,
    label="Epsilon-greedy",
    summary="the best mean so far, or with probability epsilon any arm",
    parameters=(Parameter("epsilon", (0.1, 0.2, 0.3, 0.4, 0.5), high=1.0),),  # published (MERMAIDE)
    params=lambda epsilon: EpsilonGreedyParams(epsilon, initial_value=jnp.zeros_like(epsilon)),
    options=("initial_pull",),
    index=lambda params, state: sample_means.untried_first(state, state.means),
    rank=2,
)
