"""The share of the attainable: where a score lies between the best script and an oracle."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mermaide_jax.errors import refuse
from mermaide_jax.statistics import (
    check_bootstrap,
    interquartile_mean,
    members_of_strata,
)

__all__ = ["Share", "attainable_share"]


class Share(NamedTuple):
    """A share of the attainable and its interval.

    Attributes:
      share: 0 at the best scripted principal, 1 at the oracle; may be negative.
      low: lower end of the interval; NaN if there is none.
      high: upper end.
    """

    share: float
    low: float
    high: float


def attainable_share(
    scores: ArrayLike,
    best_scripted: ArrayLike,
    oracle: ArrayLike,
    strata: ArrayLike | None = None,
    statistic: Callable[..., np.ndarray | float] = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Share:
    """How much of what the oracle adds to the best scripted principal a principal attains.

        share = (S(score) - S(best scripted)) / (S(oracle) - S(best scripted))

    with ``S`` the statistic over runs: a ratio of aggregates, never a mean of ratios. The interval
    is a percentile bootstrap that resamples runs within strata, the same runs for all three
    arguments, so that what makes a run easy for everyone cancels.

    Args:
      scores: [n] score of each run, finite.
      best_scripted: [n] score of the best scripted principal in the same run, or one number.
      oracle: [n] score of the oracle in the same run, or one number.
      strata: [n] the stratum (agent) of each run, see `stratified_bootstrap_interval`; None: one.
      statistic: vectorised, called as `statistic(x, axis=-1)`.
      confidence: coverage, strictly between 0 and 1.
      resamples: number of bootstrap resamples.
      seed: of the resampling.

    Returns:
      Share of float64 numbers. The interval is NaN for a single run, and where the oracle is not
      above the best scripted principal in some resample: then nothing bounds the ratio.

    Raises:
      ConfigError: if shapes differ, a value is not finite, an option is impossible, or the oracle
        is not above the best scripted principal.
    """
    x, groups = _checked(scores, best_scripted, oracle, strata)
    check_bootstrap(confidence, resamples)
    own, base, top = (float(statistic(row, axis=-1)) for row in x)
    if not top > base:
        refuse("oracle", top, f"more than the best scripted principal's {base:g}")
    share = (own - base) / (top - base)
    if x.shape[1] == 1:
        return Share(share, np.nan, np.nan)
    picks = _resampled(groups, resamples, np.random.default_rng(seed))
    owns, bases, tops = (np.asarray(statistic(row[picks], axis=-1)) for row in x)
    if not (tops > bases).all():
        return Share(share, np.nan, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile((owns - bases) / (tops - bases), [tail, 1 - tail])
    return Share(share, float(low), float(high))


def _checked(
    scores: ArrayLike, best_scripted: ArrayLike, oracle: ArrayLike, strata: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    """The three as one ``[3, n]`` array, and the stratum of each run."""
    own = np.asarray(scores, np.float64)
    if own.ndim != 1 or own.size == 0:
        refuse("scores", own.shape, "a flat array of at least one value")
    rows = {"scores": own}
    for name, values in (("best_scripted", best_scripted), ("oracle", oracle)):
        rows[name] = np.asarray(values, np.float64)
        if rows[name].shape not in ((), own.shape):
            refuse(name, rows[name].shape, f"one number or the shape of scores, {own.shape}")
    for name, row in rows.items():
        if not np.isfinite(row).all():
            refuse(name, row[~np.isfinite(row)].ravel()[0].item(), "finite numbers")
    groups = np.zeros(own.shape, int) if strata is None else np.asarray(strata)
    if groups.shape != own.shape:
        refuse("strata", groups.shape, f"the shape of scores, {own.shape}")
    return np.stack([np.broadcast_to(row, own.shape) for row in rows.values()]), groups


def _resampled(groups: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Indices ``[resamples, n]`` drawn within strata, see `members_of_strata`."""
    parts = members_of_strata(groups)
    drawn = [part[rng.integers(part.size, size=(resamples, part.size))] for part in parts]
    return np.concatenate(drawn, axis=1)
