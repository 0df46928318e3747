"""What a game is: pure functions of one stream, and the sizes that other code needs to know."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import chex
import jax

Pays = Literal["target", "arms", "other"]
"""What interventions are, see `Game`."""


class Task(NamedTuple):
    """One agent to steer, and the terms of the game; every field is a leaf that may be swept.

    Attributes:
      agent: params of the agent's learning rule.
      mean_rewards: ``[A]`` float32, base mean rewards ``mu``.
      noise: scalar, standard deviation ``sigma`` of the Gaussian reward noise.
      target: int32 scalar, the arm ``a*`` that the principal wants.
      cost: scalar ``c``, what one full intervention costs the principal (in the Stackelberg game:
        what a unit of bonus costs).
      bonus: scalar ``delta``, what one full intervention adds to the agent's reward.
    """

    agent: Any
    mean_rewards: jax.Array
    noise: chex.Numeric
    target: jax.Array
    cost: chex.Numeric
    bonus: chex.Numeric


class StepInfo(NamedTuple):
    """What happened in one step; for losses and reports, not for the principal.

    Attributes:
      action: int32 scalar, the agent's action ``a_t``.
      agent_reward: float32 scalar, what the agent received, bonus included.
      hit: bool scalar, whether the action was the target.
      agent_estimates: ``[A]`` float32, the agent's estimates *before* it acted.
    """

    action: jax.Array
    agent_reward: jax.Array
    hit: jax.Array
    agent_estimates: jax.Array


class Game(NamedTuple):
    """A game as pure functions of one stream; batch it with ``jax.vmap``.

    Attributes:
      reset: ``reset(key, task) -> (observation, state)``.
      step: ``step(key, state, intervention, task) -> (observation, state, reward, terminated,
        truncated, info)``, the six values of gymnax and Gymnasium. ``info`` is a `StepInfo`.
      preview: ``preview(key, state, task) -> Preview``: what the agent would do in ``step`` under
        the same key if nothing were offered. For principals that are told the agent's state.
      pay_target: ``pay_target(observation) -> intervention`` that pays the target most.
      num_interventions: number ``U`` of interventions; 0 is "do nothing". ``U = 0`` if they are
        continuous offers (`games.stackelberg`).
      observation_size: length ``O`` of the flat observation.
      num_arms: ``A``.
      horizon: ``T``, steps in an episode.
      pays: what interventions are: payments of the target alone (target), the ``i``-th the payment
        of arm ``i - 1`` (arms), or something else (other).
    """

    reset: Callable[..., Any]
    step: Callable[..., Any]
    preview: Callable[..., Any]
    pay_target: Callable[[jax.Array], jax.Array]
    num_interventions: int
    observation_size: int
    num_arms: int
    horizon: int
    pays: Pays = "other"
