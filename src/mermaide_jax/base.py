"""Every protocol of the library on one page: who plays, what is played, and what is left of it.

All are tuples of pure functions of one stream; batch them with ``jax.vmap``. Keys come first, are
typed (``jax.random.key``) and are consumed. Nothing here computes: what implements a protocol lies
in `agents`, `games`, `environments`, `principals`, `oracles` and `learners`.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

Params = Any
"""Params of an agent, a principal or a network: any pytree."""
State = Any
"""What is carried from step to step: any pytree."""
PaymentKind = Literal["target", "arms", "other"]
"""What interventions are, see `Game`."""


def permute_arms(params: Params, order: jax.Array) -> Params:
    """Renames the arms in every leaf whose first axis runs over them.

    It is the default of `Agent.permute`. A leaf is taken for one over arms if its first axis has
    length ``A``; an agent with other leaves of that length has a ``permute`` of its own.

    Args:
      params: any pytree.
      order: ``[A]`` int32; arm ``j`` of the result is arm ``order[j]`` of ``params``.

    Example:
      >>> permute_arms({"mean": jnp.array([0.1, 0.2, 0.3]), "beta": 0.5}, jnp.array([2, 0, 1]))
      {'beta': 0.5, 'mean': Array([0.3, 0.1, 0.2], dtype=float32)}
    """
    (num_arms,) = order.shape
    of_arms = lambda leaf: jnp.shape(leaf)[:1] == (num_arms,)  # noqa: E731
    return jax.tree.map(lambda x: jnp.asarray(x)[order] if of_arms(x) else x, params)


def uninformed(params: Params, env: Any) -> Params:
    """Gives the params as they are: the default of `Agent.inform`, of agents that only learn.

    Example:
      >>> uninformed({"beta": 0.5}, env=None)
      {'beta': 0.5}
    """
    del env
    return params


class Agent(NamedTuple):
    """A learning rule as pure functions of one agent.

    Attributes:
      init: ``init(params) -> state``, the state in which every episode starts.
      act: ``act(key, params, state, offer) -> action``. ``offer`` is the announced bonus of each
        arm, ``[A]`` float; only agents that see offers read it. ``action`` is an int32 scalar in
        ``[0, A)``.
      update: ``update(params, state, action, reward) -> state``.
      estimates: ``estimates(params, state) -> [A]``, the agent's present estimates of the arms'
        mean rewards. For reports and for principals that are shown the agent's state; never for one
        that only observes actions.
      probabilities: ``probabilities(params, state, offer) -> [A]`` float32, the law of ``act``:
        how likely each action is over its draws. It sums to one. For oracles and filters.
      permute: ``permute(params, order) -> params``, the same agent with its arms renamed: arm ``j``
        of the result is arm ``order[j]``. See `permute_arms`, the default.
      inform: ``inform(params, env) -> params``, with what the agent knows beforehand of the game's
        ``env`` (such as its own rewards, of an agent that has nothing to learn).
    """

    init: Callable[[Params], State]
    act: Callable[[chex.PRNGKey, Params, State, jax.Array], jax.Array]
    update: Callable[[Params, State, jax.Array, jax.Array], State]
    estimates: Callable[[Params, State], jax.Array]
    probabilities: Callable[[Params, State, jax.Array], jax.Array]
    permute: Callable[[Params, jax.Array], Params] = permute_arms
    inform: Callable[[Params, Any], Params] = uninformed


class Task(NamedTuple):
    """Who is met, and the terms: two pytrees, every leaf of which may be swept.

    Attributes:
      agent: params of the agent.
      env: what the game needs to know beside them, such as a `games.Bandit`.
    """

    agent: Params
    env: Any


class Environment(NamedTuple):
    """What a single learner lives in.

    Attributes:
      reset: ``reset(key, task) -> (observation, state)``.
      step: ``step(key, state, action, task) -> (observation, state, reward, terminated, truncated,
        info)``, the six values of gymnax and Gymnasium. It never starts anew by itself.
      num_actions: number of actions; 0 if they are continuous.
      observation_size: length ``O`` of the flat observation.
      horizon: ``T``, most steps in an episode.
    """

    reset: Callable[..., Any]
    step: Callable[..., Any]
    num_actions: int
    observation_size: int
    horizon: int


class StepInfo(NamedTuple):
    """What happened in one step of a game; for losses and reports, not for the principal.

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
    """An environment seen from the principal, and what only principals need.

    Attributes:
      reset: as of an `Environment`.
      step: as of an `Environment`, with an intervention in the place of the action; ``info`` is a
        `StepInfo`.
      num_interventions: number ``U`` of interventions; 0 is "do nothing". ``U = 0`` if they are
        continuous offers (`games.stackelberg`).
      observation_size: length ``O`` of the flat observation.
      num_arms: ``A``.
      horizon: ``T``, steps in an episode.
      agent: who is steered; its params come with each `Task`.
      preview: ``preview(key, state, task) -> Preview``: what the agent would do in ``step`` under
        the same key if nothing were offered. For principals that are shown the agent's state; None
        where there are to be none.
      pay_target: ``pay_target(observation) -> intervention`` that pays the target most; None where
        none does.
      payment_kind: what interventions are: payments of the target alone (target), the ``i``-th
        the payment of arm ``i - 1`` (arms), or something else (other).
    """

    reset: Callable[..., Any]
    step: Callable[..., Any]
    num_interventions: int
    observation_size: int
    num_arms: int
    horizon: int
    agent: Agent | None = None
    preview: Callable[..., Any] | None = None
    pay_target: Callable[[jax.Array], jax.Array] | None = None
    payment_kind: PaymentKind = "other"

    @property
    def environment(self) -> Environment:
        """The game as an `Environment` of the principal."""
        sizes = (self.num_interventions, self.observation_size, self.horizon)
        return Environment(self.reset, self.step, *sizes)


class Principal(NamedTuple):
    """A way of intervening.

    Attributes:
      init: ``init(params) -> carry``, what the principal remembers at the start of an episode.
      act: ``act(key, params, carry, observation) -> (intervention, carry, info)``, called before
        the agent acts. ``intervention`` is an int32 scalar (float32 where offers are continuous);
        ``info`` is any pytree, for losses and reports.
      privileged: whether ``act`` is given a `Privileged` in place of the plain observation.
    """

    init: Callable[[Params], Any]
    act: Callable[[chex.PRNGKey, Params, Any, Any], tuple[jax.Array, Any, Any]]
    privileged: bool = False


class Preview(NamedTuple):
    """The agent's state, shown to principals that serve as upper references.

    Attributes:
      action: int32 scalar, what the agent is about to do if nothing is offered.
      estimates: ``[A]`` float32, the agent's estimates of the arms' mean rewards.
      probabilities: ``[A]`` float32, the law of that action.
      target: int32 scalar, ``a*``.
      state: the state of the game, the agent's own within.
      task: the `Task`, who is steered.
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


class Learner(NamedTuple):
    """A learner whose update is differentiable in what a meta-learner controls.

    Attributes:
      init: ``init(key, meta) -> state``.
      step: ``step(key, meta, state, task) -> (state, info)``: it acts, observes and takes one
        update; differentiable in ``meta``, with sampling outside of the gradient.
    """

    init: Callable[[chex.PRNGKey, Any], State]
    step: Callable[[chex.PRNGKey, Any, State, Any], tuple[State, Any]]


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


Games = Game | tuple[Game, ...]
"""The game of a set of agents, or one for each of their families."""
Tasks = Task | tuple[Task, ...]
"""The tasks of a set of agents with leading axis ``N``; or, sorted by family, one `Task` for each
family with leading axis ``n_f``."""
