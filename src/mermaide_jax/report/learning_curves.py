"""Learning curves: how much of what could be earned is earned after n interactions, and when.

A table of curves has a line for each group (columns of the caller's), ``principal``, ``seed`` and
number of ``interactions``, with what was earned and what could be. Seeds are averaged, intervals
are 95% percentile bootstraps over them:

    ratio(n) = mean over seeds of what is earned after n / mean over seeds of what could be
    need     = the first n at which the ratio is at a level, linear in log(1 + n) between those
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mermaide_jax.report.lines import Level, Line, Panel, line_figure
from mermaide_jax.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    new_figure,
    quiet_grid,
    styled,
)
from mermaide_jax.results.records import Record, table_groups
from mermaide_jax.statistics import Interval, bootstrap_interval, sample_need

__all__ = [
    "Curves",
    "curves_figure",
    "format_curves",
    "need_of",
    "need_ratio",
    "needs_figure",
    "ratio_curves",
    "summarize_curves",
]

_COLORS = (BLUE, SKY, GREEN, ORANGE, PURPLE, INK)
_MARKS = (("o", BLUE), ("s", GREEN), ("^", ORANGE), ("D", PURPLE))


class Curves(NamedTuple):
    """Curves of one principal in one setting.

    Attributes:
      times: the ``C`` numbers of interactions, ascending.
      earned: ``[S, C]``, what each seed earned after as many.
      possible: ``[S, 1]``, what it could have earned.
    """

    times: list[int]
    earned: np.ndarray
    possible: np.ndarray

    @classmethod
    def of(cls, rows: pd.DataFrame, earned: str, possible: str) -> "Curves":
        """Reads them from the lines of a table, whose columns have these names."""
        tables = [rows.pivot_table(x, "seed", "interactions") for x in (earned, possible)]
        return cls(tables[0].columns.to_list(), tables[0].to_numpy(), tables[1].to_numpy()[:, :1])


def _ratio(earned: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """``[..., C]`` of ``[..., S, C]`` and ``[..., S, 1]``."""
    return earned.mean(axis=-2) / possible.mean(axis=-2)


def ratio_curves(curves: Curves) -> list[Record]:
    """Computes the ratio after each number of interactions, with its interval.

    >>> curve = Curves([0, 10], np.asarray([[0.1, 0.5], [0.3, 0.5]]), np.asarray([[0.5], [0.5]]))
    >>> [(line["interactions"], round(line["value"], 3)) for line in ratio_curves(curve)]
    [(0, 0.4), (10, 1.0)]
    """
    one = lambda earned, possible: _ratio(earned, possible)[:, 0]  # noqa: E731
    lines = []
    for i, number in enumerate(curves.times):
        earned = curves.earned[:, [i]]
        found = bootstrap_interval(one, earned, curves.possible, resample="runs")
        gap = float((curves.possible - earned).mean())
        lines.append({"interactions": int(number)} | found._asdict() | {"gap": gap})
    return lines


def need_of(curves: Curves, level: float) -> Interval:
    """Computes how many interactions it takes until the ratio is at a level; infinite if never.

    Args:
      curves: of one principal.
      level: in [0, 1].

    Example:
      >>> curves = Curves([0, 1, 3], np.asarray([[0.0, 0.5, 1.0]] * 2), np.ones((2, 1)))
      >>> slow = curves._replace(earned=curves.earned / 4)
      >>> [round(need_of(own, 0.5).value, 3) for own in (curves, slow)]
      [1.0, inf]
    """
    need = lambda earned, possible: sample_need(_ratio(earned, possible), curves.times, level)  # noqa: E731
    return bootstrap_interval(need, curves.earned, curves.possible, resample="runs")


def summarize_curves(
    table: pd.DataFrame, keys: Sequence[str], earned: str, possible: str, level: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Computes ratios and needs of every group of a table.

    Args:
      table: see the module.
      keys: columns that make a group, principal among them.
      earned: column of what was earned.
      possible: column of what could be.
      level: as of `need_of`.

    Returns:
      Lines of `ratio_curves`, and of `need_of` with ``most``, the most interactions tested after,
      each with the keys.

    Example:
      >>> runs = {"principal": "meta", "seed": [0, 0, 1, 1], "interactions": [0, 1] * 2}
      >>> table = pd.DataFrame(runs | {"payoff": [0.0, 1.0] * 2, "best": 1.0})
      >>> curves, needs = summarize_curves(table, ["principal"], "payoff", "best", 1.0)
      >>> curves["value"].tolist(), needs["value"].round(3).tolist()
      ([0.0, 1.0], [1.0])
    """
    curves, needs = [], []
    for key, rows in table_groups(table, keys):
        about, own = dict(zip(keys, key, strict=True)), Curves.of(rows, earned, possible)
        curves += [about | line for line in ratio_curves(own)]
        needs.append(about | need_of(own, level)._asdict() | {"most": int(own.times[-1])})
    return pd.DataFrame(curves), pd.DataFrame(needs)


def format_curves(curves: pd.DataFrame, needs: pd.DataFrame, keys: Sequence[str]) -> str:
    """Ratios after 0, 1, 10, 100 ... interactions and needs as text, a line for each group.

    Args:
      curves: of `summarize_curves`.
      needs: of the same.
      keys: as given to it.

    Example:
      >>> about = {"principal": "meta", "low": 0.0, "high": 1.0}
      >>> curves = pd.DataFrame(about | {"interactions": [0, 1, 3], "value": [0.0, 0.5, 1.0]})
      >>> print(format_curves(curves, pd.DataFrame([about | {"value": 1.0}]), ["principal"]))
      interactions    0    1            need
      principal
      meta          0.0  0.5  1.0 [0.0, 1.0]
    """
    decades = [0, *(10**power for power in range(10))]
    shown = curves[curves["interactions"].isin(decades)]
    ratios = shown.pivot_table("value", list(keys), "interactions", sort=False).round(3)
    interval = needs.apply(lambda r: f"{r['value']:.1f} [{r['low']:.1f}, {r['high']:.1f}]", axis=1)
    return ratios.assign(need=needs.assign(need=interval).set_index(list(keys))["need"]).to_string()


def need_ratio(own: Curves, other: Curves, level: float, last: int) -> Record:
    """Computes the sample need of one principal over that of another, seeds paired.

    Where the other does not reach the level, ``last`` stands in for its need, so that the ratio is
    an upper bound; where the one does not, there is no ratio.

    Args:
      own: of the one.
      other: of the other.
      level: as of `need_of`.
      last: largest number of interactions that the other was tested after.

    Returns:
      value, low, high, and ``reached``, whether the other reaches the level.

    Example:
      >>> own = Curves([0, 1, 3], np.asarray([[0.0, 0.5, 1.0]] * 2), np.ones((2, 1)))
      >>> never = own._replace(earned=own.earned / 4)
      >>> ratio = need_ratio(own, never, 0.5, last=4)
      >>> round(ratio["value"], 3), ratio["reached"]
      (0.25, False)
    """

    def quotient(earned, possible, other_earned, other_possible):
        below = sample_need(_ratio(other_earned, other_possible), other.times, level)
        return sample_need(_ratio(earned, possible), own.times, level) / np.minimum(below, last)

    found = bootstrap_interval(quotient, *own[1:], *other[1:], resample="runs")
    return found._asdict() | {"reached": bool(np.isfinite(need_of(other, level).value))}


def curves_figure(
    curves: Sequence[Mapping[str, Any]],
    labels: Mapping[str, str],
    ylabel: str,
    level: float | None = None,
    dashed: Sequence[str] = (),
) -> Figure:
    """Draws curves with intervals against interactions, a panel for each principal.

    Args:
      curves: lines of `ratio_curves`, with ``principal`` and ``setting``, the label of a line.
      labels: principal to title, in the order of the panels.
      ylabel: what the values are.
      level: where a dotted line is drawn.
      dashed: settings whose lines are dashed.

    Returns:
      The figure; the bands are intervals, the interactions on a scale of ``log(1 + n)``.

    Example:
      >>> line = {"principal": "mermaide", "setting": "no noise", "low": 0.4, "high": 1.0}
      >>> curves = [line | {"interactions": n, "value": v} for n, v in [(0, 0.5), (9, 0.9)]]
      >>> len(curves_figure(curves, {"mermaide": "MERMAIDE"}, "payoff").axes)
      1
    """
    table = pd.DataFrame(curves).sort_values("interactions", kind="stable")
    settings = list(dict.fromkeys(row["setting"] for row in curves))
    levels = [] if level is None else [Level(level, color=GREY, style=":")]
    ticks, panels = _decades(table.loc[:, "interactions"].max()), []
    for name, title in labels.items():
        own, lines = table[table["principal"] == name], []
        for setting, color in zip(settings, _COLORS, strict=False):
            part, style = own[own["setting"] == setting], "--" if setting in dashed else "-"
            ends = part["value"], part["low"], part["high"]
            lines.append(Line(setting, part["interactions"], *ends, color, style))
        if len(own):
            panels.append(Panel(title, lines, "test interactions", levels, ticks, _LOG1P))
    ylim = (min(0.0, table.loc[:, "value"].min()) - 0.02, 1.02)
    return line_figure([panels], ylabel, (3.3, 3.3), ncols=len(settings), ylim=ylim)


def needs_figure(
    needs: Sequence[Mapping[str, Any]], labels: Mapping[str, str], ylabel: str, xlabel: str
) -> Figure:
    """Draws how many interactions a level takes, by setting.

    Args:
      needs: one record per principal and ``setting`` (in the order of the axis), with ``value``,
        ``low`` and ``high``, infinite if not reached within ``most``, the most interactions tested;
        these are open marks above ``most``.
      labels: principal to label, in order.
      ylabel: what the values are.
      xlabel: what the settings are.

    Example:
      >>> need = {"principal": "meta", "value": 5.0, "low": 4.0, "high": 6.0, "most": 100}
      >>> needs = [need | {"setting": name} for name in ("no noise", "noise")]
      >>> (axes,) = needs_figure(needs, {"meta": "meta-learned"}, "interactions", "readings").axes
      >>> [label.get_text() for label in axes.get_xticklabels()]
      ['no noise', 'noise']
    """
    names = [name for name in labels if any(row["principal"] == name for row in needs)]
    settings = list(dict.fromkeys(row["setting"] for row in needs))
    shifts = 0.18 * (np.arange(len(names)) - (len(names) - 1) / 2)
    most = max(row["most"] for row in needs)
    with styled():
        figure = new_figure(6.4, 3.6)
        axes = figure.subplots()
        for shift, name, marks in zip(shifts, names, _MARKS, strict=False):
            rows = [row for row in needs if row["principal"] == name]
            places = np.asarray([settings.index(row["setting"]) + shift for row in rows])
            _needs(axes, rows, places, labels[name], *marks)
        axes.set_xticks(range(len(settings)), settings)
        axes.set_yscale("function", functions=_LOG1P)
        axes.set_yticks(*_decades(most))
        axes.minorticks_off()
        axes.set(ylim=(0, 3 * most), ylabel=ylabel, xlabel=xlabel)
        quiet_grid(axes, "y")
        axes.legend(fontsize=8, loc="lower right", title="open: not reached", title_fontsize=8)
    return figure


def _needs(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    places: np.ndarray,
    label: str,
    mark: str,
    color: str,
) -> None:
    """The needs of one principal; an open mark was not reached within what was tested."""
    beyond = np.array([1.6 * row["most"] for row in rows])
    values, low, high = (
        np.minimum([row[key] for row in rows], beyond) for key in ("value", "low", "high")
    )
    axes.vlines(places, low, high, color=color, linewidth=1.6)
    reached = np.array([np.isfinite(row["value"]) for row in rows])
    axes.plot(places[reached], values[reached], mark, color=color, label=label)
    axes.plot(places[~reached], values[~reached], mark, color=color, mfc="white")


def _log1p(values: np.ndarray) -> np.ndarray:
    """``log(1 + n)``, also for the margins of an axis below 0."""
    return np.log1p(np.maximum(values, -0.5))


_LOG1P = (_log1p, np.expm1)


def _decades(last: int) -> tuple[list[int], list[str]]:
    """Ticks at 0 and at the powers of ten up to ``last``, and their labels."""
    ticks = [0, *(10**power for power in range(8) if 10**power <= last)]
    return ticks, [f"{tick:,}" for tick in ticks]
