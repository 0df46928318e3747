"""All that an agent may become in one game: its reachable states, layer by layer.

Layer ``t`` holds the states before step ``t``; from each of them the library's own agent functions
tell the law of the next action and the state that follows it, under every intervention. States that
are equal up to rounding are one: sample means do not depend on the order of the rewards, so there
are polynomially many of them in ``T`` where histories are exponentially many.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import spatial

from mermaide_jax import errors
from mermaide_jax.base import Agent, Task
from mermaide_jax.games import GameConfig, decode_intervention, num_interventions

_DECIMALS = 5
"""States that agree to so many decimals are one: float32 means of a few rewards are that exact."""

_BLOCK = 256
"""States that one compiled call expands; the last block is filled up, so that all are alike."""


class Layer(NamedTuple):
    """The ``n`` states before one step, and what may follow.

    Attributes:
      states: the agent's states, leaves ``[n, ...]``.
      law: ``[n, U, A]`` float64, probability of each action under each intervention.
      children: ``[n, U, A, J]`` int64, index in the next layer of the state that follows under each
        draw of the reward noise; 0 where the action has no probability, and in the last layer,
        where nothing follows.
    """

    states: Any
    law: np.ndarray
    children: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class StateGraph:
    """Reachable states of one agent in one game; made by `reachable_states`."""

    rewards: np.ndarray
    """``[U, A]`` float64, what the principal earns when it does ``u`` and the agent does ``a``."""
    layers: tuple[Layer, ...]
    """One for each step, ``T`` of them."""

    @property
    def num_states(self) -> int:
        """Number of states in all layers."""
        return sum(layer.law.shape[0] for layer in self.layers)

    def locate(self, time: int, states: Any) -> np.ndarray:
        """Indices in layer ``time`` of agent states met elsewhere, such as in a simulation.

        Args:
          time: steps taken, in ``[0, T)``.
          states: agent states, leaves ``[m, ...]``.

        Returns:
          ``[m]`` int64.

        Raises:
          ConfigError: one of the states cannot be reached in ``time`` steps.
        """
        rows = _rows(states)
        known = _rows(self.layers[time].states, self.layers[time].law.shape[0])
        distance, index = spatial.KDTree(known).query(rows, p=np.inf)
        if np.any(distance > 10 * 10**-_DECIMALS):
            unknown = rows[np.argmax(distance), :-1].tolist()
            errors.refuse("states", unknown, f"states that {time} steps can lead to")
        return np.asarray(index, np.int64)


def reachable_states(
    agent: Agent, config: GameConfig, task: Task, draws: tuple[float, ...], max_states: int
) -> StateGraph:
    """Finds every state that ``agent`` may be in, whatever the principal does.

    Args:
      agent: a learning rule whose state is a pytree of numbers.
      config: the game; every kind of intervention, either cost rule.
      task: one task, without batch axes.
      draws: the values of the reward noise ``xi`` in ``r = mu[a] + sigma * xi + bonus``, each as
        likely (repeat one to weigh it). ``(0.0,)`` is no noise, ``(-1.0, 1.0)`` plus or minus
        ``sigma``.
      max_states: refuse a game with more states than this.

    Returns:
      StateGraph.

    Raises:
      ConfigError: more than ``max_states`` states; a task with batch axes or another number of
        arms; no draws, or one that is not finite.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 2, games.Economics(noise=0.0)
      ... )
      >>> graph = reachable_states(agent, config, task, draws=(0.0,), max_states=100)
      >>> len(graph.layers)
      2
    """
    _check_task(config, task, draws)
    errors.check_at_least("max_states", max_states, 1)
    bonus, rewards = _terms(config, task)
    states = jax.tree.map(lambda leaf: np.asarray(leaf)[None], agent.init(task.agent))
    noise = jnp.asarray(draws, jnp.float32)
    layers, number, total = [], 1, 0
    for time in range(config.horizon):
        total += number
        if total > max_states:
            expected = f"no more states than max_states ({time} of {config.horizon} steps done)"
            errors.refuse("number of states", total, expected)
        law, after = _expand_all(agent, task, bonus, noise, states, number)
        children = np.zeros((*law.shape, len(draws)), np.int64)
        following, next_number = states, 0
        if time + 1 < config.horizon:
            following, next_number = _merge(after, law, children)
        layers.append(Layer(states, law, children))
        states, number = following, next_number
    return StateGraph(np.asarray(rewards, np.float64), tuple(layers))


def _check_task(config: GameConfig, task: Task, draws: tuple[float, ...]) -> None:
    shape = np.shape(task.env.mean_rewards)
    if np.shape(task.env.target) != () or shape != (config.num_arms,):
        errors.refuse("mean_rewards", shape, f"one task with shape {(config.num_arms,)}")
    errors.check_at_least("number of draws", len(draws), 1)
    for draw in draws:
        if not math.isfinite(draw):
            errors.refuse("draws", draw, "finite numbers")


@functools.partial(jax.jit, static_argnums=0)
def _terms(config: GameConfig, task: Task) -> tuple[jax.Array, jax.Array]:
    """Bonus of each arm and reward of the principal, both ``[U, A]``, of each intervention."""
    every = jnp.arange(num_interventions(config))
    offer = jax.vmap(lambda u: decode_intervention(config, u, task.env.target))(every)
    charged = jnp.broadcast_to(offer.size[:, None], offer.bonus.shape)
    if config.cost_on == "uptake":
        charged = jnp.where(offer.bonus != 0, charged, 0.0)
    hit = (jnp.arange(config.num_arms) == task.env.target).astype(jnp.float32)
    return jnp.asarray(task.env.bonus * offer.bonus), hit - task.env.cost * charged


@functools.partial(jax.jit, static_argnums=0)
def _expand(agent: Agent, task: Task, bonus: jax.Array, draws: jax.Array, rows, states: Any):
    """Law ``[n, U, A]`` and following states ``[n, U, A, J, ...]`` of a block of states.

    ``rows``, ``[n]``, sets the size of the block: a state may have no leaves.
    """

    def one(row, state):
        del row

        def follow(offer, action, draw):
            reward = task.env.mean_rewards[action] + task.env.noise * draw + offer[action]
            return agent.update(task.agent, state, action, reward)

        law = jax.vmap(lambda offer: agent.probabilities(task.agent, state, offer))(bonus)
        each = jax.vmap(follow, (None, None, 0))
        each = jax.vmap(jax.vmap(each, (None, 0, None)), (0, None, None))
        return law, each(bonus, jnp.arange(bonus.shape[1]), draws)

    return jax.vmap(one)(rows, states)


def _expand_all(agent: Agent, task: Task, bonus, draws, states: Any, number: int):
    """`_expand` in blocks of one size, so that one program serves every layer of every game."""
    blocks = []
    for start in range(0, number, _BLOCK):
        rows = np.minimum(np.arange(start, start + _BLOCK), number - 1)
        block = jax.tree.map(lambda leaf: leaf[rows], states)  # noqa: B023
        blocks.append(jax.device_get(_expand(agent, task, bonus, draws, rows, block)))
    law, after = jax.tree.map(lambda *parts: np.concatenate(parts)[:number], *blocks)
    law = law.astype(np.float64)
    return law / law.sum(-1, keepdims=True), after


def _rows(states: Any, number: int = 1) -> np.ndarray:
    """Leaves ``[n, ...]`` as one float64 matrix; its last column is 0, lest there be no leaf."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(states)]
    number = leaves[0].shape[0] if leaves else number
    return np.concatenate([*(x.reshape(number, -1) for x in leaves), np.zeros((number, 1))], axis=1)


def _merge(after: Any, law: np.ndarray, children: np.ndarray) -> tuple[Any, int]:
    """The distinct states among those with probability; fills in ``children``, their indices."""
    reached = np.broadcast_to((law > 0)[..., None], children.shape)
    states = jax.tree.map(lambda leaf: leaf[reached], after)
    rows = np.round(_rows(states, int(reached.sum())), _DECIMALS) + 0.0
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    children[reached] = inverse.reshape(-1)
    return jax.tree.map(lambda leaf: leaf[first], states), first.size
