"""Aggregate statistics over runs: interquartile mean, stratified bootstrap, improvement.

After Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
NeurIPS 2021: aggregate by the interquartile mean, and give an interval in which the runs (seeds)
are resampled within each stratum (here an agent), never across strata.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mermaide_jax.errors import check_at_least, refuse

__all__ = [
    "check_bootstrap",
    "interquartile_mean",
    "members_of_strata",
    "probability_of_improvement",
    "stratified_bootstrap_interval",
]


def interquartile_mean(x: ArrayLike, axis: int | None = None) -> np.ndarray | float:
    """Mean of the middle half: `floor(n / 4)` values are dropped from either end.

    Args:
      x: values, any shape, finite.
      axis: the axis to reduce; None reduces all of them.

    Returns:
      float64, the shape of `x` without `axis`.

    Raises:
      ConfigError: if there is no value.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.size == 0:
        refuse("x", [], "at least one value")
    if axis is None:
        return stats.trim_mean(values.ravel(), 0.25)
    return stats.trim_mean(values, 0.25, axis=axis)


def stratified_bootstrap_interval(
    values: ArrayLike,
    strata: ArrayLike,
    statistic: Callable[..., np.ndarray | float] = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of `statistic`, resampling within each stratum.

    Each resample draws, for every stratum, as many runs as it holds, with replacement, and takes
    the statistic of all of them together. A stratum of one run cannot be resampled; if there is
    one (a study with a single seed), all values are resampled as one sample instead. The interval
    then measures the spread over strata (agents), not over training runs, and is wider or narrower
    accordingly.

    Values of different strata are taken for independent. Where one training run is behind a value
    in every stratum they are not, and the interval lacks what such a run moves everywhere alike.

    Args:
      values: [n] one value per run, finite.
      strata: [n] the stratum (agent) of each run: integers or strings.
      statistic: vectorised, called as `statistic(x, axis=-1)`; `np.mean` and `np.median` fit.
      confidence: coverage, strictly between 0 and 1.
      resamples: number of bootstrap resamples.
      seed: seed of the resampling, so that the same values give the same interval.

    Returns:
      (low, high); both NaN if there is one value only, since it says nothing of the spread.

    Raises:
      ConfigError: if the two lengths differ, a value is not finite, or an option is impossible.
    """
    x, groups = np.asarray(values, dtype=np.float64), np.asarray(strata)
    _check_samples(x, groups)
    check_bootstrap(confidence, resamples)
    if x.size == 1:
        return float("nan"), float("nan")
    samples = [x[members] for members in members_of_strata(groups)]

    def pooled(*parts: np.ndarray, axis: int = -1) -> np.ndarray | float:
        return statistic(np.concatenate(parts, axis=axis), axis=axis)

    interval = stats.bootstrap(
        samples,
        pooled,
        n_resamples=resamples,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def check_bootstrap(confidence: float, resamples: int) -> None:
    """Refuses a coverage that is not strictly between 0 and 1, and fewer than one resample."""
    if not 0 < confidence < 1:
        refuse("confidence", confidence, "a number strictly between 0 and 1")
    check_at_least("resamples", resamples, 1)


def members_of_strata(groups: np.ndarray) -> list[np.ndarray]:
    """Indices of the members of each stratum; of all as one stratum if some have one member only.

    Args:
      groups: [n] the stratum of each.
    """
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    alone = min(part.size for part in members) == 1
    return [np.arange(groups.size)] if alone else members


def _check_samples(x: np.ndarray, groups: np.ndarray) -> None:
    """Refuses values and strata that do not match one to one, and values that are not finite."""
    if x.ndim != 1 or x.size == 0:
        refuse("values", x.shape, "a flat array of at least one value")
    if groups.shape != x.shape:
        refuse("strata", groups.shape, f"the shape of values, {x.shape}")
    if not np.isfinite(x).all():
        refuse("values", x[~np.isfinite(x)][0].item(), "finite numbers")


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y) + P(X = Y) / 2 for one run of `x` and one of `y` drawn at random.

    This is the Mann-Whitney U statistic over the number of pairs: 0.5 means no difference.

    Args:
      x: values of the first method, any shape, finite.
      y: values of the second method, any shape, finite.

    Returns:
      A number in [0, 1].

    Raises:
      ConfigError: if either is empty or not finite.
    """
    first, second = (np.asarray(v, dtype=np.float64).ravel() for v in (x, y))
    for name, sample in (("x", first), ("y", second)):
        if sample.size == 0 or not np.isfinite(sample).all():
            refuse(name, sample.tolist(), "at least one value, all finite")
    ranks = stats.rankdata(np.concatenate([first, second]))[: first.size]
    wins = ranks.sum() - first.size * (first.size + 1) / 2
    return float(wins / (first.size * second.size))
