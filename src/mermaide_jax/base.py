"""Every protocol of the library on one page: who plays, what is played, and what is left of it.

All are tuples of pure functions of one stream; batch them with ``jax.vmap``. Keys come first, are
typed (``jax.random.key``) and are consumed. Nothing here computes: what implements a protocol lies
in `agents`, `games`, `principals` and `oracles`.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import chex
import jax

Params = Any
"""Params of an agent, a principal or a network: any pytree."""
State = Any
"""What is carried from step to step: any pytree."""
PaymentKind = Literal["target", "arms", "other"]
"""What interventions are, see `Game`."""


class Agent(NamedTuple):
    """A learning rule as pure functions of one agent; batch it with ``jax.vmap``.

    Attributes:
      init: ``init(params) -> state``, the state in which every episode starts.
      act: ``act(key, params, state, offer) -> action``. ``key`` is a typed key and is consumed;
        ``offer`` is the announced bonus of each arm, ``[A]`` float; only rules that see offers
        read it. ``action`` is an int32 scalar in ``[0, A)``.
      update: ``update(params, state, action, reward) -> state``.
      estimates: ``estimates(params, state) -> [A]``, the rule's present estimates of the arms'
        mean rewards. Used for reports and by principals that are told the agent's state; never
        by a principal that only observes actions.
      probabilities: ``probabilities(params, state, offer) -> [A]`` float32, the law of ``act``:
        how likely each action is over its draws. It sums to one. For oracles and filters.
    """

    init: Callable[[Params], State]
    act: Callable[[chex.PRNGKey, Params, State, jax.Array], jax.Array]
    update: Callable[[Params, State, jax.Array, jax.Array], State]
    estimates: Callable[[Params, State], jax.Array]
    probabilities: Callable[[Params, State, jax.Array], jax.Array]


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
      payment_kind: what interventions are: payments of the target alone (target), the ``i``-th
        the payment of arm ``i - 1`` (arms), or something else (other).
    """

    reset: Callable[..., Any]
    step: Callable[..., Any]
    preview: Callable[..., Any]
    pay_target: Callable[[jax.Array], jax.Array]
    num_interventions: int
    observation_size: int
    num_arms: int
    horizon: int
    payment_kind: PaymentKind = "other"


class Principal(NamedTuple):
    """A way of intervening, as pure functions of one stream; batch it with ``jax.vmap``.

    Attributes:
      init: ``init(params) -> carry``, what the principal remembers at the start of an episode.
      act: ``act(key, params, carry, observation) -> (intervention, carry, info)``, called before
        the agent acts. ``intervention`` is an int32 scalar (float32 where offers are continuous);
        ``info`` is any pytree, for losses and reports.
      privileged: whether ``act`` is given a `Privileged` in place of the plain observation.
    """

    init: Callable[[Any], Any]
    act: Callable[[chex.PRNGKey, Any, Any, Any], tuple[jax.Array, Any, Any]]
    privileged: bool = False


class Preview(NamedTuple):
    """The agent's mind, shown to principals that serve as upper references.

    Attributes:
      action: int32 scalar, what the agent is about to do if nothing is offered.
      estimates: ``[A]`` float32, the agent's estimates of the arms' mean rewards.
      probabilities: ``[A]`` float32, the law of that action.
      target: int32 scalar, ``a*``.
      state: the state of the game, the agent's own within.
      task: the `games.Task`, who is steered.
    """

    action: jax.Array
    estimates: jax.Array
    probabilities: jax.Array
    target: jax.Array
    state: Any
    task: Any


class Privileged(NamedTuple):
    """What a privileged principal is given: the plain observation and a `Preview`."""

    observation: jax.Array
    preview: Preview


class Trajectory(NamedTuple):
    """One episode; every field has leading axis ``T``.

    Attributes:
      observation: ``[T, O]`` float32, what the principal saw before it intervened.
      intervention: ``[T]`` int32, what it did; 0 is nothing (continuous offers: float32).
      reward: ``[T]`` float32, what it earned, ``R^p_t``.
      step: `StepInfo`, what the agent did and received.
      principal: whatever the principal's ``act`` returned as ``info``.
    """

    observation: jax.Array
    intervention: jax.Array
    reward: jax.Array
    step: StepInfo
    principal: Any
