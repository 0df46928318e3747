"""Rows of results as plain records, and the groups they make."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mermaide_jax.errors import refuse
from mermaide_jax.results.schema import ROW_COLUMNS, check_records, to_plain

Record = dict[str, Any]

STRATUM = ("family", "split", "coefficient", "agent")
"""Columns that tell an agent."""


def checked(
    name: str, records: Iterable[Mapping[str, Any]], columns: Mapping[str, type]
) -> list[Record]:
    """The records as plain ones, checked; what was not measured is None.

    Args:
      name: of the whole, for errors.
      records: NumPy values and NaN are accepted.
      columns: what each must have, see `check_records`.

    Raises:
      ConfigError: if there is no record, or one lacks a column.
    """
    plain = to_plain(list(records))
    if not plain:
        refuse(name, [], "at least one record")
    check_records(name, plain, columns)
    return plain


def checked_rows(rows: Iterable[Mapping[str, Any]]) -> list[Record]:
    """`checked` of `Results.rows`."""
    return checked("rows", rows, ROW_COLUMNS)


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
