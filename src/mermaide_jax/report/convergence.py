"""How scores of the upper references grow with what they search: summary and figure."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.report.lines import Level, Line, Panel, line_figure
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import SERIES
from mermaide_jax.statistics import bootstrap_interval, interquartile_mean, mean

__all__ = ["convergence_figure", "score_summary"]

PLANNERS = {"beam": "clairvoyant: width of the beam", "rollouts": "all-knowing: imagined episodes"}
"""What searches: prefix of its name to what grows."""
TUNED: Mapping[str, tuple[str, str, object]] = {
    "prescient": ("beam", "prescient, one threshold", (0, (1, 2))),
    "prescient_each": ("beam", "prescient, tuned per agent", "--"),
    "guided_each": ("beam", "with a quiet end, tuned per agent", "-."),
    "rule_each": ("rollouts", "a rule that sees chances, tuned per agent", (0, (4, 1, 1, 1, 1, 1))),
}
"""References that do not search: beside which planner they are drawn, label and style."""


def score_summary(scores: np.ndarray) -> dict[str, float]:
    """Averages scores over agents and episodes; the interval draws episodes within agents.

    Args:
      scores: ``[N, M]``.

    >>> score_summary(np.ones((2, 3)))["score"]
    1.0
    """
    of_all = functools.partial(mean, axis=(1, 2))
    value, low, high = bootstrap_interval(of_all, scores.T, resample="runs within agents")
    middle = float(interquartile_mean(scores))
    return {"score": value, "low": low, "high": high, "interquartile_mean": middle}


def convergence_figure(table: pd.DataFrame) -> Figure:
    """Draws score against what is searched: a row for each planner, a column for each family.

    Args:
      table: family, horizon, reference (`oracles.convergence`) and the columns of `score_summary`.

    Example:
      >>> names = [*TUNED, "beam_1", "beam_4", "rollouts_2", "rollouts_8"]
      >>> table = pd.DataFrame({"reference": names, "family": "ucb", "horizon": 4})
      >>> figure = convergence_figure(table.assign(score=1.0, low=0.5, high=1.5))
      >>> [axes.get_xlabel() for axes in figure.axes] == list(PLANNERS.values())
      True
    """
    grid = [
        [_panel(part, str(family), planner) for family, part in table.groupby("family", sort=False)]
        for planner in PLANNERS
    ]
    return line_figure(grid, "score per episode", (4.3, 2.9), ncols=3)


def _panel(part: pd.DataFrame, family: str, planner: str) -> Panel:
    """One planner with one family of agents: a line and levels for each horizon."""
    lines: list[Line] = []
    levels: list[Level] = []
    sizes: list[int] = []
    for color, (horizon, own) in zip(SERIES, part.groupby("horizon"), strict=False):
        rows = own.set_index("reference")
        names = [name for name in rows.index if name.startswith(f"{planner}_")]
        sizes = [int(name.rpartition("_")[2]) for name in names]
        score, low, high = (rows.loc[names, end] for end in ("score", "low", "high"))
        lines.append(Line(f"{planner}, T = {horizon}", sizes, score, low, high, color))
        levels += _levels(rows.loc[:, "score"], planner, color)
    ticks = (sizes, [str(size) for size in sizes])
    title = f"{family_label(family)} agents"
    return Panel(title, lines, PLANNERS[planner], levels, ticks, "log")


def _levels(scores: pd.Series, planner: str, color: str) -> Sequence[Level]:
    return [
        Level(scores.loc[name], label, color, style)
        for name, (beside, label, style) in TUNED.items()
        if beside == planner
    ]
