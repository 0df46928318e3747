"""Figure: how the learned principals improved, one column per agent family."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import uniform_filter1d

from mermaide_jax.report.names import (
    family_label,
    in_order,
    learned_principals,
    principal_label,
)
from mermaide_jax.report.style import (
    GREY,
    INK,
    SERIES,
    WASH,
    new_figure,
    quiet_grid,
    spread,
    styled,
)
from mermaide_jax.results.records import Record, checked, grouped
from mermaide_jax.results.schema import CURVE_COLUMNS

_METRICS = {
    "score": "score per episode",
    "interventions": "interventions\nper episode",
    "world_model_log_likelihood": "world model\nlog-likelihood\n(nats per step)",
}


def training_curves_figure(curves: Iterable[Mapping[str, Any]]) -> Figure:
    """Score, interventions and world-model fit against the update, per agent family.

    Lines are means over seeds and bands reach from the lowest to the highest seed; both are
    running means over about 1/40 of the updates, since single batches are noisy. The phase in
    which only the world model learns is shaded.

    Args:
      curves: as in `Results.curves`.

    Returns:
      The figure.

    Raises:
      ConfigError: if there is no curve, or a point lacks a column.
    """
    records = checked("curves", curves, CURVE_COLUMNS)
    families = in_order((point["family"] for point in records), "family")
    band = "; band: lowest to highest seed" if len({p["seed"] for p in records}) > 1 else ""
    with styled():
        figure = new_figure(4.3 * len(families) + 2.4, 7.4)
        panels = figure.subplots(
            len(_METRICS), len(families), squeeze=False, sharex="col", sharey="row",
            height_ratios=(1.35, 1, 1),
        )  # fmt: skip
        for column, family in enumerate(families):
            part = [point for point in records if point["family"] == family]
            for axes, metric in zip(panels[:, column], _METRICS, strict=True):
                _panel(axes, part, metric)
            panels[0, column].set_title(_title(part, family))
            panels[-1, column].set_xlabel(f"update (running mean{band})")
        for axes, label in zip(panels[:, 0], _METRICS.values(), strict=True):
            axes.set_ylabel(label)
        figure.canvas.draw()  # settles the limits, which the labels need
        for axes in panels[:, -1]:
            _label_lines(axes)
    return figure


def _title(points: list[Record], family: str) -> str:
    seeds = len({point["seed"] for point in points})
    return f"{family_label(family)} agents, {seeds} seed{'s' if seeds != 1 else ''}"


def _panel(axes: Axes, points: list[Record], metric: str) -> None:
    """One measure in one family: a line and a band for each principal that has it."""
    colors = dict(zip(learned_principals(), SERIES, strict=False))
    for number, name in enumerate(in_order(point["principal"] for point in points)):
        measured = [p for p in points if p["principal"] == name and p[metric] is not None]
        if not measured:
            continue
        color = colors.get(name, (INK, GREY)[number % 2])
        updates, seeds = _smooth(measured, metric)
        low, high = [min(values) for values in seeds], [max(values) for values in seeds]
        axes.fill_between(updates, low, high, color=color, alpha=0.15, linewidth=0)
        means = [float(np.mean(values)) for values in seeds]
        axes.plot(updates, means, color=color, linewidth=1.8, label=name)
    _shade(axes, points, named=metric == "score")
    quiet_grid(axes, "y")
    axes.margins(x=0)


def _smooth(points: list[Record], metric: str) -> tuple[list[int], list[list[float]]]:
    """For each update the values of the seeds, each a running mean over its own updates."""
    values: dict[int, list[float]] = {}
    for part in grouped(points, ["seed"]).values():
        ordered = sorted(part, key=lambda point: point["update"])
        window = max(1, len(ordered) // 40)
        series = np.array([point[metric] for point in ordered], dtype=float)
        series = uniform_filter1d(series, window, mode="nearest")
        for point, value in zip(ordered, series.tolist(), strict=True):
            values.setdefault(point["update"], []).append(value)
    updates = sorted(values)
    return updates, [values[update] for update in updates]


def _shade(axes: Axes, points: list[Record], named: bool) -> None:
    """Shades the updates in which only the world model learned."""
    alone = [point["update"] for point in points if point["phase"] == "world_model"]
    if not alone:
        return
    later = [point["update"] for point in points if point["update"] > max(alone)]
    axes.axvspan(min(alone), min(later, default=max(alone)), color=WASH, linewidth=0, zorder=0)
    if named:
        axes.annotate(
            "world model alone,\nwhere there is one",
            (min(alone), 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4, -4),
            textcoords="offset points",
            color=GREY,
            fontsize=8,
            va="top",
        )


def _label_lines(axes: Axes) -> None:
    """Names each line at its right end, in its colour, moved apart where they would overlap."""
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height / axes.figure.dpi * 72  # points
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in lines]
    for line, y in zip(lines, spread(ends, 13 * (high - low) / height, low, high), strict=True):
        axes.annotate(
            principal_label(str(line.get_label())),
            (1, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            color=line.get_color(),
            fontsize=9,
            va="center",
            annotation_clip=False,
        )
