"""The best that a principal can do that sees only actions: search over its exact beliefs.

Given a prior over finitely many tasks, the principal's belief ``b`` is the posterior over task and
agent state ``(i, s)`` after the actions it saw and the interventions it made. With

    P(a | b, u)  = sum_{i,s} b(i, s) p_i(a | s, u)
    b'(i, s')    = sum_s b(i, s) p_i(a | s, u) P_i(s' | s, u, a) / P(a | b, u)

its value is that of a finite tree, solved backwards:

    V_T(b) = 0,   V_t(b) = max_u sum_a P(a | b, u) (E[R_i[u, a] | b, u, a] + V_{t+1}(b'(b, u, a)))

Histories that lead to equal beliefs are one node. The value is the Bayes-optimal score under the
prior: the most that any principal with these observations can earn without adaptation.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy import sparse

from mermaide_jax import errors
from mermaide_jax.base import Agent, Task
from mermaide_jax.games import GameConfig
from mermaide_jax.oracles.states import StateGraph, reachable_states

_DECIMALS = 10
"""Beliefs whose probabilities agree to this many decimals are one."""

_TIE = 1e-9


class BeliefLayer(NamedTuple):
    """The ``b`` beliefs that may be held before one step.

    Attributes:
      values: ``[b]`` float64, expected score from here on.
      policy: ``[b]`` int64, what to do.
      children: ``[b, U, A]`` int64, index in the next layer of the belief that follows; -1 where
        the action has no probability, and in the last layer, where nothing follows.
    """

    values: np.ndarray
    policy: np.ndarray
    children: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class BeliefSolution:
    """Value and policy of a principal that knows the prior and sees only actions."""

    value: float
    """Expected score of an episode, over the prior."""
    layers: tuple[BeliefLayer, ...]
    """One for each step."""
    roots: dict[int | None, int]
    """Target to index of the first belief; the one key is None if targets are not observed."""
    num_states: int
    """Agent states of all tasks, in all layers."""

    @property
    def num_beliefs(self) -> int:
        """Number of distinct beliefs in all layers."""
        return sum(layer.values.size for layer in self.layers)

    def intervention(self, history: Sequence[tuple[int, int]], target: int | None = None) -> int:
        """What to do after a history.

        Args:
          history: what was done and seen so far, ``(intervention, action)`` of each step; shorter
            than ``T``.
          target: the target, if it is observed (`GameConfig.observe_target`).

        Raises:
          ConfigError: a history or a target that has no probability under the prior; a history of
            ``T`` steps or more.
        """
        if target not in self.roots:
            errors.refuse("target", target, f"one of {list(self.roots)}")
        if len(history) >= len(self.layers):
            errors.refuse("history", history, f"fewer than {len(self.layers)} steps")
        node = self.roots[target]
        for layer, (intervention, action) in zip(self.layers, history, strict=False):
            node = layer.children[node, intervention, action]
            if node < 0:
                errors.refuse("history", history, "actions that the prior holds possible")
        return int(self.layers[len(history)].policy[node])


def solve_belief(
    agent: Agent,
    config: GameConfig,
    tasks: Task,
    prior: Sequence[float] | np.ndarray | None = None,
    *,
    draws: tuple[float, ...] = (0.0,),
    max_states: int = 20_000,
    max_beliefs: int = 50_000,
) -> BeliefSolution:
    """Computes the Bayes-optimal value under a finite prior over tasks, and the policy for it.

    The principal sees the agent's actions and remembers its own interventions; it sees the target
    if ``config.observe_target``, so that its first belief is the prior given the target. It never
    sees a reward, not even its own (costs and targets that differ may be uncertain).

    Args:
      agent: a learning rule whose state is a pytree of numbers; populations give priors over rules.
      config: the game; every kind of intervention, either cost rule.
      tasks: ``N`` tasks, leading axis ``[N]``.
      prior: ``[N]`` weights, positive, normalised here; None: all as likely.
      draws: values of the reward noise, each as likely, see `reachable_states`.
      max_states: refuse more agent states than this, over all tasks and steps.
      max_beliefs: refuse more distinct beliefs than this, over all steps.

    Returns:
      BeliefSolution.

    Raises:
      ConfigError: too many states or beliefs; as many weights as tasks were not given, or one is
        not positive; as `reachable_states`.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3,), 2, 2, games.Economics(noise=0.0)
      ... )
      >>> 0.0 <= solve_belief(agent, config, tasks).value <= 2.0
      True
    """
    weights = _check_prior(tasks, prior)
    errors.check_at_least("max_beliefs", max_beliefs, 1)
    graphs: list[StateGraph] = []
    for i in range(weights.size):
        task = jax.tree.map(lambda leaf: leaf[i], tasks)  # noqa: B023
        left = max_states - sum(graph.num_states for graph in graphs)
        graphs.append(reachable_states(agent, config, task, draws, max(left, 1)))
    targets = np.asarray(tasks.env.target) if config.observe_target else np.zeros(weights.size, int)
    beliefs, masses = _first_beliefs(weights, targets)
    joint = [_stack(graphs, time) for time in range(config.horizon)]
    children, gains = _search(joint, beliefs, max_beliefs)
    layers = _back_up(children, gains)
    names = np.unique(targets).tolist() if config.observe_target else [None]
    return BeliefSolution(
        value=float(masses @ layers[0].values),
        layers=layers,
        roots={name: index for index, name in enumerate(names)},
        num_states=sum(graph.num_states for graph in graphs),
    )


def _check_prior(tasks: Task, prior: Sequence[float] | np.ndarray | None) -> np.ndarray:
    shape = np.shape(tasks.env.target)
    if len(shape) != 1 or shape[0] == 0:
        errors.refuse("tasks", shape, "tasks with one leading axis, at least one of them")
    weights = np.ones(shape) if prior is None else np.asarray(prior, np.float64)
    if weights.shape != shape:
        errors.refuse("prior", weights.shape, f"one weight for each of the {shape[0]} tasks")
    for weight in weights.tolist():
        errors.check_positive("prior", weight)
    return weights / weights.sum()


def _first_beliefs(weights: np.ndarray, targets: np.ndarray):
    """One belief for each target that may be seen, ``[roots, N]``, and its probability."""
    mask = np.unique(targets)[:, None] == targets
    masses = (mask * weights).sum(-1)
    return sparse.csr_array(mask * weights / masses[:, None]), masses


class _Joint(NamedTuple):
    """The states of all tasks before one step, ``M`` of them.

    Attributes:
      law: ``[M, U, A]``.
      gains: ``[M, U]``, expected reward of the principal.
      moves: ``moves[u][a]``, sparse ``[M, M']``: ``p(a | s, u) P(s' | s, u, a)``; none in the last
        layer.
    """

    law: np.ndarray
    gains: np.ndarray
    moves: list[list[sparse.csr_array]]


def _stack(graphs: list[StateGraph], time: int) -> _Joint:
    layers = [graph.layers[time] for graph in graphs]
    law = np.concatenate([layer.law for layer in layers])
    gains = [np.sum(g.rewards * x.law, axis=-1) for g, x in zip(graphs, layers, strict=True)]
    moves = []
    if time + 1 < len(graphs[0].layers):
        sizes = [graph.layers[time + 1].law.shape[0] for graph in graphs]
        offsets = np.cumsum([0, *sizes])
        pairs = zip(layers, offsets[:-1], strict=True)
        children = np.concatenate([layer.children + offset for layer, offset in pairs])
        moves = [
            [_move(law[:, u, a], children[:, u, a], offsets[-1]) for a in range(law.shape[2])]
            for u in range(law.shape[1])
        ]
    return _Joint(law, np.concatenate(gains), moves)


def _move(law: np.ndarray, children: np.ndarray, size: int) -> sparse.csr_array:
    """Sparse ``[M, size]`` from the probability ``[M]`` of one action and ``[M, J]`` its states."""
    states, draws = children.shape
    rows = np.repeat(np.arange(states), draws)
    entries = (np.repeat(law / draws, draws), (rows, children.ravel()))
    move = sparse.csr_array(entries, shape=(states, size))
    move.eliminate_zeros()
    return move


def _search(joint: list[_Joint], beliefs: sparse.csr_array, max_beliefs: int):
    """Beliefs forwards: ``children`` of each layer, gains ``[b, U]`` and masses ``[b, U, A]``."""
    children, gains, total = [], [], 0
    for time, layer in enumerate(joint):
        number = _height(beliefs)
        total += number
        if total > max_beliefs:
            expected = f"no more beliefs than max_beliefs ({time} of {len(joint)} steps done)"
            errors.refuse("number of beliefs", total, expected)
        num_states, num_interventions, num_arms = layer.law.shape
        shape = (number, num_interventions, num_arms)
        mass = (beliefs @ layer.law.reshape(num_states, -1)).reshape(shape)
        gains.append((beliefs @ layer.gains, mass))
        index = np.full(shape, -1, np.int64)
        if layer.moves:
            beliefs = _observe(beliefs, layer.moves, mass, index)
        children.append(index)
    return children, gains


def _height(matrix: sparse.csr_array) -> int:
    return matrix.indptr.size - 1


def _observe(beliefs: sparse.csr_array, moves, mass: np.ndarray, index: np.ndarray):
    """The distinct beliefs that may follow; fills in ``index``, ``[b, U, A]``."""
    known: dict[bytes, int] = {}
    kept = []
    for u, per_action in enumerate(moves):
        for a, move in enumerate(per_action):
            possible = np.flatnonzero(mass[:, u, a] > 0)
            scale = sparse.diags_array(1 / mass[possible, u, a])
            after = sparse.csr_array(scale @ (beliefs[possible] @ move))
            numbers, fresh = _number(after, known)
            index[possible, u, a] = numbers
            kept.append(after[fresh])
    return sparse.csr_array(sparse.vstack(kept, format="csr"))


def _number(beliefs: sparse.csr_array, known: dict[bytes, int]) -> tuple[list[int], list[int]]:
    """Number of each belief among the ``known`` ones, to which it is added; which rows are new."""
    beliefs.sort_indices()
    rounded = np.round(beliefs.data, _DECIMALS)
    numbers, fresh = [], []
    for row in range(_height(beliefs)):
        part = slice(beliefs.indptr[row], beliefs.indptr[row + 1])
        name = beliefs.indices[part].tobytes() + rounded[part].tobytes()
        if name not in known:
            known[name] = len(known)
            fresh.append(row)
        numbers.append(known[name])
    return numbers, fresh


def _back_up(children: list[np.ndarray], gains) -> tuple[BeliefLayer, ...]:
    """Values backwards."""
    layers, following = [], np.zeros(1)
    for index, (gain, mass) in zip(reversed(children), reversed(gains), strict=True):
        after = np.where(index < 0, 0.0, following[np.maximum(index, 0)])
        values = gain + np.sum(mass * after, axis=-1)
        following = values.max(-1)
        policy = np.argmax(values >= following[:, None] - _TIE, axis=-1)
        layers.append(BeliefLayer(following, policy, index))
    return tuple(layers[::-1])
