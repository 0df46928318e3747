"""The probability that one learned principal does better than another: records and figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mermaide_jax.errors import refuse
from mermaide_jax.report.names import families_and_shots, family_label, principal_label
from mermaide_jax.report.style import BLUE, interval_marks, new_figure, quiet_grid, styled
from mermaide_jax.results.records import Record, checked_rows, grouped, score_tables
from mermaide_jax.results.schema import to_plain
from mermaide_jax.statistics import bootstrap_interval, probability_of_improvement

__all__ = ["improvement_figure", "improvement_records"]


def improvement_records(
    rows: Iterable[Mapping[str, Any]],
    baselines: Sequence[str],
    principal: str = "mermaide",
    by: Sequence[str] = ("family", "k_shot"),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Record]:
    """Computes how likely a run of one principal beats one of another, in each group of rows.

        P = mean over agents of P(X > Y) + P(X = Y) / 2

    the average probability of improvement, where ``X`` and ``Y`` are the scores of one training run
    of each with the same agent. The interval is the bootstrap over training runs (seeds), drawn for
    each principal by itself, the same runs for all agents: a run is one principal, however many
    agents it meets.

    Args:
      rows: as in `Results.rows`.
      baselines: principals to compare with; those without rows are left out.
      principal: the one that is compared.
      by: columns that make a group.
      confidence: coverage of the interval.
      resamples: bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      One record per group and baseline: the columns `by`, principal, baseline, value, low, high
      (None with a single seed), seeds.

    Raises:
      ConfigError: if there is no row, a row lacks a column, the principal has none, no run was
        scored with every agent or one twice, or an option is impossible.

    Source: `Agarwal et al. (2021) <https://arxiv.org/abs/2108.13264>`_, section 4.3.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()}
      >>> runs = [row | {"seed": s, "agent": n, "score": float(n)} for s in (0, 1) for n in (0, 1)]
      >>> own = [run | {"principal": "mermaide", "score": run["score"] + 1.0} for run in runs]
      >>> others = [run | {"principal": "reinforce"} for run in runs]
      >>> [line["value"] for line in improvement_records(own + others, ["reinforce"])]
      [1.0]
    """
    found = []
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    for group, part in grouped(checked_rows(rows), by).items():
        parts = {name: own for (name,), own in grouped(part, ["principal"]).items()}
        if principal not in parts:
            refuse("principal", principal, f"one with rows: {', '.join(parts)}")
        for name in baselines:
            if name not in parts:
                continue
            x, y = _complete_runs(parts[principal], parts[name])
            line = dict(zip(by, group, strict=True)) | {"principal": principal, "baseline": name}
            estimate = bootstrap_interval(
                _average_over_agents, x, y, resample="runs", independent=True, **options
            )
            found.append(line | estimate._asdict() | {"seeds": len(x)})
    return to_plain(found)


def _complete_runs(own: list[Record], other: list[Record]) -> list[np.ndarray]:
    """Scores ``[R, N]`` of either, of the agents that both met and the runs that met them all."""
    tables = score_tables([own, other])
    shared = ~np.isnan(tables).all(axis=1).any(axis=0)
    if not shared.any():
        refuse("rows", "no agent that both principals met", "the same agents for all principals")
    complete = [table[~np.isnan(table).any(axis=1)] for table in tables[:, :, shared]]
    if not all(map(len, complete)):
        refuse("rows", "no training run scored with every agent", "at least one such run")
    return complete


def _average_over_agents(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``[B]`` of scores ``[B, R, N]``: the mean over agents of the probability of improvement."""
    return probability_of_improvement(x, y, axis=1).mean(axis=1)


def improvement_figure(records: Sequence[Record]) -> Figure:
    """Draws the probabilities with intervals: a row for each family, a column for each K.

    Args:
      records: of `improvement_records`, of one principal.

    Example:
      >>> line = {"family": "ucb", "k_shot": 0, "principal": "mermaide", "baseline": "reinforce"}
      >>> figure = improvement_figure([line | {"value": 0.9, "low": 0.8, "high": 1.0, "seeds": 5}])
      >>> len(figure.axes)
      1
    """
    groups = families_and_shots((record["family"], record["k_shot"]) for record in records)
    families, shots = list(dict.fromkeys(f for f, _ in groups)), sorted({k for _, k in groups})
    names = list(dict.fromkeys(record["baseline"] for record in records))
    with styled():
        figure = new_figure(2.6 * len(shots) + 1.4, 1.3 + 1.2 * len(families))
        sizes = (len(families), len(shots))
        panels = figure.subplots(*sizes, squeeze=False, sharex=True, sharey=True)
        for family, shot in groups:
            axes = panels[families.index(family), shots.index(shot)]
            own = [r for r in records if (r["family"], r["k_shot"]) == (family, shot)]
            places = [names.index(record["baseline"]) for record in own]
            value, low, high = ([r[part] for r in own] for part in ("value", "low", "high"))
            interval_marks(axes, places, value, low, high, BLUE)
            axes.axvline(0.5, color="0.6", lw=1)
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.5, len(names) - 0.5))
            axes.set_title(f"{family_label(family)}, {shot}-shot", fontsize=10)
            axes.set_yticks(range(len(names)), [principal_label(name) for name in names])
            quiet_grid(axes)
        who = principal_label(records[0]["principal"])
        for axes in panels[-1]:
            axes.set_xlabel(f"P({who} improves)")
    return figure
