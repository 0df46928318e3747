"""One principal in several variants, held against the same references."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax import registry
from mermaide_jax.report.ablations import paired_differences
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import BLUE, new_figure, quiet_grid, styled
from mermaide_jax.report.summary import summarize
from mermaide_jax.results.records import Record

__all__ = ["variant_figure", "variant_gains", "variant_table"]


def variant_table(
    found: Mapping[str, Sequence[Record]], references: Sequence[Record], column: str = "variant"
) -> pd.DataFrame:
    """Makes a line for each family of agents and variant: score, share of the attainable, the rest.

    Args:
      found: rows of scores (`study.records.score_rows`) of one principal at one K, by variant.
      references: rows of scripts and of an oracle with the same agents and seeds.
      column: what to call the variant.

    Returns:
      The columns of `report.summary.summarize`, with ``column`` for principal and without K.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"family": "ucb"}
      >>> scored = lambda name, score: [row | {"principal": name, "score": score}]
      >>> references = scored("never", 0.0) + scored("all_knowing", 4.0)
      >>> variant_table({"plain": scored("mermaide", 3.0)}, references)["attained"].tolist()
      [0.75]
    """
    parts = []
    for variant, rows in found.items():
        names = {row["principal"] for row in rows}
        lines = summarize([*rows, *references])
        parts.append(lines[lines["principal"].isin(list(names))].assign(principal=variant))
    table = pd.concat(parts).rename(columns={"principal": column}).drop(columns="k_shot")
    order = registry.names("family")
    in_order = {"key": lambda families: families.map(order.index), "kind": "stable"}
    return table.sort_values("family", **in_order)


def variant_gains(
    rows: Sequence[Record],
    reference: Sequence[Record],
    principal: str,
    by: Sequence[str] = ("family",),
) -> pd.DataFrame:
    """Measures what a variant of a principal earns more than another, run by run, in each group.

    Args:
      rows: of the one variant.
      reference: of the other, as many in the same order.
      principal: whose rows they are.
      by: columns that make a group.

    Returns:
      A line for each group: the columns ``by``; ``gain`` of interquartile means with ``low`` and
      ``high`` (`report.ablations.paired_differences`); ``mean_gain`` and its standard error over
      runs; ``runs_above``, the share of runs that gain.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"family": "ucb"}
      >>> rows = [row | {"principal": "mermaide", "seed": s, "score": float(s)} for s in (0, 1)]
      >>> more = [row | {"score": row["score"] + 2.0} for row in rows]
      >>> variant_gains(more, rows, "mermaide")[["gain", "runs_above"]].to_dict("records")
      [{'gain': 2.0, 'runs_above': 1.0}]
    """
    lines = []
    for record in paired_differences(rows, reference, principal, by=by):
        more = np.array(
            [
                row["score"] - other["score"]
                for row, other in zip(rows, reference, strict=True)
                if all(row[name] == record[name] for name in by)
            ]
        )
        error = np.std(more, ddof=1) / np.sqrt(more.size) if more.size > 1 else np.nan
        line = {name: record[name] for name in by} | {"gain": record["difference"]}
        line |= {name: record[name] for name in ("low", "high", "seeds")}
        spread = {"mean_gain": more.mean(), "mean_gain_error": error}
        lines.append(line | spread | {"runs_above": np.mean(more > 0)})
    return pd.DataFrame(lines)


def variant_figure(
    table: pd.DataFrame, labels: Mapping[str, str], column: str = "variant"
) -> Figure:
    """Draws the share of the attainable by variant, a panel for each family.

    Args:
      table: of `variant_table`.
      labels: what each variant is called in the figure.
      column: as in `variant_table`.

    Example:
      >>> line = {"family": "ucb", "attained": 0.5, "attained_low": 0.25, "attained_high": 0.75}
      >>> table = pd.DataFrame([line | {"variant": name} for name in ("plain", "wide")])
      >>> len(variant_figure(table, {"plain": "as it is", "wide": "wider layers"}).axes)
      1
    """
    families = list(table.groupby("family", sort=False))
    with styled():
        figure = new_figure(3.6 * len(families) + 0.6, 2.6)
        panels = figure.subplots(1, len(families), squeeze=False, sharex=True, sharey=True)[0]
        for axes, (family, part) in zip(panels, families, strict=True):
            shares = part[["attained", "attained_low", "attained_high"]].astype(float)
            for height, (share, *ends) in enumerate(shares.to_numpy()):
                axes.plot(ends, [height, height], color=BLUE, lw=3)
                axes.plot(share, height, "o", color=BLUE)
            axes.set_yticks(range(len(part)), [labels[variant] for variant in part[column]])
            axes.set(title=family_label(str(family)), xlabel="share of the attainable")
            axes.set_ylim(len(part) - 0.5, -0.5)
            quiet_grid(axes, "x")
    return figure
