"""From curves to numbers: payoff ratios and sample needs, with intervals over seeds."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mermaide_jax.errors import check_in_range, refuse

RESAMPLES = 2000


class Interval(NamedTuple):
    """A number and its 95% percentile bootstrap interval over seeds.

    Attributes:
      value: of all seeds; infinite if a need was not met.
      low: 2.5% quantile.
      high: 97.5% quantile.
    """

    value: float
    low: float
    high: float


def payoff_ratio(payoffs: ArrayLike, equilibria: ArrayLike) -> np.ndarray:
    """Mean payoff over seeds, over the mean payoff of the equilibrium.

    Args:
      payoffs: ``[..., S, C]``, means over test agents.
      equilibria: ``[..., S]``.

    Returns:
      ``[..., C]`` float64.
    """
    best = np.mean(np.asarray(equilibria, np.float64), axis=-1)[..., None]
    return np.mean(np.asarray(payoffs, np.float64), axis=-2) / best


def sample_need(ratio: ArrayLike, interactions: Sequence[int], level: float = 0.95) -> np.ndarray:
    """Interactions after which the ratio is at ``level`` first, linear in ``log(1 + n)`` between.

    Args:
      ratio: ``[..., C]``.
      interactions: the ``C`` numbers of interactions, ascending.
      level: in (0, 1].

    Returns:
      ``[...]`` float64; infinite where the level is never reached.

    Raises:
      ConfigError: if lengths differ, or the level is impossible.
    """
    check_in_range("level", level, 0.0, 1.0)
    values = np.asarray(ratio, np.float64)
    if values.shape[-1] != len(interactions):
        refuse("ratio", values.shape, f"{len(interactions)} values along the last axis")
    flat = values.reshape(-1, values.shape[-1])
    times = np.log1p(np.asarray(interactions, np.float64))
    needs = np.array([_first_crossing(row, times, level) for row in flat])
    return needs.reshape(values.shape[:-1])


def _first_crossing(row: np.ndarray, times: np.ndarray, level: float) -> float:
    """When one curve reaches the level, in interactions."""
    above = np.flatnonzero(row >= level)
    if above.size == 0:
        return math.inf
    i = above[0]
    if i == 0:
        return float(np.expm1(times[0]))
    share = (level - row[i - 1]) / (row[i] - row[i - 1])
    return float(np.expm1(times[i - 1] + share * (times[i] - times[i - 1])))


def over_seeds(
    statistic: Callable[..., np.ndarray], *samples: ArrayLike, seed: int = 0
) -> Interval:
    """Value and 95% interval of a statistic; every sample is resampled with the same seeds.

    Args:
      statistic: vectorised: takes the samples, leading axes ``[R, S]``, and returns ``[R]``.
      samples: arrays with leading axis ``S``; the members of one seed stay together.
      seed: of the resampling.
    """
    arrays = [np.asarray(sample, np.float64) for sample in samples]
    number = arrays[0].shape[0]
    drawn = np.random.default_rng(seed).integers(0, number, (RESAMPLES, number))
    value = float(statistic(*(a[None] for a in arrays))[0])
    resampled = np.sort(statistic(*(a[drawn] for a in arrays)))
    low, high = (resampled[round(q * (RESAMPLES - 1))] for q in (0.025, 0.975))
    return Interval(value, float(low), float(high))
