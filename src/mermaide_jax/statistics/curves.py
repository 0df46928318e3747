"""Curves: when one reaches a level."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from mermaide_jax.errors import check_in_range, refuse

__all__ = ["sample_need"]


def sample_need(ratio: ArrayLike, interactions: Sequence[int], level: float = 0.95) -> np.ndarray:
    """Finds after how many interactions the ratio is at ``level`` first.

    Between two numbers of interactions it is taken for linear in ``log(1 + n)``.

    Args:
      ratio: ``[..., C]``.
      interactions: the ``C`` numbers of interactions, ascending.
      level: in [0, 1].

    Returns:
      ``[...]`` float64; infinite where the level is never reached.

    Raises:
      ConfigError: if lengths differ, or the level is impossible.

    >>> round(float(sample_need([0.0, 0.9, 1.0], (0, 1, 3))), 2)  # half-way, in log(1 + n)
    1.83
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
