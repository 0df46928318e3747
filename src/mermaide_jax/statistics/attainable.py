"""The share of the attainable: where a score lies between the best script and an oracle."""

import functools

import numpy as np
from numpy.typing import ArrayLike

from mermaide_jax.errors import refuse
from mermaide_jax.statistics.aggregates import interquartile_mean
from mermaide_jax.statistics.bootstrap import (
    Interval,
    Resample,
    Statistic,
    bootstrap_interval,
    check_table,
)

__all__ = ["attainable_share"]


def attainable_share(
    scores: ArrayLike,
    best_scripted: ArrayLike,
    oracle: ArrayLike,
    resample: Resample = "runs within agents",
    statistic: Statistic = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Measures how much of what an oracle adds to the best script a principal attains.

        share = (S(score) - S(best scripted)) / (S(oracle) - S(best scripted))

    with ``S`` the statistic over runs and agents: a ratio of aggregates, never a mean of ratios.
    The same cells are drawn for all three tables, so that what makes a run easy for everyone
    cancels.

    Args:
      scores: ``[R, N]`` the principal's, of each run with each agent; NaN where a run is missing.
      best_scripted: the same of the best scripted principal, or one number.
      oracle: the same of the oracle, or one number.
      resample: which factors are drawn, see `bootstrap_interval`.
      statistic: reduces the axes it is told: ``statistic(x, axis=(1, 2))``.
      confidence: coverage, strictly between 0 and 1.
      resamples: number of bootstrap resamples, at least 2.
      seed: of the resampling.

    Returns:
      The share, 0 at the best script and 1 at the oracle, with its interval. The interval is NaN
      for a single run with a single agent, and where the oracle is not above the best script in
      some resample: then nothing bounds the ratio.

    Raises:
      ConfigError: if shapes differ, a value is infinite, an option is impossible, or the oracle is
        not above the best scripted principal.

    >>> attainable_share([[1.0, 2.0], [3.0, 2.0]], 0.0, 4.0).value
    0.5
    """
    own = np.asarray(scores, np.float64)
    named = {"scores": own}
    for name, given in (("best_scripted", best_scripted), ("oracle", oracle)):
        named[name] = np.asarray(given, np.float64)
        if named[name].ndim == 0:  # one number for every run that is there
            named[name] = np.where(np.isnan(own), np.nan, named[name])
        if named[name].shape != own.shape:
            refuse(name, named[name].shape, f"one number or the shape of scores, {own.shape}")
    for name, table in named.items():
        check_table(name, table)
    of_all = functools.partial(statistic, axis=(1, 2))
    base, top = (float(of_all(named[name][None])[0]) for name in ("best_scripted", "oracle"))
    if not top > base:
        refuse("oracle", top, f"more than the best scripted principal's {base:g}")

    def share(*tables: np.ndarray) -> np.ndarray:
        own, base, top = map(of_all, tables)
        return np.where(top > base, (own - base) / (top - base), np.nan)

    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    return bootstrap_interval(share, *named.values(), resample=resample, **options)
