"""Records as Parquet files under an explicit schema, small and checked when read."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermaide_jax.errors import refuse
from mermaide_jax.results.migration import upgrade_columns, upgrade_records
from mermaide_jax.results.records import grouped
from mermaide_jax.results.schema import FORMAT_VERSION, check_records, python_types

__all__ = ["frame_writer", "read_table", "table_writer", "thin_curves"]

Record = dict[str, Any]

_VERSION = "format_version"
_CURVE = ("principal", "family", "seed", "phase")


def table_writer(records: Sequence[Record], schema: pa.Schema) -> Callable[[Path], None]:
    """Makes what writes the records as Parquet, for `write_atomically`.

    Args:
      records: as `check_records` accepts them; columns beyond those of the schema are kept, null
        where a record has none.
      schema: of the records.

    Example:
      >>> import pathlib, tempfile
      >>> from mermaide_jax.results.schema import ROW_COLUMNS, ROW_SCHEMA
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"score": 1.5}
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.parquet"
      >>> table_writer([row], ROW_SCHEMA)(path)
      >>> read_table(path, ROW_SCHEMA)[0]["score"]
      1.5
    """
    extra = dict.fromkeys(name for r in records for name in r if name not in schema.names)
    arrays = [pa.array([r[field.name] for r in records], field.type) for field in schema]
    arrays += [pa.array([r.get(name) for r in records]) for name in extra]
    fields = [
        *schema,
        *(pa.field(n, a.type) for n, a in zip(extra, arrays[len(schema) :], strict=True)),
    ]
    full = pa.schema(fields, metadata={_VERSION: str(FORMAT_VERSION)})
    return functools.partial(_write_parquet, pa.Table.from_arrays(arrays, schema=full))


def frame_writer(frame: pd.DataFrame) -> Callable[[Path], None]:
    """Makes what writes a table of an experiment as Parquet, its floats in single precision.

    Example:
      >>> import pathlib, tempfile
      >>> import pandas as pd
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "scores.parquet"
      >>> frame_writer(pd.DataFrame({"score": [0.5]}))(path)
      >>> pd.read_parquet(path)["score"].tolist()
      [0.5]
    """
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for place, field in enumerate(table.schema):
        if field.type == pa.float64():
            single = table[field.name].cast(pa.float32())
            table = table.set_column(place, field.with_type(pa.float32()), single)
    return functools.partial(_write_parquet, table)


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Writes it small: numbers that hardly repeat by the place of their bytes, all else coded."""
    single: Any = [field.name for field in table.schema if field.type == pa.float32()]
    others: Any = [name for name in table.column_names if name not in single]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=others,
        use_byte_stream_split=single,
    )


def read_table(path: Path, schema: pa.Schema) -> list[Record]:
    """Reads the records in a Parquet file of this or an earlier format.

    Args:
      path: of the file.
      schema: that the records must have.

    Returns:
      The records; a column beyond the schema is left out where it is null.

    Raises:
      ConfigError: in one line naming the file, if it is missing, truncated, of another format
        version, or lacks a column.

    Example:
      >>> import pathlib
      >>> from mermaide_jax.results.schema import ROW_SCHEMA
      >>> read_table(pathlib.Path("no_such.parquet"), ROW_SCHEMA)
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: no_such.parquet: ...
    """
    table = _parquet(path)
    version = (table.schema.metadata or {}).get(_VERSION.encode(), b"none").decode()
    names = upgrade_columns(table.column_names) if version == "1" else table.column_names
    missing = [name for name in schema.names if name not in names]
    if missing:
        refuse(str(path), table.column_names, f"column {missing[0]!r} among them")
    if version not in map(str, range(1, FORMAT_VERSION + 1)):
        refuse(str(path), version, f"{_VERSION} 1 to {FORMAT_VERSION}")
    found = table.to_pylist()
    records = [
        {name: value for name, value in record.items() if value is not None or name in schema.names}
        for record in (upgrade_records(found) if version == "1" else found)
    ]
    check_records(str(path), records, python_types(schema))
    return records


def _parquet(path: Path) -> pa.Table:
    """The table in a file."""
    data = read_bytes(path)
    try:
        return pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowException) as error:
        refuse(str(path), f"{len(data)} bytes; {error}", "complete Parquet, not a truncated file")


def read_bytes(path: Path) -> bytes:
    """Reads a file of these results.

    Raises:
      ConfigError: naming the file, if it is missing or cannot be read.

    Example:
      >>> import pathlib, tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
      >>> _ = path.write_text("said")
      >>> read_bytes(path)
      b'said'
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        refuse(str(path), "no such file", "a directory that `mermaide reproduce` wrote")
    except OSError as error:
        refuse(str(path), error.strerror, "a file that can be read")


def thin_curves(curves: Iterable[Record], points: int = 25) -> list[Record]:
    """Averages training curves over stretches of equal length, for records that are kept for long.

    Args:
      curves: as in `Results.curves`.
      points: at most so many of each principal, family, seed and phase are left.

    Returns:
      Records with the means of a stretch, under its last update; what was not measured anywhere
      in it stays None.

        >>> run = dict(principal="mermaide", family="ucb", seed=0, phase="joint")
        >>> thin_curves([run | dict(update=u, score=float(u)) for u in range(4)], 2)[1]["score"]
        2.5
    """
    thinned = []
    for run in grouped(curves, _CURVE).values():
        length = math.ceil(len(run) / points)
        thinned += [_mean_record(run[i : i + length]) for i in range(0, len(run), length)]
    return thinned


def _mean_record(records: Sequence[Record]) -> Record:
    """The last record, its floats being the means of all."""
    mean = dict(records[-1])
    for name in mean:
        values = [record.get(name) for record in records]
        measured = [value for value in values if isinstance(value, float)]
        if measured:
            mean[name] = float(np.mean(measured))
    return mean
