"""Rows of results as plain records, and the groups they make."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mermaide_jax._checks import refuse
from mermaide_jax.report.schema import ROW_COLUMNS, check_records, to_plain

Record = dict[str, Any]

STRATUM = ("agent_rule", "split", "coefficient", "agent")
"""Columns that tell an agent."""


def checked_rows(rows: Iterable[Mapping[str, Any]]) -> list[Record]:
    """The rows as plain records, checked; what was not measured is None.

    Args:
      rows: as in `Results.rows`; NumPy values and NaN are accepted.

    Returns:
      The records.

    Raises:
      ConfigError: if there is no row, or a row lacks a column.
    """
    records = to_plain(list(rows))
    if not records:
        refuse("rows", [], "at least one row")
    check_records("rows", records, ROW_COLUMNS)
    return records


def grouped(records: Iterable[Record], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """The records by their values of `keys`, groups in order of first appearance."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return groups


def numbered_agents(records: Iterable[Record]) -> list[int]:
    """The agent of each record as a number, to resample runs within."""
    names = [tuple(record[key] for key in STRATUM) for record in records]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [numbers[name] for name in names]


def frame_records(frame: pd.DataFrame) -> list[Record]:
    """The lines of a table as dictionaries."""
    return [{str(key): value for key, value in line.items()} for line in frame.to_dict("records")]
