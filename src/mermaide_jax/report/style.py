"""The look of all figures: colours that colour-blind readers tell apart, quiet axes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

# Okabe and Ito's palette
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY)
"""Colours of lines that are drawn together, in order."""
INK, GREY, PALE, WASH = "#222222", "#767676", "#C9C9C9", "#F2F2F2"

STYLE: dict[str, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9.5,
}
DPI = 150
COLOURS = 96
"""Of a figure on disk: enough for smooth edges of a dozen hues."""


def new_figure(width: float, height: float, constrained: bool = True) -> Figure:
    """Makes an empty figure, sized in inches, with a canvas of its own and no global state.

    Example:
      >>> new_figure(4.0, 3.0).get_size_inches().tolist()
      [4.0, 3.0]
    """
    layout = "constrained" if constrained else None
    figure = Figure(figsize=(width, height), layout=layout, dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def styled() -> Any:
    """Enters a context in which figures are made and written in our style.

    Example:
      >>> with styled():
      ...     figure = new_figure(4.0, 3.0)
    """
    return matplotlib.rc_context(STYLE)  # pyright: ignore[reportArgumentType]


def save_png(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG of few colours, a third of the size; equal figures, equal files.

    Example:
      >>> import pathlib, tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "figure.png"
      >>> save_png(new_figure(1.0, 1.0), path)
      >>> path.read_bytes()[1:4]
      b'PNG'
    """
    with styled():
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    with Image.open(drawn) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, format="png", optimize=True, dpi=(DPI, DPI))


def quiet_grid(axes: Axes, axis: str = "x") -> None:
    """Draws pale lines behind the marks, along one axis.

    Example:
      >>> axes = new_figure(4.0, 3.0).subplots()
      >>> quiet_grid(axes, "y")
    """
    axes.grid(axis=axis, color=PALE, linewidth=0.6, alpha=0.7)  # pyright: ignore[reportArgumentType]
    axes.set_axisbelow(True)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves labels apart so that neighbours are at least `gap` from each other, order kept.

    Args:
      positions: where the labels would like to be.
      gap: the least distance.
      low: lower limit; labels are shifted up as a whole to keep it.
      high: upper limit; labels are shifted down as a whole to keep it, if there is room.

    Returns:
      New positions, in the order given.

    Example:
      >>> spread([1.0, 1.1], gap=1.0, low=0.0, high=5.0)
      [0.5..., 1.5...]
    """
    wanted = np.asarray(positions, dtype=float)
    if wanted.size == 0:
        return []
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(wanted.size)
    placed = np.maximum.accumulate(wanted[order] - steps) + steps
    placed -= placed.mean() - wanted.mean()
    placed -= max(placed[-1] - high, 0.0)
    placed += max(low - placed[0], 0.0)
    result = np.empty_like(wanted)
    result[order] = placed
    return result.tolist()


def interval_marks(
    axes: Axes,
    places: ArrayLike,
    value: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    color: str,
    *,
    marker: str = "o",
    label: str | None = None,
    vertical: bool = False,
) -> None:
    """Draws points with their intervals as bars; what is NaN or None is left out.

    Args:
      axes: where.
      places: ``[N]`` along the axis of what is compared.
      value: ``[N]``.
      low: ``[N]`` lower ends.
      high: ``[N]`` upper ends.
      color: of all of them.
      marker: of the points.
      label: for the legend.
      vertical: whether values run upwards; else to the right.

    Example:
      >>> axes = new_figure(4.0, 3.0).subplots()
      >>> interval_marks(axes, [0, 1], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5], "black")
    """
    at, point, start, end = (np.asarray(x, dtype=float) for x in (places, value, low, high))
    bars = axes.vlines if vertical else axes.hlines
    bars(at, start, end, color=color, lw=2, alpha=0.6)
    where = (at, point) if vertical else (point, at)
    axes.plot(*where, marker, color=color, ms=4.5, label=label)
