"""UCB: optimism in the face of uncertainty, with one exploration coefficient."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents import sample_means, ties
from mermaide_jax.base import Agent
from mermaide_jax.registry import Parameter, register


class UCBParams(NamedTuple):
    """Leaves of a UCB agent.

    Attributes:
      beta: scalar, exploration coefficient (0 is greedy).
    """

    beta: chex.Numeric


def ucb_index(beta: chex.Numeric, state: sample_means.SampleMeans) -> jax.Array:
    """Computes the upper index ``Q[a] + beta * sqrt(ln(t) / n[a])`` with ``t = sum(n)``.

    Arms that were never pulled have index ``+inf``. Source: UCB1 of Auer, Cesa-Bianchi and
    Fischer (2002), with coefficient ``beta`` in place of ``sqrt(2)`` (MERMAIDE, section 5).

    Returns:
      ``[A]`` float32.

    Example:
      >>> state = sample_means.SampleMeans(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.0]))
      >>> ucb_index(0.3, state).tolist()
      [0.5, inf]
    """
    return sample_means.untried_first(state, state.means + beta * ucb_width(state.counts))


def ucb_width(counts: jax.Array) -> jax.Array:
    """Computes what ``beta`` multiplies, ``sqrt(ln(t) / n[a])``; finite where n is 0.

    Args:
      counts: ``[A]`` pulls of each arm.

    Returns:
      ``[A]`` float32.

    Example:
      >>> print(np.round(ucb_width(jnp.array([1.0, 4.0])), 2))
      [1.27 0.63]
    """
    log_time = jnp.log(jnp.maximum(jnp.sum(counts), 1.0))
    return jnp.sqrt(log_time / jnp.maximum(counts, 1.0))


@memoize
def ucb(num_arms: int) -> Agent:
    """Makes a UCB agent: untried arms first, ties at random.

    Its params are `UCBParams`, its state `SampleMeans`. It does not see offers.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> agent, params = ucb(3), UCBParams(beta=0.3)
      >>> state = agent.init(params)
      >>> for action in range(3):  # one reward of 1, from arm 1
      ...     reward = jnp.float32(action == 1)
      ...     state = agent.update(params, state, jnp.int32(action), reward)
      >>> int(agent.act(jax.random.key(0), params, state, jnp.zeros(3)))
      1
    """

    def act(key, params: UCBParams, state: sample_means.SampleMeans, offer):
        del offer
        return ties.random_argmax(key, ucb_index(params.beta, state))

    def probabilities(params: UCBParams, state: sample_means.SampleMeans, offer):
        del offer
        return ties.argmax_probabilities(ucb_index(params.beta, state))

    return sample_means.sample_mean_agent(num_arms, act, probabilities)


register(
    "family",
    "ucb",
    ucb,
    label="UCB",
    summary="the arm of the highest mean + beta sqrt(ln t / n)",
    parameters=(Parameter("beta", (0.17, 0.27, 0.42, 0.5, 0.67)),),  # published (MERMAIDE)
    params=UCBParams,
    index=lambda params, state: ucb_index(params.beta, state),
    rank=1,
)
