"""What something is worth: gains over a reference, with intervals over training runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.report.ablations import paired_differences
from mermaide_jax.report.lines import Level, Line, Panel, line_figure
from mermaide_jax.report.names import (
    coefficient_label,
    families_and_shots,
    family_label,
    principal_label,
)
from mermaide_jax.report.style import SERIES, interval_marks, new_figure, quiet_grid, styled
from mermaide_jax.report.variants import variant_gains
from mermaide_jax.results.records import Record, table_groups
from mermaide_jax.statistics import bootstrap_interval, interquartile_mean, mean

__all__ = [
    "coefficient_gains",
    "coefficient_gains_figure",
    "shot_gains",
    "shot_gains_figure",
    "variant_comparison",
    "variant_gains_figure",
]


def shot_gains(found: Mapping[tuple[str, str], Sequence[Record]]) -> pd.DataFrame:
    """Computes what adapting on K episodes gains over 0-shot, by principal and way to adapt.

    Args:
      found: rows of scores by principal and way; 0 is among their K.

    Returns:
      A line for each principal, way, family and K: the interquartile means and their difference
      with its interval (`report.ablations.paired_differences`).

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"principal": "mermaide"}
      >>> cells = [(s, n, k) for s in (0, 1) for n in (0, 1) for k in (0, 1)]
      >>> rows = [
      ...     row | {"seed": s, "agent": n, "k_shot": k, "score": n + 2.0 * k} for s, n, k in cells
      ... ]
      >>> shot_gains({("mermaide", "all"): rows})["k_shot"].tolist()
      [1]
    """
    lines = []
    for (name, way), rows in found.items():
        before = [row for row in rows if row["k_shot"] == 0]
        for shots in sorted({row["k_shot"] for row in rows} - {0}):
            after = [row for row in rows if row["k_shot"] == shots]
            for record in paired_differences(after, before, name, by=("family",)):
                family = record["family"]
                scores = {
                    label: interquartile_mean([r["score"] for r in part if r["family"] == family])
                    for label, part in (("zero_shot", before), ("score", after))
                }
                about = {"principal": name, "way": way, "agents": family, "k_shot": shots}
                spread = {key: record[key] for key in ("low", "high", "seeds")}
                lines.append(about | scores | {"gain": record["difference"]} | spread)
    return pd.DataFrame(lines)


def shot_gains_figure(table: pd.DataFrame) -> Figure:
    """Draws gains over 0-shot against K: a panel for each principal and family, a line each way.

    Args:
      table: of `shot_gains`.

    Example:
      >>> about = {"principal": "mermaide", "agents": "ucb", "way": "memory"}
      >>> gains = {"k_shot": [1, 5], "gain": [2.0, 3.0], "low": [1.0, 2.0], "high": [3.0, 4.0]}
      >>> (axes,) = shot_gains_figure(pd.DataFrame(about | gains)).axes
      >>> [text.get_text() for text in axes.get_xticklabels()]
      ['1', '5']
    """
    panels = []
    for (name, family), part in table_groups(table, ["principal", "agents"]):
        shots = sorted(set(part["k_shot"]))
        ticks = (range(len(shots)), [str(number) for number in shots])
        lines = []
        for color, (way, own) in zip(SERIES, part.groupby("way", sort=False), strict=False):
            places = [shots.index(number) for number in own["k_shot"]]
            lines.append(Line(str(way), places, own["gain"], own["low"], own["high"], color))
        title = f"{principal_label(name)}\n{family_label(family)}"
        panels.append(Panel(title, lines, "K", [Level(0.0)], ticks))
    return line_figure([panels], "gain in score over 0-shot")


def variant_comparison(
    found: Mapping[str, tuple[Sequence[Record], Sequence[Record]]], label: str
) -> pd.DataFrame:
    """Compares each principal alone with a variant of it, by family and K.

    Args:
      found: principal to rows of it alone, and of the variant, as many in the same order.
      label: what the variant is called in the columns.

    Returns:
      The columns of `report.variants.variant_gains`, and scores and payments of both, such as
      ``score_alone`` and ``interventions_planning``.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"principal": "mermaide"}
      >>> alone = [row | {"seed": seed, "score": 1.0} for seed in (0, 1)]
      >>> better = [row | {"score": row["score"] + 2.0} for row in alone]
      >>> variant_comparison({"mermaide": (alone, better)}, "planning")["score_planning"].tolist()
      [3.0]
    """
    by, tables = ["family", "k_shot"], []
    for name, (alone, variant) in found.items():
        table = variant_gains(variant, alone, name, by)
        table.insert(0, "principal", name)
        index = pd.MultiIndex.from_frame(table.loc[:, by])
        for suffix, rows in (("alone", alone), (label, variant)):
            groups: Any = pd.DataFrame(rows).groupby(by)
            scores, paid = groups["score"].agg(interquartile_mean), groups["interventions"].mean()
            table[f"score_{suffix}"] = scores.reindex(index).to_numpy()
            table[f"interventions_{suffix}"] = paid.reindex(index).to_numpy()
        tables.append(table)
    return pd.concat(tables)


def variant_gains_figure(table: pd.DataFrame, ylabel: str) -> Figure:
    """Draws gains of interquartile means by principal and K, a panel for each family.

    Args:
      table: of `variant_comparison`; the mean gains are dashes.
      ylabel: what is gained, and by what.

    Example:
      >>> about = {"principal": "mermaide", "family": "ucb", "k_shot": [0, 1]}
      >>> table = pd.DataFrame(about | {"gain": 2.0, "low": 1.0, "high": 3.0, "mean_gain": 2.1})
      >>> (axes,) = variant_gains_figure(table, "gain by planning").axes
      >>> [text.get_text() for text in axes.get_xticklabels()]
      ['0-shot', '1-shot']
    """
    families = list(table.groupby("family", sort=False))
    with styled():
        figure = new_figure(3.6 * len(families) + 0.8, 2.6)
        panels = figure.subplots(1, len(families), squeeze=False, sharey=True)[0]
        for axes, (family, part) in zip(panels, families, strict=True):
            names, numbers = list(dict.fromkeys(part["principal"])), sorted(set(part["k_shot"]))
            for color, name in zip(SERIES, names, strict=False):
                own, offset = part[part["principal"] == name], names.index(name)
                offset = 0.1 * (offset - (len(names) - 1) / 2)
                places = [numbers.index(number) + offset for number in own["k_shot"]]
                ends, label = (own["gain"], own["low"], own["high"]), principal_label(name)
                interval_marks(axes, places, *ends, color, label=label, vertical=True)
                axes.plot(places, own["mean_gain"], "_", color=color, ms=12)
            axes.axhline(0, color="0.6", lw=1)
            axes.set_xticks(range(len(numbers)), [f"{number}-shot" for number in numbers])
            axes.set_xlim(-0.5, len(numbers) - 0.5)
            axes.set_title(family_label(str(family)))
            quiet_grid(axes, "y")
        panels[0].set_ylabel(ylabel)
        panels[0].legend(fontsize=8)
    return figure


def coefficient_gains(
    scores: Sequence[Record], principal: str, over: Mapping[str, str]
) -> pd.DataFrame:
    """Computes the mean gain of a principal over others for each coefficient of the agents.

    Args:
      scores: rows with principal, family, k_shot, seed, agent, coefficient and score.
      principal: who gains.
      over: what it has more than a baseline, and that baseline; those without rows are left out.

    Returns:
      A line for each part, family, K and coefficient, with a bootstrap interval that draws runs
      within agents.

    Example:
      >>> run = {"family": "ucb", "k_shot": 0, "agent": 0, "coefficient": 0.1}
      >>> scores = {"mermaide": 3.0, "reinforce": 1.0}.items()
      >>> runs = [run | {"seed": s, "principal": p, "score": x} for s in (0, 1) for p, x in scores]
      >>> table = coefficient_gains(runs, "mermaide", {"both": "reinforce"})
      >>> table[["gain_of", "coefficient", "gain"]].to_numpy().tolist()
      [['both', 0.1, 2.0]]
    """
    index = ["family", "k_shot", "seed", "agent", "coefficient"]
    wide = pd.DataFrame(scores).pivot_table(index=index, columns="principal", values="score")
    rows = []
    for what, baseline in over.items():
        if baseline not in wide:
            continue
        gain: Any = wide[principal] - wide[baseline]
        for family, shots, part in _by_family_and_shots(gain.reset_index(name="gain")):
            for coefficient, own in part.groupby("coefficient"):
                table = own.pivot(index="seed", columns="agent", values="gain").to_numpy()
                found = bootstrap_interval(_mean_of_all, table, resample="runs within agents")
                about = {"gain_of": what, "family": family, "k_shot": shots}
                estimate = {"gain": found.value, "low": found.low, "high": found.high}
                rows.append(about | {"coefficient": coefficient} | estimate)
    return pd.DataFrame(rows)


def _mean_of_all(tables: np.ndarray) -> np.ndarray:
    return mean(tables, axis=(1, 2))


def _by_family_and_shots(table: pd.DataFrame) -> list[tuple[str, int, pd.DataFrame]]:
    """The lines of each family and K, in canonical order."""
    pairs = families_and_shots(zip(table["family"], table["k_shot"], strict=True))
    return [(f, k, table.loc[(table["family"] == f) & (table["k_shot"] == k)]) for f, k in pairs]


def coefficient_gains_figure(table: pd.DataFrame, apart: str = "meta-learning") -> Figure:
    """Draws gains against the coefficient: a column for each K, two rows for each family.

    Args:
      table: of `coefficient_gains`.
      apart: what has rows of its own, because it is small beside the rest.

    Example:
      >>> about = {"gain_of": "both", "family": "ucb", "k_shot": 0, "coefficient": [0.1, 0.2]}
      >>> table = pd.DataFrame(about | {"gain": [1.0, 2.0], "low": 0.5, "high": 2.5})
      >>> len(coefficient_gains_figure(table).axes)  # the rest, and what has rows of its own
      2
    """
    groups = _by_family_and_shots(table)
    families, shots = (list(dict.fromkeys(group[part] for group in groups)) for part in (0, 1))
    colors = dict(zip(dict.fromkeys(table["gain_of"]), SERIES, strict=False))
    with styled():
        figure = new_figure(2.4 * len(shots) + 0.8, 3.8 * len(families))
        sizes = (2 * len(families), len(shots))
        heights = [1.6, 1] * len(families)
        panels = figure.subplots(*sizes, squeeze=False, sharey="row", height_ratios=heights)
        for family, shot, part in groups:
            row, column = 2 * families.index(family), shots.index(shot)
            for axes, is_apart in zip(panels[row : row + 2, column], (False, True), strict=True):
                own = part[(part["gain_of"] == apart) == is_apart]
                for what, line in own.groupby("gain_of", sort=False):
                    ends, color = (line["gain"], line["low"], line["high"]), colors[what]
                    places = line["coefficient"]
                    interval_marks(axes, places, *ends, color, label=str(what), vertical=True)
                    axes.plot(places, line["gain"], color=color, lw=1)
                axes.axhline(0, color="0.6", lw=1)
                if column == 0:
                    axes.set_ylabel("gain in score of")
                if column == 0 and len(own):
                    axes.legend(fontsize=8)
            panels[row, column].set_title(f"{family_label(family)}, {shot}-shot", fontsize=10)
            panels[row + 1, column].set_xlabel(coefficient_label(family, 0.0).partition(" ")[0])
    return figure
