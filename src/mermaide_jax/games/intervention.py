"""The bandit intervention game of MERMAIDE: the principal pays, the agent learns.

One step, Eq. (1)-(2) of the paper (arXiv 2304.04668):

    u_t   in {0..U-1}         the principal's intervention, chosen before the agent acts
    a_t   ~ agent             the agent's action
    r_t   = mu[a_t] + sigma * xi_t + delta * offer_t[a_t]
    R^p_t = 1[a_t = a*] - c * size_t
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Agent, Game, PaymentKind, Preview, StepInfo, Task
from mermaide_jax.registry import register

InterventionKind = Literal["binary", "arm", "penalty", "magnitude"]
CostRule = Literal["offer", "uptake"]

_PAYMENT_KINDS: Mapping[InterventionKind, PaymentKind] = {
    "binary": "target",
    "arm": "arms",
    "penalty": "other",
    "magnitude": "target",
}


@dataclasses.dataclass(frozen=True)
class GameConfig:
    """The static side of the intervention game; equal configs share one compiled program."""

    num_arms: int = 10
    """Number of arms A."""
    horizon: int = 100
    """Steps T in one episode."""
    kind: InterventionKind = "binary"
    """What the principal may do: pay the target (binary), pay any one arm (arm), tax every arm but
    the target (penalty), or pay the target one of several shares of the bonus (magnitude)."""
    magnitudes: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Shares of the bonus (and of the cost) on offer when kind is magnitude."""
    cost_on: CostRule = "offer"
    """Whether an intervention costs when it is offered, or only when the agent acts on it."""
    observe_target: bool = True
    """Whether the principal's observation holds the target as one-hot."""
    observe_intervention: bool = True
    """Whether the principal's observation holds its previous intervention."""
    observe_time: bool = False
    """Whether the principal's observation holds the share t/T of the episode that has passed."""

    def __post_init__(self) -> None:
        errors.check_at_least("num_arms", self.num_arms, 2)
        errors.check_at_least("horizon", self.horizon, 1)
        errors.check_choice("kind", self.kind, get_args(InterventionKind))
        errors.check_choice("cost_on", self.cost_on, get_args(CostRule))
        errors.check_at_least("number of magnitudes", len(self.magnitudes), 1)
        for magnitude in self.magnitudes:
            errors.check_positive("magnitudes", magnitude)

    @property
    def payment_kind(self) -> PaymentKind:
        """What interventions are, see `Game`."""
        return _PAYMENT_KINDS[self.kind]


class GameState(NamedTuple):
    """Bookkeeping of one episode.

    Attributes:
      agent: state of the agent's learning rule.
      time: int32 scalar, steps taken.
    """

    agent: Any
    time: jax.Array


class Offer(NamedTuple):
    """What an intervention means.

    Attributes:
      bonus: ``[A]`` float32, the share of ``delta`` added to each arm's reward.
      size: float32 scalar, the share of ``c`` that it costs.
    """

    bonus: jax.Array
    size: jax.Array


def num_interventions(config: GameConfig) -> int:
    """Counts the interventions, ``U``, "do nothing" included.

    Example:
      >>> num_interventions(GameConfig(num_arms=10, kind="arm"))
      11
    """
    others = {"arm": config.num_arms, "magnitude": len(config.magnitudes)}
    return 1 + others.get(config.kind, 1)


def decode_intervention(config: GameConfig, intervention: jax.Array, target: jax.Array) -> Offer:
    """Gives the offer that intervention ``u`` stands for.

    Args:
      config: kind of intervention.
      intervention: int32 scalar in ``[0, U)``; 0 offers nothing.
      target: int32 scalar.

    Example:
      >>> decode_intervention(GameConfig(num_arms=3), jnp.int32(1), jnp.int32(2)).bonus.tolist()
      [0.0, 0.0, 1.0]
    """
    arms = jnp.arange(config.num_arms)
    on_target = (arms == target).astype(jnp.float32)
    active = (intervention > 0).astype(jnp.float32)
    if config.kind == "arm":
        return Offer(bonus=(arms == intervention - 1).astype(jnp.float32), size=active)
    if config.kind == "penalty":
        return Offer(bonus=-active * (1.0 - on_target), size=active)
    if config.kind == "magnitude":
        size = jnp.asarray((0.0, *config.magnitudes), jnp.float32)[intervention]
        return Offer(bonus=size * on_target, size=size)
    return Offer(bonus=active * on_target, size=active)


def encode_observation(
    config: GameConfig,
    action: jax.Array,
    intervention: jax.Array,
    target: jax.Array,
    time: jax.Array,
) -> jax.Array:
    """Makes the flat observation: previous action and intervention, target, time, as configured.

    Arms are one-hot of length ``A``; the intervention is one-hot of length ``U - 1``, all zeros
    for "do nothing". An ``action`` of -1 (nothing happened yet) is all zeros. Never a reward, never
    an estimate of the agent.

    Returns:
      ``[O]`` float32.

    Example:
      >>> config = GameConfig(num_arms=2)
      >>> parts = (jnp.int32(0), jnp.int32(1), jnp.int32(1), jnp.int32(1))
      >>> encode_observation(config, *parts).tolist()  # arm 0, paid, target 1
      [1.0, 0.0, 1.0, 0.0, 1.0]
    """
    one_hot = functools.partial(jax.nn.one_hot, dtype=jnp.float32)
    parts = [one_hot(action, config.num_arms)]
    if config.observe_intervention:
        parts.append(one_hot(intervention - 1, num_interventions(config) - 1))
    if config.observe_target:
        parts.append(one_hot(target, config.num_arms))
    if config.observe_time:
        parts.append(time.astype(jnp.float32)[None] / config.horizon)
    return jnp.concatenate(parts)


def observed_target(config: GameConfig, observation: jax.Array) -> jax.Array:
    """Reads the target in an observation of `encode_observation`, int32 scalar.

    Raises:
      ConfigError: ``config.observe_target`` is off.

    Example:
      >>> int(observed_target(GameConfig(num_arms=2), jnp.array([1.0, 0.0, 1.0, 0.0, 1.0])))
      1
    """
    if not config.observe_target:
        errors.refuse("observe_target", False, "True")
    start = config.num_arms + config.observe_intervention * (num_interventions(config) - 1)
    return jnp.argmax(observation[start : start + config.num_arms]).astype(jnp.int32)


def respond(
    config: GameConfig,
    action: jax.Array,
    intervention: jax.Array,
    target: jax.Array,
    cost: chex.Numeric,
    time: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Gives what the principal sees and earns of one step, ``R^p = 1[a = a*] - c * size``.

    All of it is known to who knows the rules and sees the action; of rewards nothing is needed.

    Args:
      config: the game.
      action: int32 scalar, what the agent did.
      intervention: int32 scalar, what the principal did.
      target: int32 scalar.
      cost: scalar ``c``.
      time: int32 scalar, steps taken, this one included.

    Returns:
      ``[O]`` float32, the next observation, and a float32 scalar.

    Example:
      >>> one = jnp.int32(1)
      >>> observation, reward = respond(GameConfig(num_arms=2), one, one, one, 0.75, one)
      >>> float(reward)  # the target was paid for and taken
      0.25
    """
    offer = decode_intervention(config, intervention, target)
    reward = _earned(config, action == target, offer, action, cost)
    return encode_observation(config, action, intervention, target, time), reward


def _earned(
    config: GameConfig, hit: jax.Array, offer: Offer, action: jax.Array, cost: chex.Numeric
) -> jax.Array:
    """``R^p``, float32 scalar."""
    charged = offer.size
    if config.cost_on == "uptake":
        charged = jnp.where(offer.bonus[action] != 0, charged, 0.0)
    return hit.astype(jnp.float32) - cost * charged


@memoize
def make_intervention_game(agent: Agent, config: GameConfig) -> Game:
    """Binds an agent's learning rule and a config into a `Game`.

    Equal arguments give the same object, so that it can be a static argument of ``jit``.

    Args:
      agent: any `Agent`; its params come with each `Task`.
      config: static side of the game.

    Returns:
      Game whose observation is ``[O]`` float32 and whose reward is a float32 scalar.

    Example:
      >>> game = make_intervention_game(agents.ucb(3), GameConfig(num_arms=3, horizon=4))
      >>> game.num_interventions, game.observation_size, game.horizon
      (2, 7, 4)
    """

    def reset(key: chex.PRNGKey, task: Task):
        del key
        state = GameState(agent=agent.init(task.agent), time=jnp.int32(0))
        nothing = jnp.int32(0)
        return encode_observation(config, nothing - 1, nothing, task.env.target, state.time), state

    def step(key: chex.PRNGKey, state: GameState, intervention: jax.Array, task: Task):
        key_agent, key_noise = jax.random.split(key)
        offer = decode_intervention(config, intervention, task.env.target)
        bonus = jnp.asarray(task.env.bonus * offer.bonus)
        action = agent.act(key_agent, task.agent, state.agent, bonus)
        noise = task.env.noise * jax.random.normal(key_noise, dtype=jnp.float32)
        agent_reward = task.env.mean_rewards[action] + noise + bonus[action]
        hit = action == task.env.target
        reward = _earned(config, hit, offer, action, task.env.cost)
        # Before the update: reports ask what the agent thought when it acted.
        info = StepInfo(action, agent_reward, hit, agent.estimates(task.agent, state.agent))
        state = GameState(
            agent=agent.update(task.agent, state.agent, action, agent_reward), time=state.time + 1
        )
        observation = encode_observation(config, action, intervention, task.env.target, state.time)
        truncated = state.time >= config.horizon
        return observation, state, reward, jnp.bool_(False), truncated, info

    def preview(key: chex.PRNGKey, state: GameState, task: Task) -> Preview:
        key_agent, _ = jax.random.split(key)  # as `step` splits it: the same draw is foretold
        no_offer = jnp.zeros((config.num_arms,), jnp.float32)
        return Preview(
            action=agent.act(key_agent, task.agent, state.agent, no_offer),
            estimates=agent.estimates(task.agent, state.agent),
            probabilities=agent.probabilities(task.agent, state.agent, no_offer),
            target=task.env.target,
            state=state,
            task=task,
        )

    def pay_target(observation: jax.Array) -> jax.Array:
        if config.kind == "arm":
            return 1 + observed_target(config, observation)
        if config.kind == "magnitude":
            return jnp.int32(
                1 + max(range(len(config.magnitudes)), key=config.magnitudes.__getitem__)
            )
        return jnp.int32(1)

    size = (
        config.num_arms * (1 + config.observe_target)
        + config.observe_intervention * (num_interventions(config) - 1)
        + config.observe_time
    )
    return Game(
        reset=reset,
        step=step,
        num_interventions=num_interventions(config),
        observation_size=size,
        num_arms=config.num_arms,
        horizon=config.horizon,
        agent=agent,
        preview=preview,
        pay_target=pay_target,
        payment_kind=config.payment_kind,
    )


register(
    "game",
    "intervention",
    make_intervention_game,
    label="Bandit intervention game",
    summary="the principal pays the agent's reward, the agent learns (MERMAIDE, section 5.2)",
    config=GameConfig,
    rank=1,
)
