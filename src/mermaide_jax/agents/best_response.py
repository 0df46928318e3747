"""Best response: knows its rewards, sees the announced bonus, takes the best of the sum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents import ties
from mermaide_jax.base import Agent
from mermaide_jax.registry import register


class BestResponseParams(NamedTuple):
    """Leaves of a best-responding agent.

    Attributes:
      mean_rewards: ``[A]`` float32, the base rewards it knows.
    """

    mean_rewards: jax.Array


@memoize
def best_response(num_arms: int) -> Agent:
    """Makes an agent that takes ``argmax_a mu[a] + offer[a]``, ties at random.

    The follower of the Stackelberg experiment of MERMAIDE (section 5.1). Its params are
    `BestResponseParams`, its state is empty.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> agent = best_response(3)
      >>> params = BestResponseParams(jnp.array([0.2, 0.5, 0.9]))
      >>> offer = jnp.array([1.0, 0.0, 0.0])
      >>> int(agent.act(jax.random.key(0), params, agent.init(params), offer))
      0
    """
    errors.check_at_least("num_arms", num_arms, 2)

    def init(params: BestResponseParams) -> tuple[()]:
        del params
        return ()

    def act(key, params: BestResponseParams, state, offer):
        del state
        return ties.random_argmax(key, jnp.asarray(params.mean_rewards) + offer)

    def probabilities(params: BestResponseParams, state, offer):
        del state
        return ties.argmax_probabilities(jnp.asarray(params.mean_rewards) + offer)

    def update(params: BestResponseParams, state, action, reward):
        del params, action, reward
        return state

    def estimates(params: BestResponseParams, state):
        del state
        return jnp.asarray(params.mean_rewards)

    def inform(params: BestResponseParams, env) -> BestResponseParams:
        del params
        return BestResponseParams(env.mean_rewards)

    return Agent(init, act, update, estimates, probabilities, inform=inform)


register(
    "family",
    "best_response",
    best_response,
    label="Best-response",
    summary="knows its rewards, sees the offer, takes the best arm",
    params=BestResponseParams,  # a placeholder: `Agent.inform` puts the rewards there
    sees_offers=True,
    rank=3,
)
