"""Rows of results as plain records, and the groups they make."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mermaide_jax.errors import refuse
from mermaide_jax.results.schema import ROW_COLUMNS, check_records, to_plain

Record = dict[str, Any]

STRATUM = ("family", "split", "coefficient", "agent")
"""Columns that tell an agent."""

RUN = ("seed", "k_shot", "horizon")
"""Columns that tell a run of a principal with an agent, whatever is pooled."""


def checked(
    name: str, records: Iterable[Mapping[str, Any]], columns: Mapping[str, type]
) -> list[Record]:
    """Checks records and makes them plain; what was not measured is None.

    Args:
      name: of the whole, for errors.
      records: NumPy values and NaN are accepted.
      columns: what each must have, see `check_records`.

    Raises:
      ConfigError: if there is no record, or one lacks a column.

    Example:
      >>> checked("points", [{"x": np.float32(0.5)}], {"x": float})
      [{'x': 0.5}]
    """
    plain = to_plain(list(records))
    if not plain:
        refuse(name, [], "at least one record")
    check_records(name, plain, columns)
    return plain


def checked_rows(rows: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Checks `Results.rows`, see `checked`.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()}
      >>> checked_rows([row | {"score": np.nan}])[0]["score"] is None
      True
    """
    return checked("rows", rows, ROW_COLUMNS)


def table_groups(
    table: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Splits a table into the lines that agree in all of ``columns``, in order of first appearance.

    Args:
      table: what is split.
      columns: that make a group; at least one.

    Yields:
      The group's values of ``columns``, and its lines.

    Example:
      >>> table = pd.DataFrame({"family": ["ucb", "a", "ucb"], "score": [1.0, 2.0, 3.0]})
      >>> [(family, len(lines)) for (family,), lines in table_groups(table, ["family"])]
      [('ucb', 2), ('a', 1)]
    """
    groups: Any = table.groupby(list(columns), sort=False)
    yield from groups


def grouped(records: Iterable[Record], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    """Groups records by their values of `keys`, in order of first appearance.

    Example:
      >>> grouped([{"a": 1, "b": 2}, {"a": 1, "b": 3}], ["a"])
      {(1,): [{'a': 1, 'b': 2}, {'a': 1, 'b': 3}]}
    """
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(_values(record, keys), []).append(record)
    return groups


def score_tables(parts: Sequence[Sequence[Record]], run: Sequence[str] = ("seed",)) -> np.ndarray:
    """Puts the scores of several sets of rows into tables of the same runs and agents.

    Args:
      parts: sets of rows, such as those of several principals.
      run: columns that tell a run.

    Returns:
      ``[P, R, N]`` float64: a table of all runs and agents of any part for each of them, runs and
      agents in order of first appearance; NaN where a part has no score.

    Raises:
      ConfigError: if a part has two rows of one run with one agent.

    Example:
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()}
      >>> cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
      >>> rows = [row | {"seed": s, "agent": n, "score": s + n / 2} for s, n in cells]
      >>> score_tables([rows])[0].tolist()
      [[0.0, 0.5], [1.0, 1.5]]
    """
    runs: dict[tuple[Any, ...], int] = {}
    agents: dict[tuple[Any, ...], int] = {}
    cells = {}
    for number, part in enumerate(parts):
        for row in part:
            one = runs.setdefault(_values(row, run), len(runs))
            cell = (number, one, agents.setdefault(_values(row, STRATUM), len(agents)))
            if cell in cells:
                met = {key: row[key] for key in (*run, "agent")}
                refuse("rows", met, "each run with each agent once")
            cells[cell] = row["score"]
    tables = np.full((len(parts), len(runs), len(agents)), np.nan)
    if cells:
        tables[tuple(zip(*cells, strict=True))] = np.array([*cells.values()], np.float64)
    return tables


def _values(record: Record, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(record[key] for key in keys)


def frame_records(frame: pd.DataFrame) -> list[Record]:
    """Lists the lines of a table as dictionaries.

    Example:
      >>> import pandas as pd
      >>> frame_records(pd.DataFrame({"K": [0, 1]}))
      [{'K': 0}, {'K': 1}]
    """
    return [{str(key): value for key, value in line.items()} for line in frame.to_dict("records")]


def tidy(axes: Mapping[str, Sequence[Any]], /, **values: ArrayLike) -> list[Record]:
    """Makes one record for each cell of arrays whose axes have names.

    Args:
      axes: name to the values along it, in the order of the axes.
      values: name to an array of these axes; further axes are refused.

    Returns:
      Records with the axes' names and those of the values, the last axis varying fastest.

    Raises:
      ConfigError: an array of another shape.

    >>> tidy({"seed": [0, 1], "step": ["a"]}, score=np.asarray([[0.5], [1.5]]))
    [{'seed': 0, 'step': 'a', 'score': 0.5}, {'seed': 1, 'step': 'a', 'score': 1.5}]
    """
    shape = tuple(len(along) for along in axes.values())
    tables = {name: np.asarray(table) for name, table in values.items()}
    for name, table in tables.items():
        if table.shape != shape:
            refuse(name, table.shape, f"the shape {shape} of the axes {', '.join(axes)}")
    return [
        dict(zip(axes, place, strict=True)) | {n: x[cell].item() for n, x in tables.items()}
        for cell, place in zip(np.ndindex(shape), itertools.product(*axes.values()), strict=True)
    ]
