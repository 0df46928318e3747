"""Aggregates of values, some of which may be missing: means, probability of improvement."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mermaide_jax.errors import refuse

__all__ = ["interquartile_mean", "mean", "probability_of_improvement"]

Axis = int | tuple[int, ...] | None


def mean(x: ArrayLike, axis: Axis = None) -> np.ndarray:
    """Averages the values that are there.

    Args:
      x: values, any shape; NaN where one is missing.
      axis: the axis or axes to reduce; None reduces all of them.

    Returns:
      float64, the shape of `x` without `axis`; NaN where every value is missing.

    Raises:
      ConfigError: if `x` is empty.

    >>> float(mean([[1.0, 2.0], [6.0, float("nan")]]))
    3.0
    """
    values = _along(x, axis)
    there = ~np.isnan(values)
    if there.all():
        return np.mean(values, axis=-1)
    return _ratio(np.sum(values, axis=-1, where=there), there.sum(axis=-1))


def interquartile_mean(x: ArrayLike, axis: Axis = None) -> np.ndarray:
    """Averages the middle half: of n values, the `floor(n / 4)` at either end are dropped.

        IQM = mean of x_(k+1), ..., x_(n-k),   k = floor(n / 4),   x_(1) <= ... <= x_(n)

    Args:
      x: values, any shape; NaN where one is missing.
      axis: the axis or axes to reduce; None reduces all of them.

    Returns:
      float64, the shape of `x` without `axis`; NaN where every value is missing.

    Raises:
      ConfigError: if `x` is empty.

    Source: `Agarwal et al. (2021) <https://arxiv.org/abs/2108.13264>`_, section 4.3.

    >>> float(interquartile_mean([1.0, 2.0, 3.0, 1e9]))
    2.5
    """
    values = _along(x, axis)
    there = ~np.isnan(values)
    if there.all():
        return stats.trim_mean(values, 0.25, axis=-1)
    number = there.sum(axis=-1, keepdims=True)
    place = np.arange(values.shape[-1])
    middle = (place >= number // 4) & (place < number - number // 4)
    # Sorting puts what is missing last, behind the middle half.
    return _ratio(np.sum(np.sort(values, axis=-1), axis=-1, where=middle), middle.sum(axis=-1))


def probability_of_improvement(x: ArrayLike, y: ArrayLike, axis: int | None = None) -> np.ndarray:
    """Counts how often a run of one method scores above a run of another.

        P(X > Y) + P(X = Y) / 2

    over all pairs of a value of `x` and one of `y`: the Mann-Whitney U statistic over the number
    of pairs. 0.5 means no difference.

    Args:
      x: values of the first method, such as ``[R, N]``; NaN where a run is missing.
      y: values of the second method, such as ``[R', N]``.
      axis: the axis of the runs, the only one whose length may differ. None takes all the values
        of either method for its runs.

    Returns:
      float64 in [0, 1], the shape of `x` without `axis`, such as ``[N]``; NaN where no pair is
      left. The mean over agents is the average probability of improvement.

    Raises:
      ConfigError: if `x` or `y` is empty, or their shapes do not fit.

    Source: `Agarwal et al. (2021) <https://arxiv.org/abs/2108.13264>`_, section 4.3.

    >>> float(probability_of_improvement([3.0, 1.0], [2.0, 1.0]))
    0.625

    Of two methods that were trained apart and tested on the same agents, with its interval:

    >>> from mermaide_jax.statistics import bootstrap_interval
    >>> scores = np.random.default_rng(0).normal(size=(10, 5)) + np.arange(5)  # 10 runs, 5 agents
    >>> improves = lambda x, y: probability_of_improvement(x, y, axis=1).mean(axis=1)
    >>> others = scores[:8] - 1.0
    >>> found = bootstrap_interval(improves, scores, others, resample="runs", independent=True)
    >>> print("{:.2f} [{:.2f}, {:.2f}]".format(*found))
    0.85 [0.75, 0.94]
    """
    first, second = (_along(values, axis, name) for name, values in (("x", x), ("y", y)))
    if first.shape[:-1] != second.shape[:-1]:
        refuse("y", np.shape(y), f"the shape of x, {np.shape(x)}, but for the axis of runs")
    points = np.zeros(first.shape[:-1])
    for one in np.moveaxis(second, -1, 0)[..., None]:  # all pairs at once could fill the memory
        points += np.sum(first > one, axis=-1) + 0.5 * np.sum(first == one, axis=-1)
    pairs = [np.sum(~np.isnan(values), axis=-1) for values in (first, second)]
    return _ratio(points, pairs[0] * pairs[1])


def _along(x: ArrayLike, axis: Axis, name: str = "x") -> np.ndarray:
    """The values along `axis` as the last axis, in one if there are several."""
    values = np.asarray(x, np.float64)
    if values.size == 0:
        refuse(name, [], "at least one value")
    if axis is None:
        return values.ravel()
    # In the order of memory, in which joining axes copies nothing.
    axes = sorted(np.atleast_1d(axis), key=lambda number: -abs(values.strides[number]))
    last = np.moveaxis(values, axes, range(-len(axes), 0))
    return last.reshape(*last.shape[: -len(axes)], -1)


def _ratio(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The total over its number, NaN where there is none."""
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)[()]
