"""Figure: score of each principal with its interval, one panel per agent rule."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from mermaide_jax.report.attained import oracles
from mermaide_jax.report.names import (
    family_label,
    in_order,
    is_scripted,
    learned_principals,
    principal_label,
)
from mermaide_jax.report.style import (
    GREY,
    INK,
    PALE,
    SERIES,
    new_figure,
    quiet_grid,
    styled,
)
from mermaide_jax.report.summary import summarize
from mermaide_jax.results.records import Record, checked_rows, frame_records, grouped

_MARKERS = tuple(zip("oDs^v", SERIES, strict=True))
_COLUMNS = (("score", 1.10, ".1f"), ("success_rate", 1.24, ".0%"), ("interventions", 1.36, ".1f"))
_WIDTH, _SPARE = 9.5, 1.05  # inches: of the figure; of each panel above and below its lines
_HEADINGS = {"score": "score", "success_rate": "success", "interventions": "paid/ep."}
SCORE_LABEL = "score per episode (target pulls - cost x interventions)"


def score_figure(rows: Iterable[Mapping[str, Any]]) -> Figure:
    """Score of each principal: interquartile mean and 95% interval, by K, per agent rule.

    Success rate and interventions per episode stand beside each score. Scripted principals do not
    adapt, so they have one grey mark; the upper references are also drawn as dashed lines.
    A score far below all others is marked by an arrow at the edge, so that it does not squeeze
    the rest.

    Args:
      rows: as in `Results.rows`.

    Returns:
      The figure.

    Raises:
      ConfigError: if there is no row, or a row lacks a column.
    """
    records = checked_rows(rows)
    lines = frame_records(summarize(records))
    families = in_order((row["family"] for row in records), "family")
    parts = [[line for line in lines if line["family"] == family] for family in families]
    sizes = [len({line["principal"] for line in part}) for part in parts]
    pitch = max(0.42, 0.17 * len({line["k_shot"] for line in lines}))  # inches for a principal
    heights = [pitch * size + _SPARE for size in sizes]
    with styled():
        figure = new_figure(_WIDTH, sum(heights) + 0.3, constrained=False)
        top = figure.get_figheight()
        for family, part, size, height in zip(families, parts, sizes, heights, strict=True):
            box = (2.45 / _WIDTH, (top - 0.65 - pitch * size) / figure.get_figheight())
            axes = figure.add_axes((*box, 5.0 / _WIDTH, pitch * size / figure.get_figheight()))
            _panel(axes, part)
            axes.set_title(_title([r for r in records if r["family"] == family], family), pad=24)
            top -= height
        figure.axes[-1].set_xlabel(SCORE_LABEL)
    return figure


def _title(rows: list[Record], family: str) -> str:
    """What was measured: family, horizon, agents, seeds."""
    horizons = "/".join(str(horizon) for horizon in sorted({row["horizon"] for row in rows}))
    agents = len(grouped(rows, ("split", "coefficient", "agent")))
    learned = [row for row in rows if not is_scripted(row["principal"])]
    seeds = len({row["seed"] for row in learned or rows})
    return (
        f"{family_label(family)} agents, T = {horizons} steps: {agents} unseen test agents, "
        f"{seeds} seed{'s' if seeds != 1 else ''}"
    )


def _panel(axes: Axes, lines: list[Record]) -> None:
    """One agent rule: a line for each principal, marks for each K."""
    names = in_order(line["principal"] for line in lines)
    shots = sorted({line["k_shot"] for line in lines})
    left = _left_edge([line["score"] for line in lines])
    for position, name in enumerate(names):
        scripted = is_scripted(name)
        own = [line for line in lines if line["principal"] == name]
        for line in own[:1] if scripted else own:
            number = shots.index(line["k_shot"])
            marker, color = ("o", GREY) if scripted else _MARKERS[number % len(_MARKERS)]
            y = position + (0 if scripted else (number - (len(shots) - 1) / 2) * 0.8 / len(shots))
            _mark(axes, line, y, marker, color, left)
            _figures_beside(axes, line, y, color)
    _dress(axes, names)
    _reference(axes, lines, names)
    _legend(axes, shots, not all(map(is_scripted, names)))
    if left is not None:
        axes.set_xlim(left=left)


def _left_edge(scores: list[float]) -> float | None:
    """Where to cut the axis if some score lies far below all others, else None."""
    ordered = sorted(score for score in scores if np.isfinite(score))
    for low, kept in itertools.pairwise(ordered[: len(ordered) // 2 + 1]):
        reach = ordered[-1] - min(kept, 0.0)
        if low < 0 and kept - low > 0.6 * reach:
            return min(kept, 0.0) - 0.12 * reach
    return None


def _figures_beside(axes: Axes, line: Record, y: float, color: str) -> None:
    """Score, success rate and interventions as numbers at the right edge."""
    edge = blended_transform_factory(axes.transAxes, axes.transData)
    for column, x, form in _COLUMNS:
        text = f"{line[column]:{form}}" if np.isfinite(line[column]) else "-"
        axes.text(x, y, text, color=color, fontsize=8.5, ha="right", va="center", transform=edge)


def _mark(
    axes: Axes, line: Mapping[str, Any], y: float, marker: str, color: str, left: float | None
) -> None:
    """A point with its interval, or an arrow at the edge if it lies outside."""
    if left is not None and line["score"] < left:
        edge = blended_transform_factory(axes.transAxes, axes.transData)
        axes.plot([0.012], [y], marker="<", color=color, markersize=6, transform=edge)
        text = f"{line['score']:.1f} (off the scale)"
        axes.text(0.03, y, text, color=color, fontsize=8.5, va="center", transform=edge)
        return
    axes.plot([line["low"], line["high"]], [y, y], color=color, linewidth=2.4, alpha=0.75)
    axes.plot(
        line["score"],
        y,
        marker=marker,
        color=color,
        markersize=5.8 if marker == "o" else 5,
        markeredgecolor="white",
        markeredgewidth=0.5,
    )


def _dress(axes: Axes, names: list[str]) -> None:
    """Labels of the principals, headings of the columns, a line between learned and scripted."""
    labels = [principal_label(name).replace(" (", "\n(") for name in names]
    axes.set_yticks(range(len(names)), labels)
    for name, label in zip(names, axes.get_yticklabels(), strict=True):
        label.set_color(GREY if is_scripted(name) else INK)
        label.set_fontweight("bold" if name == learned_principals()[0] else "normal")
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    quiet_grid(axes)
    axes.axvline(0, color=PALE, linewidth=1.2, zorder=0.4)
    for column, x, _ in _COLUMNS:
        text = _HEADINGS[column]
        axes.text(
            x, _above(axes, 0.09), text,
            transform=axes.transAxes, ha="right", color=GREY, fontsize=8.5,
        )  # fmt: skip
    learned = sum(not is_scripted(name) for name in names)
    if 0 < learned < len(names):
        axes.axhline(learned - 0.5, color=GREY, linewidth=0.6, linestyle=(0, (1, 2)))


def _reference(axes: Axes, lines: list[Record], names: list[str]) -> None:
    """The dashed lines of the upper references, named beside their marks."""
    for name in oracles():
        own = [line for line in lines if line["principal"] == name]
        if not own:
            continue
        score = own[0]["score"]
        axes.axvline(score, color=GREY, linewidth=1, linestyle="--", zorder=0.5)
        axes.annotate(
            "upper reference",
            (score, names.index(name)),
            xytext=(-9, 0),
            textcoords="offset points",
            color=GREY,
            fontsize=8.5,
            ha="right",
            va="center",
        )


def _legend(axes: Axes, shots: list[int], learned: bool) -> None:
    """The marks of each K, named in their colour above the panel."""
    x = 0.0
    for number, shot in enumerate(shots if learned else []):
        marker, color = _MARKERS[number % len(_MARKERS)]
        axes.plot(
            [x + 0.008],
            [_above(axes, 0.155)],
            marker,
            color=color,
            transform=axes.transAxes,
            clip_on=False,
            markersize=6,
        )
        axes.text(
            x + 0.022,
            _above(axes, 0.09),
            f"{shot}-shot",
            transform=axes.transAxes,
            color=color,
            fontsize=9,
            fontweight="bold",
        )
        x += 0.135
    # The headings of the columns stand to the right.
    note = "point: interquartile mean, bar: 95% interval" if learned and len(shots) < 4 else ""
    y = _above(axes, 0.09)
    axes.text(x + 0.005, y, note, transform=axes.transAxes, color=GREY, fontsize=8.5)


def _above(axes: Axes, inches: float) -> float:
    """So far above the panel, in units of its height."""
    return 1 + inches / (axes.get_position().height * axes.figure.get_figheight())  # type: ignore[union-attr]
