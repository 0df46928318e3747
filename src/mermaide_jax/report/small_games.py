"""Solved games: shares of the attainable by what a principal knows, and their figure."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.report.lines import Line, Panel, line_figure
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import BLUE, ORANGE
from mermaide_jax.results.records import table_groups

__all__ = ["share_of", "shares_figure", "shares_table"]

GAME = ["family", "arms", "noise", "horizon", "tasks"]
"""Columns that tell a game."""
LINES = {
    "belief": ("sees actions, knows the prior", BLUE),
    "informed": ("is informed of the task", ORANGE),
}
"""Principals that are drawn: label and colour."""
_NOTHING = 1e-6
"""Where V is above the best script by less, there is nothing to have a share of."""


def shares_table(table: pd.DataFrame) -> pd.DataFrame:
    """Averages the scores of each game over priors, and takes shares of the attainable.

    Args:
      table: the columns `GAME` and the scores of `oracles.small_games`, a line for each prior.

    Returns:
      A line for each game: mean scores, and for each principal of `LINES` its `share_of`.

    Example:
      >>> game = dict(zip(GAME, ("ucb", 2, 0.0, 4, 5), strict=True))
      >>> game |= {"script": 1.0, "belief": 1.5, "informed": 2.0}
      >>> game |= {"all_knowing": 2.0, "sees_draw": 3.0}
      >>> shares_table(pd.DataFrame([game]))[["belief_share", "informed_share"]].to_dict("records")
      [{'belief_share': 0.5, 'informed_share': 1.0}]
    """
    lines = []
    for names, part in table_groups(table, GAME):
        line = dict(zip(GAME, names, strict=True))
        line |= part[["script", *LINES, "all_knowing", "sees_draw"]].mean().to_dict()
        lines.append(line | {k: v for name in LINES for k, v in share_of(part, name).items()})
    return pd.DataFrame(lines)


def share_of(part: pd.DataFrame, name: str) -> dict[str, float]:
    """Computes ``(x - script) / (V - script)`` of sums over priors, and the least and greatest.

    Args:
      part: scores of one game, a line for each prior.
      name: the principal.

    Returns:
      ``NAME_share``, ``NAME_least`` and ``NAME_greatest``; NaN where there is nothing to attain.

    >>> scores = pd.DataFrame({"script": [1.0], "belief": [1.5], "all_knowing": [2.0]})
    >>> share_of(scores, "belief")["belief_share"]
    np.float64(0.5)
    """
    own, script, best = (part.loc[:, x] for x in (name, "script", "all_knowing"))
    gain, most = own - script, best - script
    each = (gain / most.where(most > _NOTHING)).dropna()
    whole = gain.sum() / most.sum() if len(each) else np.nan
    return {f"{name}_share": whole, f"{name}_least": each.min(), f"{name}_greatest": each.max()}


def shares_figure(table: pd.DataFrame, tasks: int) -> Figure:
    """Draws share against horizon: a panel for each family and number of arms, dashes for noise.

    Args:
      table: of `shares_table`.
      tasks: size of the priors that are drawn.

    Example:
      >>> game = dict(zip(GAME, ("ucb", 2, 0.0, 4, 5), strict=True))
      >>> game |= {"script": 1.0, "belief": 1.5, "informed": 2.0}
      >>> game |= {"all_knowing": 2.0, "sees_draw": 3.0}
      >>> table = shares_table(pd.DataFrame([game, game | {"arms": 3}]))
      >>> len(shares_figure(table, tasks=5).axes)
      2
    """
    own = table[table["tasks"] == tasks]
    families, arms = (list(dict.fromkeys(own[name])) for name in ("family", "arms"))
    grid = []
    for family in families:
        of_family = own.loc[own["family"] == family]
        row = []
        for number in arms:
            part = of_family.loc[of_family["arms"] == number]
            title = f"{family_label(family)}, {number} arms"
            row.append(Panel(title, _lines(part), "steps of an episode"))
        grid.append(row)
    return line_figure(grid, "share of the attainable", (4.2, 3.0), ncols=min(2, len(arms)))


def _lines(part: pd.DataFrame) -> Sequence[Line]:
    """The shares of one panel, with bands from the least to the greatest of a prior."""
    lines = []
    noises = list(dict.fromkeys(part["noise"]))
    for noise, (name, (label, color)) in itertools.product(noises, LINES.items()):
        found = part.loc[part["noise"] == noise]
        style, text = ("o--", f"{label}, noise {noise}") if noise else ("o-", f"{label}, no noise")
        share, least, greatest = (found[f"{name}_{e}"] for e in ("share", "least", "greatest"))
        lines.append(Line(text, found["horizon"], share, least, greatest, color, style))
    return lines
