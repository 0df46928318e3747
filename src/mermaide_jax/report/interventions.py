"""How often each principal pays, and what a payment brings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mermaide_jax.report.names import (
    family_label,
    in_order,
    is_learned,
    principal_label,
)
from mermaide_jax.report.style import GREY, SERIES, new_figure, quiet_grid, styled
from mermaide_jax.results.records import STRATUM, Record, checked_rows, grouped
from mermaide_jax.results.schema import to_plain
from mermaide_jax.statistics import bootstrap_interval

__all__ = ["intervention_records", "interventions_figure"]

_IDLE = "never"
_NOTE: dict[str, Any] = {"color": GREY, "fontsize": 8.5, "ha": "right", "va": "center"}
_AXES = ("interventions per episode", "target pulls gained per intervention")


def intervention_records(
    rows: Iterable[Mapping[str, Any]],
    by: Sequence[str] = ("family", "k_shot"),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Record]:
    """Measures how often each principal pays, and how many pulls of the target that brings.

        pulls per payment = mean (H - H_never) / mean m

    over runs (agents x seeds), with ``H`` pulls of the target and ``m`` interventions an episode,
    and ``H_never`` those of the principal ``never`` with the same agent. A payment of cost ``c``
    earns more than it costs if it brings more than ``c`` pulls. The intervals are bootstraps over
    training runs (seeds), the same for all agents.

    Args:
      rows: as in `Results.rows`.
      by: columns that make a group.
      confidence: coverage of the interval.
      resamples: bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      One record per group and principal: the columns `by`, principal, and interventions,
      target_pulls and pulls_per_payment, each with ``_low`` and ``_high`` beside it. None where
      nothing was measured: intervals of a single seed, and pulls per payment of one that never
      pays, or in a group without ``never``.

    Raises:
      ConfigError: if there is no row, a row lacks a column, or an option is impossible.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"horizon": 10}
      >>> rows = [
      ...     row | {"principal": "never", "success_rate": 0.1},
      ...     row | {"principal": "always", "success_rate": 0.6, "interventions": 10.0},
      ... ]
      >>> intervention_records(rows)[-1]["interventions"]
      10.0
    """
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    found = []
    for group, part in grouped(checked_rows(rows), by).items():
        idle = _pulls_of_idle(part)
        for (name,), own in grouped(part, ["principal"]).items():
            runs = _by_run(own, idle)  # [S, 3]
            line = dict(zip(by, group, strict=True)) | {"principal": name}
            for measure, of_runs in _MEASURES.items():
                estimate = bootstrap_interval(of_runs, runs, resample="runs", **options)
                line[measure] = estimate.value
                line |= {f"{measure}_low": estimate.low, f"{measure}_high": estimate.high}
            found.append(line)
    return to_plain(found)


def _pulls_of_idle(rows: list[Record]) -> dict[tuple[Any, ...], float]:
    """For each agent the pulls of its target where nobody pays."""
    idle = [row for row in rows if row["principal"] == _IDLE]
    agents = grouped(idle, STRATUM)
    return {agent: float(np.mean(_pulls(own))) for agent, own in agents.items()}


def _pulls(rows: list[Record]) -> np.ndarray:
    """Pulls of the target in an episode, NaN where they were not measured."""
    return _column(rows, "success_rate") * _column(rows, "horizon")


def _column(rows: list[Record], name: str) -> np.ndarray:
    return np.asarray([row[name] for row in rows], dtype=float)


def _by_run(rows: list[Record], idle: Mapping[tuple[Any, ...], float]) -> np.ndarray:
    """``[S, 3]``: for each seed the mean payments, pulls, and pulls more than those of idle."""
    means = []
    for own in grouped(rows, ["seed"]).values():
        agents = [tuple(row[key] for key in STRATUM) for row in own]
        paid, pulls = _column(own, "interventions"), _pulls(own)
        more = pulls - [idle.get(agent, np.nan) for agent in agents]
        means.append((np.mean(paid), np.mean(pulls), np.mean(more)))
    return np.asarray(means)


def _pulls_per_payment(runs: np.ndarray) -> np.ndarray:
    """``[B]`` of payments, pulls and pulls more ``[B, S, 3]``; NaN where nothing was paid."""
    paid, _, more = runs.mean(axis=1).T
    return np.where(paid > 0, more / paid, np.nan)


_MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "interventions": lambda runs: runs.mean(axis=1)[:, 0],
    "target_pulls": lambda runs: runs.mean(axis=1)[:, 1],
    "pulls_per_payment": _pulls_per_payment,
}


def interventions_figure(records: Iterable[Record], cost: float) -> Figure:
    """Draws payments an episode, and target pulls gained by each, with intervals.

    Learned principals have a mark for each of the two smallest K. A payment that brings less than
    the dashed line costs more than it earns.

    Args:
      records: as `intervention_records` returns them, by agent rule and K.
      cost: of an intervention.

    Returns:
      The figure.

    Example:
      >>> record = {"family": "ucb", "k_shot": 0, "principal": "mermaide"}
      >>> record |= {"interventions": 3.0, "interventions_low": 2.0, "interventions_high": 4.0}
      >>> names = ("pulls_per_payment", "pulls_per_payment_low", "pulls_per_payment_high")
      >>> often, worth = interventions_figure([record | dict.fromkeys(names, 1.0)], cost=0.75).axes
      >>> [label.get_text() for label in often.get_yticklabels()]
      ['MERMAIDE, 0-shot']
    """
    lines = list(records)
    families = in_order((line["family"] for line in lines), "family")
    shots = sorted({line["k_shot"] for line in lines})[:2]
    shown = {
        family: _shown([x for x in lines if x["family"] == family], shots) for family in families
    }
    sizes = [len(entries) for entries in shown.values()]
    with styled():
        figure = new_figure(9.5, 0.25 * sum(sizes) + 0.6 * len(sizes) + 0.3)
        panels = figure.subplots(
            len(families), 2, squeeze=False, sharex="col", sharey="row", height_ratios=sizes
        )
        for (often, worth), (family, entries) in zip(panels, shown.items(), strict=True):
            for axes, measure in ((often, "interventions"), (worth, "pulls_per_payment")):
                _marks(axes, entries, measure)
                quiet_grid(axes)
            often.set_yticks(range(len(entries)), [label for label, *_ in entries])
            often.set_ylim(len(entries) - 0.5, -0.5)
            often.set_title(f"{family_label(family)} agents")
            worth.axvline(cost, color=GREY, linewidth=1, linestyle="--", zorder=0)
            worth.annotate("cost", (cost, -0.4), (-4, 0), textcoords="offset points", **_NOTE)
        for axes, text in zip(panels[-1], _AXES, strict=True):
            axes.set_xlabel(text)
    return figure


def _shown(lines: list[Record], shots: Sequence[int]) -> list[tuple[str, Record, str]]:
    """Label, record and colour of each line of the figure; who never pays has none."""
    shown = []
    for name in in_order(line["principal"] for line in lines):
        own = {line["k_shot"]: line for line in lines if line["principal"] == name}
        label = principal_label(name).partition(" (")[0]
        if is_learned(name):
            marks = zip(shots, SERIES, strict=False)
            shown += [(f"{label}, {k}-shot", own[k], color) for k, color in marks if k in own]
        elif name != _IDLE:
            shown.append((label, own[min(own)], GREY))
    return shown


def _marks(axes: Axes, entries: Sequence[tuple[str, Record, str]], measure: str) -> None:
    """A point with its interval for each line that has the measure."""
    for place, (_, line, color) in enumerate(entries):
        ends = [line[f"{measure}_low"], line[f"{measure}_high"]]
        if None not in ends:
            axes.plot(ends, [place, place], color=color, linewidth=2.4, alpha=0.75)
        if line[measure] is not None:
            axes.plot(line[measure], place, "o", color=color, markersize=5)
