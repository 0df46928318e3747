"""The best that a principal can do that knows the agent: dynamic programming over its states.

With the agent's state ``s``, its law ``p(a | s, u)`` and the state ``s'`` that follows,

    V_T(s) = 0,    V_t(s) = max_u sum_a p(a | s, u) (R[u, a] + E_xi V_{t+1}(s'(s, u, a, xi)))

is the value of an all-knowing principal: it is told the task and the agent's state, not what will
be drawn. One that is also told the coming action, as `principals.prescient` is, earns at most

    W_T(s) = 0,    W_t(s) = sum_a p(a | s) max_u (R[u, a] + E_xi W_{t+1}(s'(s, u, a, xi))).

No principal that observes less can exceed ``V``, and ``V <= W``.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mermaide_jax import errors
from mermaide_jax.base import Agent, Task
from mermaide_jax.games import GameConfig
from mermaide_jax.oracles.states import Layer, StateGraph, reachable_states

_TIE = 1e-9
"""Interventions whose values differ by less are as good; the least of them is chosen."""

_CERTAIN = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class ExactSolution:
    """Value and policy of a principal that knows the task and the agent's state."""

    value: float
    """Greatest expected score of an episode, ``V_0`` (with ``sees_draw``, ``W_0``)."""
    values: tuple[np.ndarray, ...]
    """For each step, ``[n]`` float64: the value of each state of the graph's layer."""
    policy: tuple[np.ndarray, ...]
    """For each step, ``[n]`` int64: what to do in each state. With ``sees_draw``, ``[n, A]``: what
    to do if the agent, were nothing offered, would take each of the arms."""
    graph: StateGraph
    """The reachable states."""

    @property
    def num_states(self) -> int:
        """Number of states in all layers."""
        return self.graph.num_states

    def interventions(self, time: int, states: Any) -> np.ndarray:
        """What to do in agent states met elsewhere, such as in a simulation.

        Args:
          time: steps taken, in ``[0, T)``.
          states: agent states, leaves ``[m, ...]``.

        Returns:
          ``[m]`` int64 (with ``sees_draw``, ``[m, A]``, see `policy`).

        Raises:
          ConfigError: one of the states cannot be reached in ``time`` steps.
        """
        return self.policy[time][self.graph.locate(time, states)]


def solve_exact(
    agent: Agent,
    config: GameConfig,
    task: Task,
    *,
    draws: tuple[float, ...] = (0.0,),
    sees_draw: bool = False,
    max_states: int = 100_000,
) -> ExactSolution:
    """Computes the best value against one agent that is known, and the policy that earns it.

    Args:
      agent: a learning rule whose state is a pytree of numbers.
      config: the game; every kind of intervention, either cost rule. What may be observed does not
        matter: this principal is told everything.
      task: one task, without batch axes.
      draws: values of the reward noise, each as likely, see `reachable_states`.
      sees_draw: tell the principal the coming action, too (``W`` in place of ``V``).
      max_states: refuse a game with more states of the agent than this, over all steps.

    Returns:
      ExactSolution.

    Raises:
      ConfigError: as `reachable_states`; ``sees_draw`` and an action that depends on both the offer
        and chance, so that one cannot say what the same draw does under another offer.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 2, games.Economics(noise=0.0)
      ... )
      >>> solve_exact(agent, config, task).value  # each arm is tried once, whatever is paid
      1.0
    """
    graph = reachable_states(agent, config, task, draws, max_states)
    back_up = _clairvoyant if sees_draw else _all_knowing
    following, values, policy = np.zeros(1), [], []
    for layer in reversed(graph.layers):
        following, chosen = back_up(layer, _action_values(graph, layer, following))
        values.append(following)
        policy.append(chosen)
    return ExactSolution(float(following[0]), tuple(values[::-1]), tuple(policy[::-1]), graph)


def policy_value(graph: StateGraph, policy: Callable[[int, Any], np.ndarray]) -> float:
    """Computes the expected score of a principal that goes by step and agent state alone.

    Args:
      graph: from `reachable_states`, or the ``graph`` of a solution.
      policy: ``policy(time, states)`` gives the probability of each intervention, ``[n, U]`` or
        ``[U]``; ``states`` has leaves ``[n, ...]``.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 2, games.Economics(noise=0.0)
      ... )
      >>> graph = oracles.solve_exact(agent, config, task).graph
      >>> policy_value(graph, lambda time, states: np.array([0.0, 1.0]))  # always pays
      -0.5
    """
    following = np.zeros(1)
    for time in reversed(range(len(graph.layers))):
        layer = graph.layers[time]
        values = np.sum(layer.law * _action_values(graph, layer, following), axis=-1)
        following = np.sum(values * policy(time, layer.states), axis=-1)
    return float(following[0])


def _action_values(graph: StateGraph, layer: Layer, following: np.ndarray) -> np.ndarray:
    """``R[u, a] + E_xi V_{t+1}``, ``[n, U, A]``."""
    return graph.rewards + following[layer.children].mean(-1)


def _all_knowing(layer: Layer, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _best(np.sum(layer.law * values, axis=-1))


def _clairvoyant(layer: Layer, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coming action decides between interventions, or each of them has a certain one."""
    law = layer.law
    blind = np.ptp(law, axis=1).max(-1) < _CERTAIN
    certain = law.max(-1).min(-1) > 1 - _CERTAIN
    if not np.all(blind | certain):
        expected = "False where the action depends on both the offer and chance"
        errors.refuse("sees_draw", True, expected)
    per_action = np.where(certain[:, None, None], np.sum(law * values, -1, keepdims=True), values)
    best, chosen = _best(np.moveaxis(per_action, 1, -1))
    return np.sum(law[:, 0] * best, axis=-1), chosen


def _best(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Greatest value along the last axis, and the first index that has it, up to `_TIE`."""
    best = values.max(-1)
    return best, np.argmax(values >= best[..., None] - _TIE, axis=-1)
