"""Variants beside a base: paired differences with intervals over training runs, and the figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mermaide_jax.errors import refuse
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import BLUE, GREY, ORANGE, new_figure, quiet_grid, styled
from mermaide_jax.results.records import Record, checked_rows, grouped, score_tables
from mermaide_jax.statistics import bootstrap_interval, interquartile_mean

__all__ = ["DIFFERENCE", "ablation_figure", "format_ablations", "paired_differences"]

DIFFERENCE = ("difference", "difference_low", "difference_high")
"""Columns of a difference and its interval."""

_MARKS = (("o", BLUE), ("D", ORANGE))
_MEASURES = {
    "score": ("score", "low", "high"),
    "share of the attainable": ("attained", "attained_low", "attained_high"),
}
_LEAST_SPAN = 0.3
"""Of a horizontal axis: this much of the base's score, or of what is attainable."""
_LINE, _SPARE = 0.3, 0.8  # inches: of a variant; of each panel above and below its variants


def paired_differences(
    rows: Iterable[Mapping[str, Any]],
    reference: Iterable[Mapping[str, Any]],
    principal: str = "mermaide",
    by: Sequence[str] = ("family", "k_shot"),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Record]:
    """Computes how much more one principal scores in a study than in another, group by group.

        D = IQM over seeds and agents of S - IQM over the same seeds and agents of S'

    The interval is the percentile bootstrap over training runs: seeds are drawn, the same for both
    studies and for all agents, since a run is one principal, however many agents it meets.

    Args:
      rows: of the one study, as in `Results.rows`.
      reference: of the other.
      principal: who is compared.
      by: columns that make a group.
      confidence: coverage of the interval.
      resamples: bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      One record per group: the columns `by`, difference, low, high (NaN with a single seed), seeds.

    Raises:
      ConfigError: if a row lacks a column, or a group has no seed with the same agents in both, or
        one seed twice with an agent.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"principal": "mermaide"}
      >>> rows = [row | {"seed": s, "agent": n, "score": 1.0 + n} for s in (0, 1) for n in (0, 1)]
      >>> more = [row | {"score": row["score"] + 2.0} for row in rows]
      >>> [line["difference"] for line in paired_differences(more, rows)]
      [2.0]
    """
    sides = [
        grouped([row for row in checked_rows(side) if row["principal"] == principal], by)
        for side in (rows, reference)
    ]
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    found = []
    for group in sides[0]:
        own, base = _complete_runs([side.get(group, []) for side in sides])
        gain = bootstrap_interval(_difference, own, base, resample="runs", **options)
        line = dict(zip(by, group, strict=True)) | {"difference": gain.value}
        found.append(line | {"low": gain.low, "high": gain.high, "seeds": len(own)})
    return found


def _complete_runs(sides: list[list[Record]]) -> np.ndarray:
    """Scores ``[2, R, N]`` of both, of the seeds that met every agent in both."""
    tables = score_tables(sides)
    complete = ~np.isnan(tables).any(axis=(0, 2))
    if not complete.any():
        refuse("rows", "no seed that met the same agents", "the same seeds and agents in both")
    return tables[:, complete]


def _difference(own: np.ndarray, base: np.ndarray) -> np.ndarray:
    """``[B]`` of scores ``[B, R, N]``: by how much the interquartile means differ."""
    return interquartile_mean(own, axis=(1, 2)) - interquartile_mean(base, axis=(1, 2))


def format_ablations(records: Iterable[Mapping[str, Any]]) -> str:
    """Formats the table as text, one line for each record.

    Args:
      records: as for `ablation_figure`, with the columns `DIFFERENCE`, run (``"base"``: the base
        itself), against, success_rate and interventions.

    Example:
      >>> record = {"group": "base", "variant": "all", "run": "base", "family": "ucb", "k_shot": 0}
      >>> record |= dict.fromkeys(DIFFERENCE, np.nan) | {"against": "-", "success_rate": 0.5}
      >>> record |= {"score": 1.5, "low": 1.0, "high": 2.0, "interventions": 3.0}
      >>> record |= {"attained": 0.4, "attained_low": np.nan, "attained_high": np.nan}
      >>> " ".join(format_ablations([record]).splitlines()[1].split())
      'base all (base) UCB 0 1.50 [1.00, 2.00] - - 50.0% 3.0 40%'
    """
    lines = [
        {
            "group": record["group"],
            "variant": record["variant"] + (" (base)" if record["run"] == "base" else ""),
            "family": family_label(record["family"]),
            "K": record["k_shot"],
            "score": _interval(record, _MEASURES["score"], ".2f"),
            "difference": _interval(record, DIFFERENCE, "+.2f"),
            "against": record["against"],
            "success": f"{record['success_rate']:.1%}",
            "paid": f"{record['interventions']:.1f}",
            "attained": _interval(record, _MEASURES["share of the attainable"], ".0%"),
        }
        for record in records
    ]
    return pd.DataFrame(lines).to_string(index=False)


def _interval(record: Mapping[str, Any], names: tuple[str, ...], form: str) -> str:
    value, low, high = (record[name] for name in names)
    if not np.isfinite(value):
        return "-"
    return (
        f"{value:{form}} [{low:{form}}, {high:{form}}]" if np.isfinite(low) else f"{value:{form}}"
    )


def ablation_figure(records: Sequence[Record], titles: Mapping[str, str]) -> Figure:
    """Draws a panel for each group and family: every variant with its interval, by K.

    Panels show the score; the share of the attainable where some variant plays another game than
    the base, whose scores have another scale. Dotted lines: the base.

    Args:
      records: group, variant, family, k_shot, same_game, and the two measures with their ends; the
        group ``"base"`` is the base.
      titles: of the groups to draw, in their order.

    Example:
      >>> line = {"variant": "wide", "family": "ucb", "k_shot": 0, "same_game": True}
      >>> line |= {"score": 1.5, "low": 1.0, "high": 2.0}
      >>> records = [line | {"group": group} for group in ("base", "width")]
      >>> [axes.get_xlabel() for axes in ablation_figure(records, {"width": "Width"}).axes]
      ['score']
    """
    base = [record for record in records if record["group"] == "base"]
    families = list(dict.fromkeys(record["family"] for record in base))
    groups = [[record for record in records if record["group"] == name] for name in titles]
    heights = [_LINE * len({r["variant"] for r in group}) + _SPARE for group in groups]
    with styled():
        figure = new_figure(4.2 * len(families) + 2.2, sum(heights) + 0.5)
        panels = figure.subplots(
            len(groups), len(families), squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for row, title, group in zip(panels, titles.values(), groups, strict=True):
            for axes, family in zip(row, families, strict=True):
                own = [record for record in group if record["family"] == family]
                reference = [record for record in base if record["family"] == family]
                measure = "score" if all(r["same_game"] for r in group) else "share"
                _panel(axes, own, reference, measure)
                label = family_label(family)
                axes.set_title(f"{title}: {label}" if axes is row[0] else label, fontsize=10)
            for axes in row[1:]:
                axes.tick_params(labelleft=False)
        _legend(figure, sorted({record["k_shot"] for record in base}))
    return figure


def _panel(axes: Axes, lines: list[Record], base: list[Record], measure: str) -> None:
    """One group and family: a line for each variant, marks for each K."""
    label = next(name for name in _MEASURES if name.startswith(measure))
    value, low, high = _MEASURES[label]
    names = list(dict.fromkeys(line["variant"] for line in lines))
    shots = sorted({line["k_shot"] for line in base})
    for line in [*base, *lines]:
        number = shots.index(line["k_shot"])
        marker, color = _MARKS[number % len(_MARKS)]
        if line["group"] == "base":
            axes.axvline(line[value], color=color, linewidth=1, linestyle=":", zorder=0.5)
            continue
        y = names.index(line["variant"]) + (number - (len(shots) - 1) / 2) * 0.5 / len(shots)
        axes.plot([line[low], line[high]], [y, y], color=color, linewidth=2, alpha=0.7)
        axes.plot(line[value], y, marker, color=color, markersize=5)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    unit = max(abs(line[value]) for line in base) if measure == "score" else 1.0
    _widen(axes, _LEAST_SPAN * unit)
    axes.locator_params(axis="x", nbins=6)
    quiet_grid(axes)


def _widen(axes: Axes, span: float) -> None:
    """Makes the horizontal axis span at least this much: what is alike shall look alike."""
    low, high = axes.get_xlim()
    spare = max(0.0, span - (high - low)) / 2
    axes.set_xlim(low - spare, high + spare)


def _legend(figure: Figure, shots: list[int]) -> None:
    """The marks of each K, and what lines and bars mean."""
    marks = [
        Line2D([], [], marker=marker, color=color, linewidth=2, label=f"{shot}-shot")
        for shot, (marker, color) in zip(shots, _MARKS * len(shots), strict=False)
    ]
    line = Line2D([], [], color=GREY, linestyle=":", label="base")
    note = Line2D([], [], linestyle="", label="point: interquartile mean, bar: 95% interval")
    handles = [*marks, line, note]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=9)
