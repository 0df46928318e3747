"""What blocks of times say: ratios with their interval, agreement of checksums."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Ratio", "agree", "describe", "ratio"]

BOOTSTRAP_DRAWS = 4000
BETWEEN_AGENTS = 0.15
"""Standard deviation of the mean reward between agents with U[0,1] means, rounded up."""


class Ratio(NamedTuple):
    """Median over the blocks of the block's ratio, with a 95% bootstrap interval."""

    ratio: float
    low: float
    high: float


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """``median_b (numerator_b / denominator_b)`` over blocks ``b`` measured side by side.

    The interval is the percentile bootstrap of that median, blocks resampled whole. Where one side
    has fewer blocks, the first ones are compared.

    Args:
      numerator: cost per unit in each block.
      denominator: cost per unit in each block.
    """
    blocks = min(len(numerator), len(denominator))
    each = np.asarray(numerator[:blocks]) / np.asarray(denominator[:blocks])
    drawn = np.random.default_rng(0).integers(0, blocks, (BOOTSTRAP_DRAWS, blocks))
    low, high = np.percentile(np.median(each[drawn], axis=1), [2.5, 97.5])
    return Ratio(float(np.median(each)), float(low), float(high))


def describe(values: Sequence[float]) -> dict[str, float]:
    """Number, mean and standard deviation of checksums."""
    return {
        "number": len(values),
        "mean": float(np.mean(values)),
        "standard_deviation": float(np.std(values)),
    }


def agree(
    left: Sequence[float],
    right: Sequence[float],
    within: float | str,
    agents: tuple[int | None, int | None] = (None, None),
) -> bool:
    """Whether two contenders' checksums tell of the same work.

    Args:
      left: checksums of calls.
      right: checksums of calls.
      within: a relative error, or "statistically": their means differ by at most five standard
        errors, those of the draws and, where one simulates only the first rows of the same table
        of agents, that of leaving the others out.
      agents: number of agents of each.
    """
    mean_left, mean_right = float(np.mean(left)), float(np.mean(right))
    if not (math.isfinite(mean_left) and math.isfinite(mean_right)):
        return False
    apart = abs(mean_left - mean_right)
    if within != "statistically":
        return apart <= float(within) * max(abs(mean_left), abs(mean_right))
    variance = sum(_variance(values) / len(values) for values in (left, right))
    if agents[0] and agents[1]:
        variance += BETWEEN_AGENTS**2 * abs(1 / agents[0] - 1 / agents[1])
    return apart <= 5 * math.sqrt(variance) + 1e-6


def _variance(values: Sequence[float]) -> float:
    """Sample variance; for a single value, that of a mean whose spread is not known."""
    return float(np.var(values, ddof=1)) if len(values) > 1 else BETWEEN_AGENTS**2
