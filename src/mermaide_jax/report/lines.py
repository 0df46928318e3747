"""Figures of lines with bands: a grid of panels, each with its lines and levels."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mermaide_jax.report.style import INK, new_figure, quiet_grid, styled

__all__ = ["Level", "Line", "Panel", "draw_line", "line_figure"]


class Line(NamedTuple):
    """One line of a panel.

    Attributes:
      label: for the legend; "" for none.
      x: ``[N]`` places.
      value: ``[N]`` heights.
      low: ``[N]`` lower edge of a band; None: no band.
      high: ``[N]`` its upper edge.
      color: of line and band.
      style: of the line and its marks, such as ``"o--"``.
    """

    label: str
    x: ArrayLike
    value: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    color: str = INK
    style: str = "o-"


class Level(NamedTuple):
    """A horizontal line, which stands for something that does not change along the panel."""

    value: float
    label: str = ""
    color: str = "0.6"
    style: object = "-"


class Panel(NamedTuple):
    """One part of the figure.

    Attributes:
      title: above it.
      lines: what it shows.
      xlabel: below it.
      levels: horizontal lines.
      ticks: places of the ticks and their labels; None: as they come.
      xscale: of the horizontal axis, such as ``"log"``; or a function and its inverse.
    """

    title: str
    lines: Sequence[Line]
    xlabel: str = ""
    levels: Sequence[Level] = ()
    ticks: tuple[Sequence[float], Sequence[str]] | None = None
    xscale: str | tuple[Callable[..., Any], Callable[..., Any]] = "linear"


def line_figure(
    grid: Sequence[Sequence[Panel]],
    ylabel: str,
    size: tuple[float, float] = (3.4, 2.8),
    ncols: int = 3,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draws a grid of panels, with one legend for all of them.

    Args:
      grid: rows of panels, each as long.
      ylabel: what the heights are.
      size: width and height of a panel in inches.
      ncols: columns of the legend.
      ylim: ends of the vertical axes, the same for all; None: as they come.

    >>> panel = Panel("UCB", [Line("MERMAIDE", [0, 1, 5], [3.0, 3.5, 3.6])], xlabel="K")
    >>> [axes.get_title(loc="left") for axes in line_figure([[panel]], "score").axes]
    ['UCB']
    """
    rows, columns = len(grid), len(grid[0])
    with styled():
        figure = new_figure(size[0] * columns + 0.5, size[1] * rows + 0.5)
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes_row, panel_row in zip(panels, grid, strict=True):
            for axes, panel in zip(axes_row, panel_row, strict=True):
                _draw_panel(axes, panel)
            axes_row[0].set_ylabel(ylabel)
        if ylim is not None:
            panels[0, 0].set_ylim(*ylim)
        entries = {
            label: handle
            for axes in figure.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            entries.values(), entries, loc="outside upper center", ncols=ncols, fontsize=8
        )
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for line in panel.lines:
        draw_line(axes, line)
    for level in panel.levels:
        style = {"color": level.color, "linestyle": level.style, "lw": 1, "zorder": 0.5}
        axes.axhline(level.value, label=level.label or None, **style)  # pyright: ignore
    axes.set(title=panel.title, xlabel=panel.xlabel)
    if isinstance(panel.xscale, str):
        axes.set_xscale(panel.xscale)
    else:
        axes.set_xscale("function", functions=panel.xscale)
    if panel.ticks is not None:
        axes.set_xticks(*panel.ticks)
        axes.minorticks_off()
    quiet_grid(axes, "y")


def draw_line(axes: Axes, line: Line) -> None:
    """Draws one line, and its band if it has one.

    Example:
      >>> from mermaide_jax.report.style import new_figure
      >>> axes = new_figure(4.0, 3.0).subplots()
      >>> draw_line(axes, Line("MERMAIDE", [0, 1, 5], [3.0, 3.5, 3.6]))
      >>> axes.lines[0].get_ydata().tolist()
      [3.0, 3.5, 3.6]
    """
    style = {"color": line.color, "ms": 4, "lw": 1.4, "label": line.label or None}
    axes.plot(line.x, line.value, line.style, **style)  # pyright: ignore
    if line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=line.color, alpha=0.15, lw=0)  # pyright: ignore
