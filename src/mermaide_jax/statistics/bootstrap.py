"""The one bootstrap: an interval for any statistic of tables of runs and agents."""

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mermaide_jax.errors import check_at_least, check_choice, refuse

__all__ = ["Interval", "Resample", "Statistic", "bootstrap_interval", "check_table"]

Statistic = Callable[..., np.ndarray]
Resample = Literal["runs", "runs within agents", "agents", "runs and agents"]
"""Which factors are drawn anew."""

_CELLS = 2**22
"""Of resampled tables at a time (32 MB): a table of any size is resampled in bounded memory."""


class Interval(NamedTuple):
    """A number and its bootstrap interval.

    Attributes:
      value: of the data as they are.
      low: lower end; NaN if there is no interval.
      high: upper end.
    """

    value: float
    low: float
    high: float


def bootstrap_interval(
    statistic: Statistic,
    *tables: ArrayLike,
    resample: Resample,
    independent: bool = False,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Computes a statistic of tables of runs, with its percentile bootstrap interval.

    For each resample, runs, agents or both are drawn with replacement, as many as there are, and
    the statistic is taken of the tables ``T*`` that they make of each table ``T``:

        T*[r, n] = T[i_r, n]        "runs"
        T*[r, n] = T[i_rn, n]       "runs within agents"
        T*[r, n] = T[r, j_n]        "agents"
        T*[r, n] = T[i_r, j_n]      "runs and agents": crossed, the pigeonhole bootstrap

    The interval holds the middle `confidence` of the values; its ends are interpolated between
    two of them, or, where some are infinite, the nearest of them.

    Several tables are paired: the same is drawn for all of them, so that what they share cancels
    in a difference or a ratio. If they are ``independent``, runs are drawn for each table by
    itself, as for two methods that were trained apart; agents are the same for all.

    "runs within agents" never draws a run that is missing (NaN). The other modes draw it with its
    run or agent, and the statistic has to leave it out, as those of this package do. An agent with
    one run cannot be resampled within: if there is such a one, all values of the table are drawn
    as one sample. With a single seed the interval is then about agents.

    Args:
      statistic: takes the tables with a leading axis, ``[B, R, N, ...]`` each, and returns
        ``[B]``, a value for each resample. Where it is NaN, for want of a finite value, NumPy does
        not warn.
      tables: ``[R, N, ...]`` each, finite or NaN. "runs" draws along the first axis and leaves the
        others to the statistic, so that ``[R]`` will do.
      resample: which factors are drawn, see `mermaide_jax.statistics`.
      independent: the tables have runs of their own, and maybe other numbers of them.
      confidence: coverage, strictly between 0 and 1.
      resamples: number of resamples, at least 2.
      seed: of the resampling: the same data give the same interval.

    Returns:
      The statistic of the tables and its interval. The interval is NaN where nothing can be
      resampled (a factor that is drawn has a single unit), and where the statistic is NaN in some
      resample.

    Raises:
      ConfigError: if shapes do not fit, paired tables miss different runs, a value is infinite, or
        an option is impossible.

    Sources: `Efron (1979) <https://doi.org/10.1214/aos/1176344552>`_; runs within agents:
    `Agarwal et al. (2021) <https://arxiv.org/abs/2108.13264>`_; crossed factors: `Owen (2007)
    <https://arxiv.org/abs/0712.1111>`_. Drawn by `scipy.stats.bootstrap`.

    >>> import functools
    >>> from mermaide_jax.statistics import interquartile_mean, probability_of_improvement
    >>> scores = np.random.default_rng(0).normal(size=(10, 5)) + np.arange(5)  # 10 runs, 5 agents
    >>> of_all = functools.partial(interquartile_mean, axis=(1, 2))
    >>> found = bootstrap_interval(of_all, scores, resample="runs within agents")
    >>> print("{:.2f} [{:.2f}, {:.2f}]".format(*found))
    2.17 [1.84, 2.53]
    >>> found = bootstrap_interval(of_all, scores, resample="runs and agents")
    >>> print("{:.2f} [{:.2f}, {:.2f}]".format(*found))  # of agents unseen: wider
    2.17 [0.30, 3.70]

    With two methods: see `mermaide_jax.statistics.probability_of_improvement`.
    """
    check_choice("resample", resample, get_args(Resample))
    if not 0 < confidence < 1:
        refuse("confidence", confidence, "a number strictly between 0 and 1")
    check_at_least("resamples", resamples, 2)
    data = [np.asarray(table, np.float64) for table in tables]
    _check_tables(data, resample, independent)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.asarray(statistic(*(table[None] for table in data)))
    if value.shape != (1,):
        refuse("statistic", value.shape, "the shape (1,) for tables with a leading axis of 1")
    samples, places = _samples(data, resample, independent)
    if min(sample.size for sample in samples) < 2:
        return Interval(float(value[0]), np.nan, np.nan)
    of_units = _statistic_of_units(statistic, data, resample, samples, places)
    rng = np.random.default_rng(seed)
    low, high = _percentiles(samples, of_units, confidence, resamples, rng)
    return Interval(float(value[0]), float(low), float(high))


def _percentiles(
    samples: Sequence[np.ndarray],
    of_units: Statistic,
    confidence: float,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Ends of the interval of a statistic of units, each sample of which is drawn by itself."""
    # What is not finite is dealt with below, so that SciPy and NumPy need not warn of it.
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            samples,
            of_units,
            n_resamples=resamples,
            vectorized=True,
            confidence_level=confidence,
            method="percentile",
            rng=rng,
        )
    values = found.bootstrap_distribution
    if np.isnan(values).any():
        return np.nan, np.nan
    if np.isinf(values).any():  # nothing lies between a number and infinity
        tail = (1 - confidence) / 2
        low, high = np.quantile(values, [tail, 1 - tail], method="nearest")
        return low, high
    return found.confidence_interval


def _samples(
    tables: Sequence[np.ndarray], resample: Resample, independent: bool
) -> tuple[list[np.ndarray], list[list[int]]]:
    """Units to draw, a sample for each factor, and for each table which samples are its own."""
    if not independent:
        samples = _factors(tables[0], resample)
        return samples, [list(range(len(samples)))] * len(tables)
    crossed = resample == "runs and agents"
    samples, places = [], []
    for table in tables:
        own = _factors(table, resample)[: 1 if crossed else None]
        places.append(list(range(len(samples), len(samples) + len(own))))
        samples += own
    if crossed:  # runs of their own, with agents that are the same for all
        places = [[*own, len(samples)] for own in places]
        samples.append(np.arange(tables[0].shape[1]))
    return samples, places


def _factors(table: np.ndarray, resample: Resample) -> list[np.ndarray]:
    """Units of each factor of a table: runs, agents, or each agent's cells, agent by agent."""
    if resample == "runs":
        return [np.arange(table.shape[0])]
    if resample == "agents":
        return [np.arange(table.shape[1])]
    if resample == "runs and agents":
        return [np.arange(size) for size in table.shape[:2]]
    there = ~_missing(table).T
    cells = np.arange(there.size).reshape(there.shape)
    strata = [own[met] for own, met in zip(cells, there, strict=True) if met.any()]
    alone = min((own.size for own in strata), default=0) < 2
    return [cells[there]] if alone else strata


def _statistic_of_units(
    statistic: Statistic,
    tables: Sequence[np.ndarray],
    resample: Resample,
    samples: Sequence[np.ndarray],
    places: Sequence[Sequence[int]],
) -> Statistic:
    """The statistic as a function of the units drawn of each sample, ``[B, size]``."""
    at_once = max(1, _CELLS // sum(table.size for table in tables))

    def of_units(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:  # SciPy names the axis
        values = []
        for start in range(0, len(drawn[0]), at_once):
            some = [units[start : start + at_once] for units in drawn]
            taken = [
                _take(table, resample, [samples[i] for i in own], [some[i] for i in own])
                for table, own in zip(tables, places, strict=True)
            ]
            values.append(np.asarray(statistic(*taken), np.float64))
        return np.concatenate(values)

    return of_units


def _take(
    table: np.ndarray, resample: Resample, units: Sequence[np.ndarray], drawn: Sequence[np.ndarray]
) -> np.ndarray:
    """``[B, R, N, ...]`` the tables that the units drawn make."""
    if resample == "runs":
        return table[drawn[0]]
    if resample == "agents":
        return np.moveaxis(table[:, drawn[0]], 1, 0)
    if resample == "runs and agents":
        runs, agents = drawn
        return table[runs[:, :, None], agents[:, None, :]]
    by_agent = np.swapaxes(table, 0, 1)
    cells = by_agent.reshape(-1, *table.shape[2:])
    places = np.concatenate(units)
    taken = cells[np.concatenate(drawn, axis=1)]
    if places.size < len(cells):  # what is missing stays so
        there, taken = taken, np.full((len(taken), *cells.shape), np.nan)
        taken[:, places] = there
    return np.swapaxes(taken.reshape(-1, *by_agent.shape), 1, 2)


def _missing(table: np.ndarray) -> np.ndarray:
    """``[R, N]`` which runs are missing."""
    return np.asarray(np.isnan(table).any(axis=tuple(range(2, table.ndim))))


def check_table(name: str, table: np.ndarray, axes: str = "[R, N]") -> None:
    """Refuses a table that lacks an axis, is empty, or holds an infinite value.

    Example:
      >>> check_table("scores", np.array([[1.0, np.inf]]))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: scores: got ..., expected ...
    """
    if table.ndim < axes.count(",") + 1 or table.size == 0:
        refuse(name, table.shape, f"a table {axes} of at least one value")
    if np.isinf(table).any():
        refuse(name, table[np.isinf(table)][0].item(), "finite numbers, or NaN for a missing run")


def _check_tables(tables: Sequence[np.ndarray], resample: Resample, independent: bool) -> None:
    """Refuses tables that cannot be drawn from, or not together."""
    if not tables:
        refuse("tables", [], "at least one table")
    if independent and resample == "agents":
        refuse("independent", independent, "False where no runs are drawn")
    for table in tables:
        check_table("tables", table, "[R]" if resample == "runs" else "[R, N]")
    drawn_for_all = slice(0, 1 if resample == "runs" else 2)
    if independent:
        drawn_for_all = slice(1, 2 if resample == "runs and agents" else 1)
    for one, other in itertools.pairwise(tables):
        if one.shape[drawn_for_all] != other.shape[drawn_for_all]:
            expected = f"as many {'agents' if independent else 'runs and agents'} in each"
            refuse("tables", (one.shape, other.shape), expected)
        paired = not independent and resample != "runs"
        if paired and (_missing(one) != _missing(other)).any():
            refuse("tables", "different missing runs", "the same in all that are paired")
