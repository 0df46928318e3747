"""Studies of several protocols side by side: scores, shares and improvements, and their figure."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mermaide_jax.report.attained import scripts
from mermaide_jax.report.improvement import improvement_records
from mermaide_jax.report.names import family_label, in_order, learned_principals, principal_label
from mermaide_jax.report.style import (
    GREY,
    INK,
    SERIES,
    interval_marks,
    new_figure,
    quiet_grid,
    styled,
)
from mermaide_jax.report.summary import summarize
from mermaide_jax.results.records import table_groups
from mermaide_jax.results.results import Results

__all__ = ["compare_protocols", "protocols_figure", "short_table"]

SHOTS = {0: GREY, 1: INK}
"""The K that are compared, and their colours."""
_ATTAINED = ("attained", "attained_low", "attained_high")


def compare_protocols(
    studies: Mapping[str, Results], principal: str = "mermaide"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores the learned principals and the scripts, protocol by protocol.

    Args:
      studies: results by the name of their protocol.
      principal: whose improvements on the other learned principals are measured.

    Returns:
      Scores (`report.summary.summarize`) and improvements (`report.improvement`), each with the
      column protocol.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"family": "ucb"}
      >>> levels = {"mermaide": 3.0, "reinforce": 1.0, "never": 0.0, "all_knowing": 4.0}
      >>> rows = [row | {"principal": name, "score": score} for name, score in levels.items()]
      >>> compare_protocols({"a": Results({}, {}, "", 0, "", rows, [], [], "")})[1].value.tolist()
      [1.0]
    """
    scores, improvements, learned = [], [], learned_principals()
    for name, study in studies.items():
        rows = [row for row in study.rows if row["k_shot"] in SHOTS]
        runs = pd.DataFrame([row for row in rows if row["principal"] == principal])
        table = summarize(rows)
        table = table.loc[table["principal"].isin((*learned, *scripts()))]
        seeds = table["family"].map(runs.groupby("family")["seed"].nunique())
        scores.append(table.drop(columns="runs").assign(protocol=name, seeds=seeds))
        others = [one for one in learned if one != principal]
        records = improvement_records(rows, others, principal)
        improvements.append(pd.DataFrame(records).assign(protocol=name))
    tables = (pd.concat(part, ignore_index=True) for part in (scores, improvements))
    first, second = (
        table.loc[:, ["protocol", *table.columns.drop("protocol")]] for table in tables
    )
    return first, second


def short_table(scores: pd.DataFrame, principal: str = "mermaide") -> pd.DataFrame:
    """Puts scores side by side: a line for each protocol, family and K, and one principal's share.

    Args:
      scores: of `compare_protocols`.
      principal: whose share and payments are shown.

    Example:
      >>> line = {"protocol": "base", "family": "ucb", "k_shot": 0}
      >>> line |= {"attained": 0.75, "interventions": 2.0}
      >>> levels = {"mermaide": 3.0, "reinforce": 1.0, "never": 0.0}
      >>> scores = pd.DataFrame([line | {"principal": p, "score": s} for p, s in levels.items()])
      >>> short_table(scores)[["MERMAIDE", "best script", "share"]].to_dict("records")
      [{'MERMAIDE': 3.0, 'best script': 0.0, 'share': 0.75}]
    """
    lines, learned = [], learned_principals()
    for group, part in table_groups(scores, ["protocol", "family", "k_shot"]):
        table = part.set_index("principal")
        own, ours = table["score"], table.loc[principal]
        line = dict(zip(("protocol", "agents", "K"), group, strict=True))
        line |= {principal_label(name): own.get(name, np.nan) for name in learned}
        line["best script"] = own.drop(list(learned), errors="ignore").max()
        lines.append(line | {"share": ours["attained"], "paid": ours["interventions"]})
    return pd.DataFrame(lines)


def protocols_figure(
    scores: pd.DataFrame, improvements: pd.DataFrame, principal: str = "mermaide"
) -> Figure:
    """Draws a row for each family: a principal's share of the attainable, and its gains at each K.

    Args:
      scores: of `compare_protocols`.
      improvements: of the same.
      principal: as of `compare_protocols`.

    Example:
      >>> line = {"protocol": "base", "family": "ucb", "k_shot": 0, "principal": "mermaide"}
      >>> share = {"attained": 0.75, "attained_low": 0.5, "attained_high": 1.0}
      >>> gain = {"baseline": "reinforce", "value": 0.9, "low": 0.8, "high": 1.0}
      >>> tables = [pd.DataFrame([line | more]) for more in (share, gain)]
      >>> len(protocols_figure(*tables).axes)  # the share, and the gains at each K
      3
    """
    protocols = list(dict.fromkeys(scores["protocol"]))
    families = in_order(scores["family"], "family")
    baselines = in_order(improvements["baseline"])
    colors = dict(zip(baselines, SERIES, strict=False))
    label = principal_label(principal)
    with styled():
        figure = new_figure(11.5, len(families) * (0.42 * len(protocols) + 0.9) + 0.4)
        sizes = (len(families), 1 + len(SHOTS))
        panels = figure.subplots(*sizes, squeeze=False, sharex="col", sharey=True)
        for row, family in zip(panels, families, strict=True):
            own = scores.loc[(scores["family"] == family) & (scores["principal"] == principal)]
            wins = improvements.loc[improvements["family"] == family]
            _draw_shares(row[0], own, protocols)
            row[0].set(title=family_label(family), xlabel=f"{label}'s share of the attainable")
            for axes, shot in zip(row[1:], SHOTS, strict=True):
                _draw_improvements(axes, wins.loc[wins["k_shot"] == shot], protocols, colors)
                axes.set_xlabel(f"P({label} improves), {shot}-shot")
            for axes in row:
                quiet_grid(axes)
        _legend(figure, colors)
    return figure


def _draw_shares(axes: Axes, own: pd.DataFrame, protocols: Sequence[str]) -> None:
    """The share of the attainable at each K, a place for each protocol."""
    for number, (shot, color) in enumerate(SHOTS.items()):
        part = own.loc[own["k_shot"] == shot]
        _marks(axes, part, _ATTAINED, protocols, 0.3 * (number - 0.5), color)
    axes.axvline(0, color="0.6", lw=1)
    labels = [textwrap.fill(name, 30) for name in protocols]
    axes.set_yticks(range(len(protocols)), labels, fontsize=8)
    axes.set_ylim(len(protocols) - 0.5, -0.5)


def _draw_improvements(
    axes: Axes, own: pd.DataFrame, protocols: Sequence[str], colors: Mapping[str, str]
) -> None:
    """The probability to improve on each baseline, a place for each protocol."""
    for number, (baseline, color) in enumerate(colors.items()):
        part, shift = own.loc[own["baseline"] == baseline], 0.22 * (number - (len(colors) - 1) / 2)
        _marks(axes, part, ("value", "low", "high"), protocols, shift, color)
    axes.axvline(0.5, color="0.6", lw=1)
    axes.set(xlim=(-0.03, 1.03))


def _marks(
    axes: Axes,
    table: pd.DataFrame,
    columns: tuple[str, str, str],
    protocols: Sequence[str],
    shift: float,
    color: str,
) -> None:
    """Points with bars, one for each protocol; what was not measured is left out."""
    part = table.set_index("protocol").reindex(list(protocols))
    places = np.arange(len(protocols)) + shift
    value, low, high = (part[name] for name in columns)
    interval_marks(axes, places, value, low, high, color)


def _legend(figure: Figure, colors: Mapping[str, str]) -> None:
    shots = [(color, f"{shot}-shot") for shot, color in SHOTS.items()]
    names = [(color, f"over {principal_label(name)}") for name, color in colors.items()]
    handles = [
        Line2D([], [], color=color, marker="o", lw=2, label=label)
        for color, label in itertools.chain(shots, names)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9)
