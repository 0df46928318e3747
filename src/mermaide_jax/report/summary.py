"""Tables: what each principal earned, with intervals, and which training runs collapsed."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mermaide_jax import registry
from mermaide_jax.errors import check_choice
from mermaide_jax.principals.members import names_of, role_of
from mermaide_jax.report.attained import attained_records, oracles
from mermaide_jax.report.names import (
    coefficient_label,
    family_label,
    in_order,
    is_learned,
    principal_label,
)
from mermaide_jax.results.records import (
    RUN,
    Record,
    checked_rows,
    frame_records,
    grouped,
    score_tables,
)
from mermaide_jax.results.schema import ROW_COLUMNS
from mermaide_jax.statistics import bootstrap_interval, interquartile_mean

__all__ = [
    "collapsed_seeds",
    "format_collapsed",
    "format_table",
    "markdown_table",
    "summarize",
]

_MEANS = (
    "success_rate",
    "interventions",
    "world_model_log_likelihood",
    "world_model_accuracy",
)
_SHARE = {"attained": "share", "attained_low": "low", "attained_high": "high"}
_METRICS = ("runs", "score", "low", "high", *_SHARE, *_MEANS)


def summarize(
    rows: Iterable[Mapping[str, Any]],
    by: Sequence[str] = ("family", "k_shot"),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Aggregates runs (seeds x agents) per group and principal.

    The score is the interquartile mean; its bootstrap interval draws runs within agents. The share
    attained is that of `attained_records` against the first of `attained.oracles`. The other
    measures are plain means over the runs that have them.

    Args:
      rows: as in `Results.rows`.
      by: columns that make a group; add "coefficient" to see each coefficient alone.
      confidence: coverage of the interval.
      resamples: bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      One line per group and principal, both in canonical order, with the columns `by`, principal,
      runs, score, low, high, attained, attained_low, attained_high, success_rate, interventions,
      world_model_log_likelihood and world_model_accuracy; NaN where nothing was measured. Its
      `attrs` tell the confidence, for headings.

    Raises:
      ConfigError: if a row lacks a column, a run is there twice, or `by` names no column.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"principal": "mermaide"}
      >>> rows = [row | {"agent": n, "score": float(n)} for n in range(4)]
      >>> summarize(rows)[["principal", "runs", "score"]].to_dict("records")
      [{'principal': 'mermaide', 'runs': 4, 'score': 1.5}]
    """
    records = checked_rows(rows)
    keys = [check_choice("by", name, [c for c in ROW_COLUMNS if c != "principal"]) for name in by]
    shares = attained_records(
        records, by=keys, confidence=confidence, resamples=resamples, seed=seed
    )
    attained = {tuple(share[key] for key in [*keys, "principal"]): share for share in shares}
    lines = []
    for group, part in grouped(records, [*keys, "principal"]).items():
        scored = [row for row in part if row["score"] is not None]
        line = dict(zip([*keys, "principal"], group, strict=True))
        line |= _score(scored, confidence, resamples, seed)
        share = attained.get(group, {})
        line |= {name: share.get(of_share, np.nan) for name, of_share in _SHARE.items()}
        lines.append(line | {name: _mean(part, name) for name in _MEANS})
    columns = [*keys, "principal", *_METRICS]
    frame = pd.DataFrame(_sorted(lines, keys), columns=columns)
    frame.attrs["confidence"] = confidence
    return frame


def _score(rows: list[Record], confidence: float, resamples: int, seed: int) -> Record:
    """Interquartile mean of the score with its interval; NaN if there is no run."""
    if not rows:
        return {"runs": 0, "score": np.nan, "low": np.nan, "high": np.nan}
    found = bootstrap_interval(
        functools.partial(interquartile_mean, axis=(1, 2)),
        *score_tables([rows], run=RUN),
        resample="runs within agents",
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    return {"runs": len(rows), "score": found.value, "low": found.low, "high": found.high}


def _mean(rows: list[Record], name: str) -> float:
    """Mean over the rows that have this measure, NaN if none has."""
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.mean(values)) if values else float("nan")


def _sorted(lines: list[Record], keys: Sequence[str]) -> list[Record]:
    """Groups in the order of `keys`, families and principals in canonical order."""
    orders = {"principal": in_order(line["principal"] for line in lines)}
    if "family" in keys:
        orders["family"] = in_order((line["family"] for line in lines), "family")

    def rank(key: str, value: Any) -> tuple[bool, Any]:
        value = orders[key].index(value) if key in orders else value
        return value is not None, 0 if value is None else value

    return sorted(lines, key=lambda line: [rank(key, line[key]) for key in [*keys, "principal"]])


def collapsed_seeds(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Counts the training runs whose principal always, or never, intervenes.

    A learned run is collapsed when the mean share of steps with an intervention, over its test
    rows of the smallest K, is below 1% or above 99%.

    Args:
      rows: as in `Results.rows`.

    Returns:
      One line per principal that learns and agent rule: principal, family, k_shot, collapsed
      (runs) and seeds (runs in all); empty if no principal learns.

    Raises:
      ConfigError: if a row lacks a column.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"horizon": 100}
      >>> rows = [row | {"principal": "mermaide", "agent": n, "interventions": 0.0} for n in (0, 1)]
      >>> collapsed_seeds(rows)["collapsed"].tolist()  # it never pays
      [1]
    """
    records = [r for r in checked_rows(rows) if is_learned(r["principal"])]
    shot = min((row["k_shot"] for row in records), default=0)
    records = [row for row in records if row["k_shot"] == shot]
    counts: dict[tuple[str, str], Record] = {}
    for (name, family, _), part in grouped(records, ["principal", "family", "seed"]).items():
        rates = [r["interventions"] / r["horizon"] for r in part if r["interventions"] is not None]
        collapsed = bool(rates) and not 0.01 <= np.mean(rates) <= 0.99
        about = {"principal": name, "family": family, "k_shot": shot}
        line = counts.setdefault((name, family), about | {"collapsed": 0, "seeds": 0})
        line["collapsed"] += collapsed
        line["seeds"] += 1
    columns = ["principal", "family", "k_shot", "collapsed", "seeds"]
    return pd.DataFrame(_sorted(list(counts.values()), ["family"]), columns=columns)


def format_collapsed(counts: pd.DataFrame) -> str:
    """Formats the table of `collapsed_seeds` as plain text, one line per principal.

    Args:
      counts: from `collapsed_seeds`.

    Returns:
      Lines to print under a table; empty if no principal learns.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"horizon": 100}
      >>> rows = [row | {"principal": "mermaide", "family": "ucb", "interventions": 50.0}]
      >>> print(format_collapsed(collapsed_seeds(rows)).splitlines()[1])
      MERMAIDE: UCB 0 of 1
    """
    if counts.empty:
        return ""
    shots = f"{counts['k_shot'].iloc[0]}-shot"
    lines = [f"Collapsed training runs ({shots}: intervenes in under 1% or over 99% of the steps):"]
    for (name,), part in grouped(frame_records(counts), ["principal"]).items():
        entries = [
            f"{family_label(line['family'])} {line['collapsed']} of {line['seeds']}"
            for line in part
        ]
        lines.append(f"  {principal_label(name)}: {', '.join(entries)}")
    return "\n".join(lines)


_HEADINGS = {
    "runs": "Runs",
    "score": "Score",
    "attained": "Attained",
    "success_rate": "Success",
    "interventions": "Paid",
    "world_model_log_likelihood": "WM nats",
    "world_model_accuracy": "WM acc.",
}
_NAME_WIDTH = 26
_MISSING = "-"
_NOTES = {
    "score": "Score: interquartile mean over runs (seeds x agents) and its bootstrap interval.",
    "attained": ("Attained: where it lies between the best script (0%) and {oracle} (100%)."),
    "paid": "Success: share of steps on the target.  Paid: interventions per episode.",
    "model": "WM: world model's log-likelihood of the agent's next action per step, and accuracy.",
}


def format_table(frame: pd.DataFrame) -> str:
    """Formats a plain-text table, one block per group, at most 100 columns wide.

    Args:
      frame: from `summarize`.

    Returns:
      The text, with a legend under it.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()}
      >>> rows = [row | {"principal": "mermaide", "family": "ucb", "score": 1.5}]
      >>> print(format_table(summarize(rows)).splitlines()[0])
      UCB agents, 0-shot
    """
    blocks = []
    for title, part in _groups(frame):
        lines = [[_short(line["principal"]), *_cells(line)] for line in part]
        blocks.append(f"{title}\n{_aligned([['Principal', *_headings(frame)], *lines])}")
    return "\n\n".join([*blocks, "\n".join(_notes(set(frame["principal"])))])


def _notes(present: set[str]) -> list[str]:
    """The legend, and what the references know that are there (their trait ``note``)."""
    oracle = oracles()[0]
    notes = [note for name, note in _NOTES.items() if oracle in present or name != "attained"]
    notes = [note.format(oracle=_bare(oracle)) for note in notes]
    references = [registry.get("principal", n) for n in names_of("reference") if n in present]
    return notes + [member.traits["note"] for member in references if "note" in member.traits]


def markdown_table(frame: pd.DataFrame) -> str:
    """Formats the same as one Markdown table, with a column per group key.

    Args:
      frame: from `summarize`.

    Returns:
      The Markdown text.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()}
      >>> rows = [row | {"principal": "mermaide", "family": "ucb", "score": 1.5}]
      >>> print(markdown_table(summarize(rows)).splitlines()[2][:22])
      | UCB | 0 | MERMAIDE |
    """
    keys = _keys(frame)
    names = {"family": "Agents", "k_shot": "K", "coefficient": "Coefficient"}
    header = [*(names.get(key, key) for key in keys), "Principal", *_headings(frame)]
    lines = [header, ["---"] * len(keys) + ["---"] + ["---:"] * len(_HEADINGS)]
    for line in frame_records(frame):
        group = [family_label(line[key]) if key == "family" else _number(line[key]) for key in keys]
        lines.append([*group, principal_label(line["principal"]), *_cells(line)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _headings(frame: pd.DataFrame) -> list[str]:
    """Of the measures; that of the score says what its interval covers."""
    covered = f"{100 * frame.attrs.get('confidence', 0.95):g}%"
    return list((_HEADINGS | {"score": f"Score [{covered} interval]"}).values())


def _keys(frame: pd.DataFrame) -> list[str]:
    """The columns that make the groups of a summary."""
    return [name for name in frame.columns if name not in ("principal", *_METRICS)]


def _groups(frame: pd.DataFrame) -> list[tuple[str, list[Record]]]:
    """Each group of a summary, with its title."""
    keys = _keys(frame)
    groups = grouped(frame_records(frame), keys)
    return [(_title(dict(zip(keys, group, strict=True))), part) for group, part in groups.items()]


def _title(group: Mapping[str, Any]) -> str:
    """Such as "UCB agents, beta = 0.27, 0-shot"."""
    parts = [f"{family_label(group['family'])} agents" if "family" in group else "All agents"]
    for key, value in group.items():
        if key == "k_shot":
            parts.append(f"{value}-shot")
        elif key == "coefficient":
            parts.append(coefficient_label(str(group.get("family", "")), value))
        elif key != "family":
            parts.append(f"{key} {_number(value)}")
    return ", ".join(part for part in parts if part)


def _cells(line: Mapping[str, Any]) -> list[str]:
    """The measures of one line, as text."""
    interval = ""
    if pd.notna(line["low"]):
        interval = f" [{line['low']:.2f}, {line['high']:.2f}]"
    return [
        str(line["runs"]),
        _number(line["score"], ".2f") + interval,
        _number(line["attained"], ".0%"),
        _number(line["success_rate"], ".1%"),
        _number(line["interventions"], ".1f"),
        _number(line["world_model_log_likelihood"], ".2f"),
        _number(line["world_model_accuracy"], ".1%"),
    ]


def _number(value: Any, form: str = "") -> str:
    return _MISSING if pd.isna(value) else f"{value:{form}}"


def _short(principal: str) -> str:
    """The label without its explanation, cut to the width of the column."""
    label = principal_label(principal)
    if role_of(principal) == "reference":
        label = f"{_bare(principal)}, ref."
    return label if len(label) <= _NAME_WIDTH else label[: _NAME_WIDTH - 1] + "…"


def _bare(principal: str) -> str:
    """The label without its explanation."""
    return principal_label(principal).partition(" (")[0]


def _aligned(lines: list[list[str]]) -> str:
    """Columns of equal width: the first to the left, the others to the right, a rule below."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:]])
