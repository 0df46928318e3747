"""One step of many agents, in the stages that XLA:CPU should compile apart.

The state holds, per arm, the mean reward and either ``1 / sqrt(n)`` or ``n``: only the pulled arm
changes, so no other arm costs a logarithm, a root or a division.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mermaide_jax.simulation import counters, stages
from mermaide_jax.simulation.families import MOST_ARMS, TIES, FastFamily, Rows

UNTRIED = np.float32(2)
"""Stands for ``1 / sqrt(n)`` of an arm never pulled: ``1 / 2**2`` rounds to a count of 0."""
_TIED = np.int32(1 << 30)


Keys = Sequence[counters.WordPair]


class Block(NamedTuple):
    """Some agents, one row entry each.

    Attributes:
      agents: uint32, their numbers.
      params: params of the learning rule, leaves are rows.
      mean_rewards: one row per arm.
      noise: standard deviation of the rewards.
      target: int32.
    """

    agents: jax.Array
    params: Any
    mean_rewards: Rows
    noise: jax.Array
    target: jax.Array


class State(NamedTuple):
    """What the agents know: ``means`` and ``weights`` (``1 / sqrt(n)`` or ``n``), by arm."""

    means: Rows
    weights: Rows


class Clock(NamedTuple):
    """What depends on the step.

    Attributes:
      time: int32 scalar, pulls made before.
      log_time: float32 scalar, ``sqrt(log t)``.
      bonus: None, or a row: what the target pays more.
    """

    time: jax.Array
    log_time: jax.Array
    bonus: jax.Array | None


def sqrt_log(time: jax.Array) -> jax.Array:
    """Computes ``sqrt(log t)`` of a step, 0 for the first two.

    Example:
      >>> round(float(sqrt_log(jnp.int32(2)))), float(sqrt_log(jnp.int32(0)))
      (1, 0.0)
    """
    return jnp.sqrt(jnp.log(jnp.maximum(time.astype(jnp.float32), np.float32(1))))


def words_of(keys: Keys, block: Block, time: jax.Array, rounds: int) -> Callable:
    """Makes ``words(stream)``: two rows of random words of this step.

    Example:
      >>> keys = counters.stream_keys(jax.random.key(0), 2)
      >>> blocks = [Block(jnp.arange(n, dtype=jnp.uint32), (), (), 0, 0) for n in (2, 3)]
      >>> few, more = (words_of(keys, block, jnp.int32(5), 20)(1)[0] for block in blocks)
      >>> bool((few == more[:2]).all())  # an agent's words depend on no others
      True
    """
    counter = (block.agents, jnp.full_like(block.agents, time.astype(jnp.uint32)))

    def words(stream: int) -> counters.WordPair:
        return counters.threefry2x32(keys[stream], counter, rounds)

    return words


def start(family: FastFamily, block: Block, num_arms: int) -> State:
    """Starts without pulls; a tuple of rows.

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> block = Block(jnp.arange(3, dtype=jnp.uint32), agents.UCBParams(jnp.ones(3)), (), 0, 0)
      >>> counts_of(family, start(family, block, num_arms=2).weights[1]).tolist()
      [0.0, 0.0, 0.0]
    """
    shape = block.agents.shape
    mean = jnp.broadcast_to(jnp.float32(family.initial_value(block.params)), shape)
    weight = jnp.full(shape, UNTRIED if family.widths else np.float32(0))
    return State((mean,) * num_arms, (weight,) * num_arms)


def counts_of(family: FastFamily, weights: jax.Array) -> jax.Array:
    """Counts the pulls, float32.

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> counts_of(family, jnp.array([UNTRIED, 1.0, 0.5])).tolist()  # 1 / sqrt(n), or none
      [0.0, 1.0, 4.0]
    """
    if not family.widths:
        return weights
    return jnp.floor(counters.reciprocal(weights * weights) + np.float32(0.5))


def summarise(
    family: FastFamily, target: jax.Array, state: State, horizon: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Counts ``[A, L]`` int32, total reward ``[L]``, share on target ``[L]``, of stacked rows.

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> state = State(means=jnp.array([[0.5], [1.0]]), weights=jnp.array([[1.0], [0.5]]))
      >>> counts, total, share = summarise(family, jnp.array([0]), state, horizon=5)
      >>> counts[:, 0].tolist(), float(total[0]), round(float(share[0]), 5)
      ([1, 4], 4.5, 0.2)
    """
    counts = counts_of(family, jnp.asarray(state.weights))
    total = jnp.sum(counts * jnp.asarray(state.means), 0)
    on_target = lax.broadcasted_iota(jnp.int32, counts.shape, 0) == target[None]
    share = jnp.sum(jnp.where(on_target, counts, 0.0), 0) / np.float32(horizon)
    return counts.astype(jnp.int32), total, share


def advance(
    family: FastFamily,
    rounds: int,
    keys: Keys,
    block: Block,
    state: State,
    clock: Clock,
    stage: Callable[[Callable], Callable] = stages.plain,
    careful: bool = False,
) -> tuple[State, jax.Array, jax.Array]:
    """Advances all agents of a block by one step.

    Args:
      family: static.
      rounds: of threefry; static.
      keys: two uint32 words for each stream.
      block: who.
      state: before.
      clock: when.
      stage: how to keep apart what should not be fused; see `stages`.
      careful: look out for ties in every step, without a branch; the results are the same.

    Returns:
      State after, arm pulled (int32 row), reward (row; unused work is removed by the compiler).

    Example:
      >>> family = simulation.families.fast_family_of(agents.ucb(2), 2)
      >>> one, keys, now = jnp.ones(1), jnp.zeros((2, 2), jnp.uint32), Clock(jnp.int32(0), 0, None)
      >>> block = Block(jnp.uint32([0]), agents.UCBParams(one), (one, 2 * one), 0 * one, None)
      >>> state, arm, gain = advance(family, 20, keys, block, start(family, block, 2), now, jax.jit)
      >>> bool(gain[0] == arm[0] + 1), float(pick(state.means, arm)[0] - gain[0])
      (True, 0.0)
    """
    num_arms = len(block.mean_rewards)
    choose = stage(functools.partial(_choose, family, rounds))
    choose_tied = stage(functools.partial(_choose_tied, family, rounds))
    if careful:
        arm = choose_tied(keys, block, state, clock)
    else:
        quick = choose(keys, block, state, clock)
        undecided = jnp.any(quick >= _TIED)
        if family.initial_pull:
            undecided |= clock.time < num_arms
        arm = lax.cond(undecided, lambda: choose_tied(keys, block, state, clock), lambda: quick)
    earn = stage(functools.partial(_earn, rounds))
    count = stage(functools.partial(_count, family))(arm, state.weights)
    mean = stage(functools.partial(_learn, rounds))(keys, block, clock, arm, state.means, count)
    weight = stage(counters.inverse_sqrt)(count) if family.widths else count
    put = stage(_put)
    after = State(put(state.means, arm, mean), put(state.weights, arm, weight))
    return after, arm, earn(keys, block, clock, arm)


def _choose(
    family: FastFamily, rounds: int, keys, block: Block, state: State, clock: Clock
) -> jax.Array:
    """The arm of greatest value; 2^30 or more if several are tied. Assumes all were pulled."""
    words = words_of(keys, block, clock.time, rounds)
    values = family.values(words, clock.log_time, block.params, state.means, state.weights)
    best = _in_pairs(jnp.maximum, values)
    # The number of arms that are best and, below, the sum of theirs: its name if there is one.
    hits = _in_pairs(
        jnp.add,
        [
            jnp.where(value == best, np.int32(MOST_ARMS + arm), np.int32(0))
            for arm, value in enumerate(values)
        ],
    )
    choice = jnp.where(hits < np.int32(2 * MOST_ARMS), hits & np.int32(MOST_ARMS - 1), _TIED)
    return _override(family, words, block, choice, len(values))


def _choose_tied(
    family: FastFamily, rounds: int, keys, block: Block, state: State, clock: Clock
) -> jax.Array:
    """The same when there are ties or arms not yet pulled: any of the best, at random."""
    words = words_of(keys, block, clock.time, rounds)
    values = family.values(words, clock.log_time, block.params, state.means, state.weights)
    num_arms = len(values)
    if family.initial_pull:
        untried = UNTRIED if family.widths else np.float32(0)
        values = [
            jnp.where(state.weights[arm] == untried, np.float32(np.inf), values[arm])
            for arm in range(num_arms)
        ]
    best = functools.reduce(jnp.maximum, values)
    ties = functools.reduce(jnp.add, [(value == best).astype(jnp.int32) for value in values])
    rank = counters.below(words(TIES)[1], ties)
    choice = jnp.zeros_like(rank)
    for arm, value in enumerate(values):
        choice = jnp.where((value == best) & (rank == 0), np.int32(arm), choice)
        rank = rank - (value == best).astype(jnp.int32)
    chosen = _override(family, words, block, choice, num_arms)
    if not family.initial_pull:
        return chosen
    return jnp.where(clock.time < num_arms, choice, chosen)


def _override(
    family: FastFamily, words, block: Block, choice: jax.Array, num_arms: int
) -> jax.Array:
    if family.explore is None:
        return choice
    explores, arm = family.explore(words, block.params, num_arms)
    return jnp.where(explores, arm, choice)


def _earn(rounds: int, keys, block: Block, clock: Clock, arm: jax.Array) -> jax.Array:
    """``mu[a] + sigma * xi``, and the bonus on the target."""
    normal, _ = counters.normal_pair(words_of(keys, block, clock.time, rounds)(0))
    reward = pick(block.mean_rewards, arm) + block.noise * normal
    if clock.bonus is None:
        return reward
    return reward + jnp.where(arm == block.target, clock.bonus, np.float32(0))


def _count(family: FastFamily, arm: jax.Array, weights: Rows) -> jax.Array:
    """Pulls of the pulled arm, this one included. Rounding keeps the count exact for ever."""
    return counts_of(family, pick(weights, arm)) + np.float32(1)


def _learn(rounds: int, keys, block: Block, clock: Clock, arm, means: Rows, count) -> jax.Array:
    """``Q <- Q + (r - Q) / n`` of the pulled arm."""
    mean = pick(means, arm)
    error, inverse = _earn(rounds, keys, block, clock, arm) - mean, counters.reciprocal(count)
    step = error * inverse
    return mean + (step + inverse * (error - step * count))


def _in_pairs(function: Callable, rows: Sequence[jax.Array]) -> jax.Array:
    """``function`` of all rows, pair by pair: a tree, whose branches a processor can overlap."""
    rows = list(rows)
    while len(rows) > 1:
        pairs = [function(*pair) for pair in zip(rows[::2], rows[1::2], strict=False)]
        rows = pairs + rows[2 * len(pairs) :]
    return rows[0]


def pick(rows: Rows, arm: jax.Array) -> jax.Array:
    """Picks ``rows[arm]`` of each agent by comparing: for tens of arms faster than a gather.

    Example:
      >>> pick((jnp.array([1, 2]), jnp.array([3, 4])), jnp.array([1, 0])).tolist()
      [3, 2]
    """
    picked = rows[0]
    for index in range(1, len(rows)):
        picked = jnp.where(arm == np.int32(index), rows[index], picked)
    return picked


def _put(rows: Rows, arm: jax.Array, value: jax.Array) -> Rows:
    """``rows`` with ``value`` at ``arm``."""
    if isinstance(rows, tuple):
        hits = [arm == np.int32(index) for index in range(len(rows))]
        return tuple(jnp.where(hit, value, row) for hit, row in zip(hits, rows, strict=True))
    index = lax.broadcasted_iota(jnp.int32, rows.shape, 0)
    return jnp.where(index == arm[None], value[None], rows)
