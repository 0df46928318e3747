"""The Stackelberg game of MERMAIDE (section 5.1): the agent best-responds to the announced bonus.

One interaction, from the principal's side:

    s_n   = summary of the n interactions so far           what the principal reads
    u     = its intervention: an offer b in R^A, delta u at most on any arm
    a     = argmax_j mu[j] + b[j]                          the agent knows mu and sees b
    R^p   = 1[a = a*] - c * sum_j b[j]                     worth 1, cost c per unit of bonus
    x_n   = mu + sigma * xi_n                              a noisy reading, fresh every time

The agent learns nothing, so the interactions with it are independent but for what the principal
remembers. Arms are counted from the target: for ``kind="arm"`` intervention ``u > 0`` pays arm
``(a* + u - 1) mod A``. The equilibrium is known in closed form:
`mermaide_jax.games.equilibrium`.
"""

import dataclasses
from typing import Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents import best_response
from mermaide_jax.base import Agent, Game, Params, Preview, Principal, StepInfo, Task
from mermaide_jax.games.intervention import GameConfig, Offer, decode_intervention
from mermaide_jax.games.tasks import Economics, draw_task
from mermaide_jax.registry import register

StackelbergKind = Literal["binary", "arm", "magnitude", "continuous"]
Channel = Literal["rewards", "actions", "both"]


@dataclasses.dataclass(frozen=True)
class StackelbergConfig:
    """The static side of the Stackelberg game; equal configs share one compiled program."""

    num_arms: int = 5
    """Number of arms A."""
    horizon: int = 16
    """Interactions T that are played one by one."""
    kind: StackelbergKind = "continuous"
    """What may be offered: the whole bonus on the target (binary), on any one arm (arm), one of
    several shares of it (magnitude) or any share of it (continuous) on the target."""
    magnitudes: tuple[float, ...] = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
    """Shares of the bonus on offer when kind is magnitude, in (0, 1]."""
    observe: Channel = "rewards"
    """What the principal reads: noisy readings of the agent's rewards, the agent's past actions
    (refused and accepted offers) alone, or both."""

    def __post_init__(self) -> None:
        errors.check_at_least("num_arms", self.num_arms, 2)
        errors.check_at_least("horizon", self.horizon, 1)
        errors.check_choice("kind", self.kind, get_args(StackelbergKind))
        errors.check_choice("observe", self.observe, get_args(Channel))
        errors.check_at_least("number of magnitudes", len(self.magnitudes), 1)
        for magnitude in self.magnitudes:
            errors.check_positive("magnitudes", magnitude)
            errors.check_in_range("magnitudes", magnitude, 0.0, 1.0)

    @property
    def num_interventions(self) -> int:
        """Number ``U`` of interventions, "do nothing" included; 0 if they are a continuum."""
        sizes = {"binary": 2, "arm": 1 + self.num_arms, "magnitude": 1 + len(self.magnitudes)}
        return sizes.get(self.kind, 0)

    @property
    def observation_size(self) -> int:
        """Length ``O`` of the observation, see `summarise_state`."""
        sizes = {"rewards": self.num_arms, "actions": 6, "both": self.num_arms + 6}
        return sizes[self.observe] + 2


class StackelbergState(NamedTuple):
    """What has happened so far with one agent.

    Attributes:
      time: int32 scalar, interactions so far; as many readings have been made.
      readings: ``[A]`` float32, sum of the readings of the agent's rewards.
      refused: float32 scalar, greatest share offered on the target that the agent refused, 0 if
        none.
      accepted: float32 scalar, least share that it accepted, 1 if none.
      offered: float32 scalar, share offered on the target last.
      hit: float32 scalar, 1 if the agent took the target last.
      seen: ``[2]`` float32, whether any offer was refused, accepted.
    """

    time: jax.Array
    readings: jax.Array
    refused: jax.Array
    accepted: jax.Array
    offered: jax.Array
    hit: jax.Array
    seen: jax.Array


def draw_stackelberg_task(key: chex.PRNGKey, num_arms: int, economics: Economics) -> Task:
    """Draws an agent of the endless distribution: ``mu ~ U[low, high]^A``, ``a*`` not its best arm.

    Args:
      key: typed key, consumed.
      num_arms: ``A``.
      economics: ``cost`` per unit of bonus, greatest ``bonus``, ``noise`` of the readings, range.

    Returns:
      Task whose ``agent`` is `BestResponseParams`.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> task = draw_stackelberg_task(jax.random.key(0), 3, games.Economics())
      >>> bool((task.agent.mean_rewards == task.env.mean_rewards).all())
      True
    """
    agent, none = best_response(num_arms), jnp.zeros((1,), jnp.float32)
    return draw_task(key, "best_response", agent, none, num_arms, economics)


def decode_share(config: StackelbergConfig, intervention: jax.Array, target: jax.Array) -> Offer:
    """Gives the offer that intervention ``u`` stands for, in shares of ``delta``.

    Args:
      config: kind of intervention.
      intervention: int32 scalar in ``[0, U)``, or for ``continuous`` a float32 scalar, which is
        clipped to [0, 1]; 0 offers nothing.
      target: int32 scalar.

    Example:
      >>> config = StackelbergConfig(num_arms=3)
      >>> decode_share(config, jnp.float32(0.25), jnp.int32(1)).bonus.tolist()
      [0.0, 0.25, 0.0]
    """
    if config.kind == "continuous":
        size = jnp.clip(intervention, 0.0, 1.0)
        on_target = (jnp.arange(config.num_arms) == target).astype(jnp.float32)
        return Offer(bonus=size * on_target, size=size)
    if config.kind == "arm":
        arm = 1 + jnp.mod(target + intervention - 1, config.num_arms)
        intervention = jnp.where(intervention > 0, arm, 0)
    plain = GameConfig(config.num_arms, kind=config.kind, magnitudes=config.magnitudes)
    return decode_intervention(plain, intervention, target)


def summarise_state(config: StackelbergConfig, state: StackelbergState, task: Task) -> jax.Array:
    """Gives what the principal reads: a summary of fixed length, however many interactions.

    Of the rewards: the mean reading of the target, and those of the other arms less it, in
    descending order; arms but the target are exchangeable, so their names tell nothing. Of the
    actions: the greatest refused and the least accepted share, the last offer and its outcome, and
    whether any was refused, accepted. Of the time: ``1/sqrt(1 + n)`` and ``log(1 + n)/10``;
    ``n`` stops at ``T`` where only actions are read.

    Returns:
      ``[O]`` float32.

    Example:
      >>> config = StackelbergConfig(num_arms=3)
      >>> task = draw_stackelberg_task(jax.random.key(0), 3, games.Economics())
      >>> summarise_state(config, start_state(3), task).shape == (config.observation_size,)
      True
    """
    number = state.time.astype(jnp.float32)
    if config.observe == "actions":
        number = jnp.minimum(number, config.horizon)
    parts = [jnp.stack([jax.lax.rsqrt(1.0 + number), jnp.log1p(number) / 10.0])]
    if config.observe != "actions":
        means = state.readings / jnp.maximum(number, 1.0)
        leads = (means - means[task.env.target])[_others(config.num_arms, task.env.target)]
        parts += [means[task.env.target][None], -jnp.sort(-leads)]
    if config.observe != "rewards":
        seen = jnp.stack([state.refused, state.accepted, state.offered, state.hit])
        parts += [seen, state.seen]
    return jnp.concatenate(parts)


def _others(num_arms: int, target: jax.Array) -> jax.Array:
    """Indices of the arms but the target, ``[A - 1]`` int32."""
    return jnp.mod(target + jnp.arange(1, num_arms, dtype=jnp.int32), num_arms)


def start_state(num_arms: int) -> StackelbergState:
    """Gives the state before the first interaction.

    Example:
      >>> int(start_state(3).time)
      0
    """
    zero = jnp.zeros((), jnp.float32)
    return StackelbergState(
        time=jnp.int32(0),
        readings=jnp.zeros((num_arms,), jnp.float32),
        refused=zero,
        accepted=zero + 1.0,
        offered=zero,
        hit=zero,
        seen=jnp.zeros((2,), jnp.float32),
    )


def add_readings(
    key: chex.PRNGKey, state: StackelbergState, number: jax.Array, task: Task
) -> StackelbergState:
    """Gives the state after ``number`` more interactions of which only the readings are kept.

    Their sum is drawn at once: ``N(number mu, number sigma^2)``.

    Args:
      key: typed key, consumed.
      state: what happened before.
      number: int32 scalar, at least 0.
      task: one task.

    Example:
      >>> task = draw_stackelberg_task(jax.random.key(0), 3, games.Economics())
      >>> int(add_readings(jax.random.key(1), start_state(3), jnp.int32(5), task).time)
      5
    """
    size = number.astype(jnp.float32)
    noise = jax.random.normal(key, state.readings.shape, jnp.float32)
    readings = size * task.env.mean_rewards + task.env.noise * jnp.sqrt(size) * noise
    return state._replace(time=state.time + number, readings=state.readings + readings)


def _record(state: StackelbergState, share: jax.Array, hit: jax.Array) -> StackelbergState:
    """The state once the agent has answered an offer of ``share`` on the target."""
    answered = jnp.stack([~hit, hit]).astype(jnp.float32)
    return state._replace(
        refused=jnp.where(hit, state.refused, jnp.maximum(state.refused, share)),
        accepted=jnp.where(hit, jnp.minimum(state.accepted, share), state.accepted),
        offered=share,
        hit=hit.astype(jnp.float32),
        seen=jnp.maximum(state.seen, answered),
    )


@memoize
def make_stackelberg_game(config: StackelbergConfig, agent: Agent | None = None) -> Game:
    """Binds a config, and an agent without memory, into a `Game`; equal arguments give one object.

    Args:
      config: static side of the game.
      agent: who is steered, an agent whose state is empty; None: the best response.

    Returns:
      Game whose observation is ``[O]`` float32 and whose reward is a float32 scalar; its tasks are
      those of `draw_stackelberg_task`. ``num_interventions`` is 0 for a continuum of shares.

    Example:
      >>> game = make_stackelberg_game(StackelbergConfig(num_arms=3, kind="binary"))
      >>> game.num_interventions, game.observation_size
      (2, 5)
    """
    steered = best_response(config.num_arms) if agent is None else agent

    def reset(key: chex.PRNGKey, task: Task):
        del key
        state = start_state(config.num_arms)
        return summarise_state(config, state, task), state

    def step(key: chex.PRNGKey, state: StackelbergState, intervention: jax.Array, task: Task):
        key_agent, key_noise = jax.random.split(key)
        offer = decode_share(config, intervention, task.env.target)
        bonus = jnp.asarray(task.env.bonus * offer.bonus)
        action = steered.act(key_agent, task.agent, (), bonus)
        hit = action == task.env.target
        reward = hit.astype(jnp.float32) - task.env.cost * task.env.bonus * offer.size
        state = _record(state, offer.bonus[task.env.target], hit)
        state = add_readings(key_noise, state, jnp.int32(1), task)
        agent_reward = task.env.mean_rewards[action] + bonus[action]
        info = StepInfo(action, agent_reward, hit, task.env.mean_rewards)
        observation = summarise_state(config, state, task)
        return observation, state, reward, jnp.bool_(False), state.time >= config.horizon, info

    def preview(key: chex.PRNGKey, state: StackelbergState, task: Task) -> Preview:
        nothing = jnp.zeros((config.num_arms,), jnp.float32)
        key_agent, _ = jax.random.split(key)  # as `step` splits it: the same draw is foretold
        action = steered.act(key_agent, task.agent, (), nothing)
        law = steered.probabilities(task.agent, (), nothing)
        return Preview(action, task.env.mean_rewards, law, task.env.target, state, task)

    def pay_target(observation: jax.Array) -> jax.Array:
        del observation
        if config.kind == "continuous":
            return jnp.float32(1.0)
        several = config.kind == "magnitude"
        return jnp.int32(1 + config.magnitudes.index(max(config.magnitudes)) if several else 1)

    return Game(
        reset=reset,
        step=step,
        num_interventions=config.num_interventions,
        observation_size=config.observation_size,
        num_arms=config.num_arms,
        horizon=config.horizon,
        agent=steered,
        preview=preview,
        pay_target=pay_target,
    )


class Interactions(NamedTuple):
    """Interactions with one agent, one after the other.

    Attributes:
      observation: ``[T, O]`` float32, what the principal read before each.
      intervention: ``[T]``, what it did.
      reward: ``[T]`` float32, what it earned.
      states: `StackelbergState` with leading axis ``T + 1``: after 0, 1, ... T of them.
    """

    observation: jax.Array
    intervention: jax.Array
    reward: jax.Array
    states: StackelbergState


def interact(
    key: chex.PRNGKey,
    config: StackelbergConfig,
    principal: Principal,
    params: Params,
    task: Task,
    state: StackelbergState | None = None,
    length: int | None = None,
) -> Interactions:
    """Plays interactions with one agent, and keeps what the principal knew after each.

    Args:
      key: typed key, consumed.
      config: the game.
      principal: who steers; it remembers nothing but what it reads.
      params: its params.
      task: who is steered.
      state: what happened before; None: nothing.
      length: how many; None: ``config.horizon``.

    Example:
      >>> config = StackelbergConfig(num_arms=3, horizon=4, kind="binary")
      >>> pays = principals.offer_principal(config.observation_size, 2, features=4)
      >>> params = pays.init_params(jax.random.key(0))
      >>> task = draw_stackelberg_task(jax.random.key(1), 3, games.Economics())
      >>> played = interact(jax.random.key(2), config, pays.principal, params, task)
      >>> played.states.time.tolist()
      [0, 1, 2, 3, 4]
    """
    game = make_stackelberg_game(config)
    start = start_state(config.num_arms) if state is None else state

    def one(carry, _):
        key, state = carry
        key, key_act, key_step = jax.random.split(key, 3)
        observation = summarise_state(config, state, task)
        intervention, _, _ = principal.act(key_act, params, (), observation)
        _, following, reward, _, _, _ = game.step(key_step, state, intervention, task)
        return (key, following), Interactions(observation, intervention, reward, state)

    length = config.horizon if length is None else length
    (_, final), played = jax.lax.scan(one, (key, start), length=length)
    append = lambda several, last: jnp.concatenate([several, last[None]])  # noqa: E731
    return played._replace(states=jax.tree.map(append, played.states, final))


def payoff(
    key: chex.PRNGKey, config: StackelbergConfig, intervention: jax.Array, task: Task
) -> jax.Array:
    """Gives what an intervention earns from an agent that remembers nothing, float32 scalar.

    Args:
      key: typed key, consumed.
      config: the game.
      intervention: scalar.
      task: who is steered.

    Example:
      >>> task = draw_stackelberg_task(jax.random.key(0), 3, games.Economics(cost=0.75))
      >>> float(payoff(jax.random.key(1), StackelbergConfig(num_arms=3), jnp.float32(1.0), task))
      0.25
    """
    step = make_stackelberg_game(config).step
    return step(key, start_state(config.num_arms), intervention, task)[2]


def state_after(
    key: chex.PRNGKey, states: StackelbergState, number: jax.Array, task: Task
) -> StackelbergState:
    """Gives the state after ``number`` interactions; beyond those played, only readings are added.

    Args:
      key: typed key, consumed.
      states: of `Interactions`, leading axis ``T + 1``.
      number: int32 scalar, at least 0.
      task: who is steered.

    Example:
      >>> task = draw_stackelberg_task(jax.random.key(0), 3, games.Economics())
      >>> states = jax.tree.map(lambda leaf: leaf[None], start_state(3))  # none was played
      >>> int(state_after(jax.random.key(1), states, jnp.int32(7), task).time)
      7
    """
    played = states.time.shape[0] - 1
    last = jax.tree.map(lambda x: x[jnp.minimum(number, played)], states)
    return add_readings(key, last, jnp.maximum(number - played, 0), task)


register(
    "game",
    "stackelberg",
    lambda agent, config: make_stackelberg_game(config, agent),
    label="Stackelberg game",
    summary="the agent best-responds to the announced bonus (MERMAIDE, section 5.1)",
    config=StackelbergConfig,
    rank=2,
)
