"""Figures of the benchmark: how cost grows with size, and where the work lies under the roof."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.report.roofline import Roofline, make_roofline
from benchmarks.suites.scaling import AXES
from mermaide_jax.report.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SERIES,
    new_figure,
    quiet_grid,
    save_png,
    styled,
)


def writers(results: dict[str, Any]) -> dict[str, Callable[[Path], None]]:
    """File name to a function that draws it, for those figures whose suites were run."""
    found: dict[str, Callable[[Path], None]] = {}
    cases = [case for case in results["cases"] if case["name"] in AXES and _lines(case)]
    if cases:
        found["scaling.png"] = lambda path: _draw_scaling(path, cases)
    roof = make_roofline(results)
    if roof is not None:
        found["roofline.png"] = lambda path: _draw_roofline(path, roof)
    return found


def _lines(case: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Series to its points ``(size, nanoseconds per unit)``."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for entry in case["contenders"]:
        if "summary" in entry and entry["at"] is not None:
            point = (entry["at"], 1e9 / entry["summary"]["rate"])
            lines.setdefault(entry["series"], []).append(point)
    return lines


def _draw_scaling(path: Path, cases: list[dict[str, Any]]) -> None:
    columns = min(3, len(cases))
    rows = -(-len(cases) // columns)
    with styled():
        figure = new_figure(3.6 * columns, 3.0 * rows)
        for number, case in enumerate(cases):
            axes = figure.add_subplot(rows, columns, number + 1)
            _draw_lines(axes, case)
        save_png(figure, path)


def _draw_lines(axes: Axes, case: dict[str, Any]) -> None:
    for colour, (name, points) in zip(SERIES, _lines(case).items(), strict=False):
        sizes, costs = zip(*sorted(points), strict=True)
        axes.plot(sizes, costs, "o-", color=colour, label=name, markersize=4, linewidth=1.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    every = [point for points in _lines(case).values() for point in points]
    sizes = sorted({size for size, _ in every})
    axes.set_xticks(sizes, [_short(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    # At least a decade high, so that what is nearly flat looks so; room on top for the legend.
    low, high = min(cost for _, cost in every), max(cost for _, cost in every)
    middle = (low * high) ** 0.5
    axes.set_ylim(min(low / 1.6, middle / 4), max(high * 2.5, middle * 6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.set_xlabel(AXES[case["name"]])
    axes.set_ylabel(f"ns per {case['unit'][:-1]}")
    axes.set_title(f"Cost against {AXES[case['name']]}")
    quiet_grid(axes, "both")
    axes.legend(fontsize=8, loc="upper left")


def _short(value: float) -> str:
    """10000 as 10k."""
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"


def _draw_roofline(path: Path, roof: Roofline) -> None:
    low = min(*(point.intensity for point in roof.points), roof.ridge) / 8
    high = max(*(point.intensity for point in roof.points), roof.ridge) * 300
    slowest = min(point.flops_per_second for point in roof.points) / 1e9
    with styled():
        figure = new_figure(6.8, 4.2)
        axes = figure.add_subplot()
        edges = [low, roof.ridge, high]
        ceiling = [min(x * roof.bytes_per_second, roof.flops_per_second) for x in edges]
        axes.plot(edges, [value / 1e9 for value in ceiling], color=INK, linewidth=1.5)
        axes.annotate(
            f"matrix products, {roof.flops_per_second / 1e9:.0f} GFLOP/s",
            (high, roof.flops_per_second / 1e9), (-4, 5), textcoords="offset points",
            ha="right", color=GREY,
        )  # fmt: skip
        axes.annotate(
            f"memory, {roof.bytes_per_second / 1e9:.0f} GB/s",
            (roof.ridge / 3, roof.flops_per_second / 3e9), (8, 0), textcoords="offset points",
            va="top", color=GREY,
        )  # fmt: skip
        for point in roof.points:
            # Both kinds of work lie about as far to the right: labels on either side.
            left = point.work == "meta-step"
            rate, colour = point.flops_per_second / 1e9, ORANGE if left else BLUE
            axes.plot(point.intensity, rate, "o", color=colour, markersize=6)
            axes.annotate(
                f"{point.work}: {point.name}", (point.intensity, rate), (-7 if left else 7, -3),
                textcoords="offset points", color=colour, fontsize=8.5,
                ha="right" if left else "left",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(min(slowest / 2, roof.flops_per_second / 1e11), roof.flops_per_second / 4e8)
        axes.set_xlabel("operations per byte that must pass between memory and processor")
        axes.set_ylabel("G operations/s, one thread")
        axes.set_title("Work done against what the machine allows")
        quiet_grid(axes, "both")
        save_png(figure, path)
