"""When principals pay: which steps are paid for, and what happens until the agent's first hit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mermaide_jax.report.lines import Line, Panel, line_figure
from mermaide_jax.report.names import family_label, is_learned, principal_label
from mermaide_jax.report.style import GREY, SERIES
from mermaide_jax.results.records import Record, table_groups, tidy

__all__ = ["MEASURES", "payment_profiles", "profiles_by_tenths", "profiles_figure", "runs_spread"]

GROUP = ["agents", "principal", "k_shot"]
MEASURES = {"paid": "paid for", "hit": "on the target", "paid_unless_hit": "paid for, no hit yet"}
"""What is measured of each step: column to label."""


def payment_profiles(paid: ArrayLike, hit: ArrayLike) -> list[Record]:
    """Averages the episodes of one training run step by step.

    Args:
      paid: ``[N, E, T]`` bool, which steps were paid for.
      hit: ``[N, E, T]`` bool, in which the agent took the target.

    Returns:
      A record for each step: the shares paid and hit, and paid_unless_hit, the share of the
      episodes without a hit before that were paid for; NaN where there is none.

    >>> payment_profiles(np.ones((1, 1, 1), bool), np.zeros((1, 1, 1), bool))
    [{'step': 0, 'paid': 1.0, 'hit': 0.0, 'paid_unless_hit': 1.0}]
    """
    pays, hits, over = np.asarray(paid, float), np.asarray(hit, float), (0, 1)
    waiting = np.cumsum(hits, axis=-1) - hits == 0
    with np.errstate(invalid="ignore"):  # nobody waits any more
        unless_hit = np.sum(pays * waiting, over) / np.sum(waiting, over)
    means = {"paid": pays.mean(over), "hit": hits.mean(over), "paid_unless_hit": unless_hit}
    return tidy({"step": range(pays.shape[-1])}, **means)


def runs_spread(runs: pd.DataFrame) -> pd.DataFrame:
    """Averages profiles over training runs by step, with the least and greatest of a run.

    Args:
      runs: the columns of `payment_profiles`, and agents, principal, k_shot and seed.

    Example:
      >>> line = {"agents": "ucb", "principal": "mermaide", "k_shot": 0}
      >>> line |= {"step": 0, "hit": 0.0, "paid_unless_hit": 1.0}
      >>> runs = pd.DataFrame([line | {"seed": s, "paid": p} for s, p in ((0, 0.25), (1, 0.75))])
      >>> runs_spread(runs)[["paid", "paid_least", "paid_greatest"]].to_dict("records")
      [{'paid': 0.5, 'paid_least': 0.25, 'paid_greatest': 0.75}]
    """
    groups: Any = runs.groupby([*GROUP, "step"], sort=False)[list(MEASURES)]
    parts = [groups.mean()]
    for name, spread in (("least", groups.min()), ("greatest", groups.max())):
        parts.append(spread.add_suffix(f"_{name}"))
    return pd.concat(parts, axis=1).reset_index()


def profiles_by_tenths(table: pd.DataFrame) -> pd.DataFrame:
    """Averages profiles in ten equal parts of the episode, or in as many as it has steps.

    Args:
      table: of `runs_spread`.

    Example:
      >>> line = {"agents": "ucb", "principal": "mermaide", "k_shot": 0}
      >>> line |= {"hit": 0.0, "paid_unless_hit": 1.0}
      >>> table = pd.DataFrame([line | {"step": t, "paid": float(t < 10)} for t in range(20)])
      >>> profiles_by_tenths(table).loc[("ucb", "mermaide", 0, "paid")].tolist()
      [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    steps = table["step"].max() + 1
    part: Any = (table["step"] * min(10, steps)) // steps
    means: Any = table.groupby([*GROUP, part.rename("tenth")], sort=False)[list(MEASURES)].mean()
    return means.stack().unstack("tenth").rename_axis([*GROUP, "steps"])


def profiles_figure(table: pd.DataFrame) -> Figure:
    """Draws each measure by step: a row of panels for each family, a line for each principal and K.

    Args:
      table: of `runs_spread`.

    Example:
      >>> line = {"agents": "ucb", "principal": "mermaide", "k_shot": 0}
      >>> line |= {"hit": 0.0, "paid_unless_hit": 1.0}
      >>> runs = pd.DataFrame([line | {"seed": 0, "step": t, "paid": 0.2 * t} for t in range(5)])
      >>> [axes.get_title(loc="left") for axes in profiles_figure(runs_spread(runs)).axes]
      ['UCB: paid for', 'UCB: on the target', 'UCB: paid for, no hit yet']
    """
    grid = []
    for family, part in table.groupby("agents", sort=False):
        panels = []
        for column, label in MEASURES.items():
            title = f"{family_label(str(family))}: {label}"
            panels.append(Panel(title, _lines(part, column), "step"))
        grid.append(panels)
    return line_figure(grid, "share of steps", (3.3, 2.5), ylim=(0, 1))


def _lines(part: pd.DataFrame, column: str) -> Sequence[Line]:
    """A line for each principal, dashed from the second K on, with a band over training runs."""
    lines, first = [], part["k_shot"].min()
    names = [name for name in dict.fromkeys(part["principal"]) if is_learned(name)]
    colors = dict(zip(names, SERIES, strict=False))
    for (name, number), own in table_groups(part, ["principal", "k_shot"]):
        label = principal_label(name).partition(" (")[0]
        label = f"{label}, {number}-shot" if name in colors else label
        color, style = colors.get(name, GREY), "-" if number == first else "--"
        spread = (own[column], own[f"{column}_least"], own[f"{column}_greatest"])
        lines.append(Line(label, own["step"], *spread, color, style))
    return lines
