"""Figures of curves over numbers of interactions, and of how many a level takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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

__all__ = ["curves_figure", "needs_figure"]

_COLOURS = (BLUE, SKY, GREEN, ORANGE, PURPLE, INK)
_MARKS = (("o", BLUE), ("s", GREEN), ("^", ORANGE), ("D", PURPLE))

Record = Mapping[str, Any]


def curves_figure(
    curves: Sequence[Record],
    labels: Mapping[str, str],
    ylabel: str,
    level: float | None = None,
    dashed: Sequence[str] = (),
) -> Figure:
    """Draws curves with intervals against interactions, a panel for each principal.

    Args:
      curves: one record per principal, ``setting`` (the label of a line) and ``interactions``, with
        ``value``, ``low`` and ``high``.
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
    names = [name for name in labels if any(row["principal"] == name for row in curves)]
    settings = list(dict.fromkeys(row["setting"] for row in curves))
    with styled():
        figure = new_figure(3.3 * len(names) + 0.4, 3.6)
        panels = np.atleast_1d(np.asarray(figure.subplots(1, len(names), sharey=True)))
        for axes, name in zip(panels, names, strict=True):
            for setting, colour in zip(settings, _COLOURS, strict=False):
                rows = [r for r in curves if (r["principal"], r["setting"]) == (name, setting)]
                _band(axes, rows, setting, colour, "--" if setting in dashed else "-")
            if level is not None:
                axes.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
            axes.set_title(labels[name])
            axes.set_xlabel("test interactions")
            axes.set_xscale("function", functions=_LOG1P)
            axes.set_xticks(*_decades(max(row["interactions"] for row in curves)))
            axes.minorticks_off()
            quiet_grid(axes, "y")
        panels[0].set_ylabel(ylabel)
        panels[0].set_ylim(min(0.0, min(r["value"] for r in curves)) - 0.02, 1.02)
        panels[0].legend(fontsize=8, loc="lower right")
    return figure


def needs_figure(
    needs: Sequence[Record], labels: Mapping[str, str], ylabel: str, xlabel: str
) -> Figure:
    """Draws how many interactions a level takes, by setting.

    Args:
      needs: one record per principal and ``setting`` (in the order of the axis), with ``value``,
        ``low`` and ``high``, infinite if not reached within ``most``, the most interactions tested;
        these are open marks above ``most``.
      labels: principal to label, in order.
      ylabel: what the values are.
      xlabel: what the settings are.

    Returns:
      The figure.
    """
    names = [name for name in labels if any(row["principal"] == name for row in needs)]
    settings = list(dict.fromkeys(row["setting"] for row in needs))
    shifts = 0.18 * (np.arange(len(names)) - (len(names) - 1) / 2)
    with styled():
        figure = new_figure(6.4, 3.6)
        axes = figure.subplots()
        for shift, name, marks in zip(shifts, names, _MARKS, strict=False):
            rows = [row for row in needs if row["principal"] == name]
            places = np.asarray([settings.index(row["setting"]) + shift for row in rows])
            _needs(axes, rows, places, labels[name], *marks)
        axes.set_xticks(range(len(settings)), settings)
        axes.set_yscale("function", functions=_LOG1P)
        most = max(row["most"] for row in needs)
        axes.set_yticks(*_decades(most))
        axes.minorticks_off()
        axes.set_ylim(0, 3 * most)
        axes.set_ylabel(ylabel)
        axes.set_xlabel(xlabel)
        quiet_grid(axes, "y")
        axes.legend(fontsize=8, loc="lower right", title="open: not reached", title_fontsize=8)
    return figure


def _band(axes: Axes, rows: Sequence[Record], label: str, colour: str, style: str) -> None:
    """One line with its interval."""
    rows = sorted(rows, key=lambda row: row["interactions"])
    if not rows:
        return
    times = [row["interactions"] for row in rows]
    axes.plot(times, [r["value"] for r in rows], style, color=colour, linewidth=1.4, label=label)
    low, high = ([row[key] for row in rows] for key in ("low", "high"))
    axes.fill_between(times, low, high, color=colour, alpha=0.2, linewidth=0)


def _needs(
    axes: Axes, rows: Sequence[Record], places: np.ndarray, label: str, mark: str, colour: str
) -> None:
    """The needs of one principal; an open mark was not reached within what was tested."""
    beyond = np.array([1.6 * row["most"] for row in rows])
    values, low, high = (
        np.minimum([row[key] for row in rows], beyond) for key in ("value", "low", "high")
    )
    axes.vlines(places, low, high, color=colour, linewidth=1.6)
    reached = np.array([np.isfinite(row["value"]) for row in rows])
    axes.plot(places[reached], values[reached], mark, color=colour, label=label)
    axes.plot(places[~reached], values[~reached], mark, color=colour, mfc="white")


def _log1p(values: np.ndarray) -> np.ndarray:
    """``log(1 + n)``, also for the margins of an axis below 0."""
    return np.log1p(np.maximum(values, -0.5))


_LOG1P = (_log1p, np.expm1)


def _decades(last: int) -> tuple[list[int], list[str]]:
    """Ticks at 0 and at the powers of ten up to ``last``, and their labels."""
    ticks = [0, *(10**power for power in range(8) if 10**power <= last)]
    return ticks, [f"{tick:,}" for tick in ticks]
