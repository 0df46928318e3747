"""The hot learning rules, written for many agents at once.

A row is an array over agents; means, widths and values are one row per arm. Everything here is
elementwise over agents, so that the same code runs inside an XLA loop and a Pallas kernel.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.agents import (
    Agent,
    EpsilonGreedyParams,
    ThompsonParams,
    UCBParams,
    epsilon_greedy,
    thompson,
    ucb,
)
from mermaide_jax.simulation import counters

Rows = Any
"""One row per arm: a tuple of them, or an array with leading axis ``A``."""
MOST_ARMS = 128
"""Rules are unrolled over arms; beyond this many the general runner compiles sooner."""


class FastFamily(NamedTuple):
    """A learning rule over rows.

    Attributes:
      initial_pull: every arm is pulled once first, in random order.
      widths: the state holds ``1 / sqrt(n)`` beside the means; else it holds ``n``.
      params: ``params(row)``: the agent's params, every leaf ``row``.
      num_streams: ``num_streams(A)``, streams of random words used beside that of the rewards.
      initial_value: ``initial_value(params)``, estimate of an arm that was never pulled.
      values: ``values(words, log_time, params, means, widths)``, one row per arm; the agent takes
        the greatest. ``words(stream)`` gives two rows of random words; ``log_time`` is
        ``sqrt(log t)``.
      explore: None, or ``explore(words, params, A)``: rows (whether, which arm) that override it.
    """

    initial_pull: bool
    widths: bool
    params: Callable[[Any], Any]
    num_streams: Callable[[int], int]
    initial_value: Callable[[Any], Any]
    values: Callable[..., list[jax.Array]]
    explore: Callable[..., tuple[jax.Array, jax.Array]] | None = None


TIES = 1
"""Stream whose second word breaks ties and whose first is free for the rule; 0 is the rewards'."""


def _zero(params: Any) -> np.float32:
    del params
    return np.float32(0)


def _ucb_values(words, log_time, params, means: Rows, widths: Rows) -> list[jax.Array]:
    del words
    scale = params.beta * log_time
    return [m + w * scale for m, w in zip(_rows(means), _rows(widths), strict=True)]


def _thompson_values(words, log_time, params, means: Rows, widths: Rows) -> list[jax.Array]:
    del log_time
    means, widths = _rows(means), _rows(widths)
    normals: list[jax.Array] = []
    for pair in range((len(means) + 1) // 2):
        normals += counters.normal_pair(words(TIES + 1 + pair))
    return [
        m + (params.scale * z) * w
        for m, w, z in zip(means, widths, normals[: len(means)], strict=True)
    ]


def _greedy_values(words, log_time, params, means: Rows, widths: Rows) -> list[jax.Array]:
    del words, log_time, params, widths
    return _rows(means)


def _explore(words, params, num_arms: int) -> tuple[jax.Array, jax.Array]:
    """One uniform serves twice: ``u < epsilon`` explores, and ``u / epsilon`` names the arm."""
    u = counters.uniform(words(TIES)[0])
    arm = (
        u
        * counters.reciprocal(jnp.maximum(params.epsilon, np.float32(1e-30)))
        * np.float32(num_arms)
    ).astype(jnp.int32)
    return u < params.epsilon, jnp.clip(arm, 0, num_arms - 1)


def _greedy_params(row: Any) -> EpsilonGreedyParams:
    return EpsilonGreedyParams(row, row)


def _rows(rows: Rows) -> list[jax.Array]:
    return [rows[arm] for arm in range(len(rows))]


_UCB = FastFamily(True, True, UCBParams, lambda _: 1, _zero, _ucb_values)
_THOMPSON = FastFamily(
    True, True, ThompsonParams, lambda arms: 1 + (arms + 1) // 2, _zero, _thompson_values
)
_GREEDY = FastFamily(True, False, _greedy_params, lambda _: 1, _zero, _greedy_values, _explore)
_GREEDY_FROM_PRIOR = _GREEDY._replace(
    initial_pull=False, initial_value=lambda params: params.initial_value
)


@functools.cache
def fast_family_of(agent: Agent, num_arms: int) -> FastFamily | None:
    """Finds the specialised rule of an agent; None if it has none.

    Example:
      >>> fast_family_of(agents.best_response(3), 3) is None
      True
    """
    if not 2 <= num_arms <= MOST_ARMS:
        return None
    known = {
        ucb(num_arms): _UCB,
        thompson(num_arms): _THOMPSON,
        epsilon_greedy(num_arms): _GREEDY,
        epsilon_greedy(num_arms, initial_pull=False): _GREEDY_FROM_PRIOR,
    }
    return known.get(agent)
