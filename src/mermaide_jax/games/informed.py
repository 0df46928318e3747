"""An intervention game whose principal is informed of the agent, in observation and nothing else.

What the agent maximises is its *index*: estimates plus width for UCB, estimates for epsilon-greedy.
A principal that is informed observes, beside what it sees anyway, how far each arm's index is from
the best other one. It may be that of

- ``task``: an agent whose rewards have no noise. It follows from base rewards and coefficient, all
  that any number of episodes with an agent can teach of the next one;
- ``state``: the agent itself. Nothing is hidden but the draws to come.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from mermaide_jax import registry
from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents.sample_means import (
    SampleMeans,
    init_sample_means,
    update_sample_means,
)
from mermaide_jax.base import Game, Task
from mermaide_jax.errors import check_choice, refuse
from mermaide_jax.games.intervention import GameState
from mermaide_jax.games.rollout import preview_of

__all__ = ["Followed", "Knowledge", "informed_game", "knowledge_of_arms"]

Knowledge = Literal["task", "state"]
"""What the principal is informed of."""

_UNTRIED = 10.0
"""In place of the infinite index of an arm that was never pulled."""
_SCALES = (0.05, 0.2)
"""Distances of indices that are told apart best."""


class Followed(NamedTuple):
    """State of an informed game.

    Attributes:
      game: of the plain game.
      expected: what the agent would have estimated if rewards had no noise.
    """

    game: GameState
    expected: SampleMeans


@memoize
def informed_game(game: Game, family: str, knowledge: Knowledge) -> Game:
    """Makes the same game with an observation that goes on with `knowledge_of_arms`.

    Args:
      game: an intervention game with binary interventions.
      family: of its agent; its state is `SampleMeans`, and its registration has the trait
        ``index``, a function of params and `SampleMeans` that gives what the agent maximises.
      knowledge: whether the index is that of the agent's own ``state``, or of one that learns
        without noise in its ``task``.

    Raises:
      ConfigError: no such knowledge, or a family without an index.

    >>> from mermaide_jax import agents, games
    >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
    >>> informed_game(game, "ucb", "state").observation_size - game.observation_size
    15
    """
    check_choice("knowledge", knowledge, get_args(Knowledge))
    if "index" not in registry.get("family", family).traits:
        refuse("family", family, "one that is registered with its index")

    def observe(observation: jax.Array, state: Followed, task: Task) -> jax.Array:
        means = state.game.agent if knowledge == "state" else state.expected
        return jnp.concatenate([observation, knowledge_of_arms(family, means, task)])

    def reset(key, task: Task):
        observation, state = game.reset(key, task)
        state = Followed(state, init_sample_means(game.num_arms))
        return observe(observation, state, task), state

    def step(key, state: Followed, intervention, task: Task):
        observation, following, *rest, info = game.step(key, state.game, intervention, task)
        paid = task.env.bonus * (info.hit & (intervention > 0))
        reward = task.env.mean_rewards[info.action] + paid
        state = Followed(following, update_sample_means(state.expected, info.action, reward))
        return observe(observation, state, task), state, *rest, info

    def preview(key, state: Followed, task: Task):
        return preview_of(game)(key, state.game, task)

    size = game.observation_size + (3 + len(_SCALES)) * game.num_arms
    return game._replace(reset=reset, step=step, preview=preview, observation_size=size)


def knowledge_of_arms(family: str, means: SampleMeans, task: Task) -> jax.Array:
    """Computes how far each arm's index is from the best other one, and what it is made of.

    Args:
      family: of the agent.
      means: pulls and estimates, the agent's own or others.
      task: the agent.

    Returns:
      ``[(3 + S) A]`` float32: the gap, the gap squashed at each of ``S`` scales so that near ties
      stand out, the estimate, and the coefficient; arm by arm within each of them.

    Example:
      >>> agent = agents.ucb(3)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 3, games.Economics()
      ... )
      >>> knowledge_of_arms("ucb", agent.init(task.agent), task).shape
      (15,)
    """
    member = registry.get("family", family)
    index = jnp.minimum(member.traits["index"](task.agent, means), _UNTRIED)
    first, second = jax.lax.top_k(index, 2)[0]
    is_first = jnp.arange(index.shape[0]) == jnp.argmax(index)
    gap = index - jnp.where(is_first, second, first)
    squashed = [jnp.tanh(gap / scale) for scale in _SCALES]
    constant = jnp.full_like(gap, getattr(task.agent, member.parameters[0].name))
    return jnp.concatenate([jnp.clip(gap, -1.0, 1.0), *squashed, means.means, constant])
