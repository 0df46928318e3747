"""The results of one study, on disk: `results.json`, `results.parquet` and `curves.parquet`.

`results.json` is the whole record but for the training curves; `results.parquet` holds its rows
once more as a tidy table, for other tools; of a compact record they lie there alone, in a
thirtieth of the space. Files are replaced atomically and checked when read.
"""

import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mermaide_jax.errors import refuse
from mermaide_jax.results.files import prepare_output, text_writer, write_atomically
from mermaide_jax.results.migration import (
    upgrade_columns,
    upgrade_content,
    upgrade_records,
)
from mermaide_jax.results.provenance import collect_versions, source_revision
from mermaide_jax.results.schema import (
    ATTAINED_COLUMNS,
    CURVE_COLUMNS,
    EPISODE_KEYS,
    FORMAT_VERSION,
    ROW_COLUMNS,
    check_records,
    to_plain,
)

__all__ = [
    "ATTAINED_COLUMNS",
    "CURVE_COLUMNS",
    "EPISODE_KEYS",
    "FORMAT_VERSION",
    "ROW_COLUMNS",
    "Results",
    "collect_versions",
    "merge_results",
    "prepare_output",
    "read_results",
    "source_revision",
    "write_results",
]

RESULTS_FILE = "results.json"
ROWS_FILE = "results.parquet"
CURVES_FILE = "curves.parquet"

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything a study leaves behind; `write_results` and `read_results` are inverses.

    Attributes:
      config: the study's configuration, nested.
      versions: distribution to version, from `collect_versions`.
      device: what it ran on, in words.
      wall_time_s: seconds from start to end.
      revision: of the source, from `source_revision`.
      rows: one record per principal, seed, agent and K; columns `ROW_COLUMNS`.
      curves: one record per principal, family, seed and update; columns `CURVE_COLUMNS`.
      episodes: recorded episodes, to draw; keys `EPISODE_KEYS`.
      command: the command line that made them.
      attained: one record per principal, family, K and oracle; columns `ATTAINED_COLUMNS`. Results
        of an earlier release have none.
    """

    config: Record
    versions: dict[str, str]
    device: str
    wall_time_s: float
    revision: str
    rows: list[Record]
    curves: list[Record]
    episodes: list[Record]
    command: str
    attained: list[Record] = dataclasses.field(default_factory=list)


_JSON_KEYS: dict[str, type | tuple[type, ...]] = {
    "config": dict,
    "versions": dict,
    "device": str,
    "wall_time_s": (int, float),
    "revision": str,
    "rows": list,
    "episodes": list,
    "command": str,
    "attained": list,
}


def write_results(
    directory: str | os.PathLike[str], results: Results, *, compact: bool = False
) -> Path:
    """Writes the three files; if anything fails, former files stay as they were.

    NaN and infinity are written as null. Arrays and dataclasses are written as lists and objects.

    Args:
      directory: an existing directory, see `prepare_output`.
      results: what to write.
      compact: leave the rows out of `results.json`; they are read from `results.parquet` then.

    Returns:
      The path of `results.json`.

    Raises:
      ConfigError: if a record lacks a column or holds a value of another type.
      OSError: if the disk refuses.
    """
    plain = to_plain(results)
    curves = plain.pop("curves")
    check_records("rows", plain["rows"], ROW_COLUMNS)
    check_records("curves", curves, CURVE_COLUMNS)
    check_records("episodes", plain["episodes"], EPISODE_KEYS)
    check_records("attained", plain["attained"], ATTAINED_COLUMNS)
    rows = plain.pop("rows") if compact else plain["rows"]
    text = _record_a_line({"format_version": FORMAT_VERSION, **plain})
    paths = write_atomically(
        Path(directory),
        {
            CURVES_FILE: _table_writer(curves, CURVE_COLUMNS),
            ROWS_FILE: _table_writer(rows, ROW_COLUMNS),
            RESULTS_FILE: text_writer(text),
        },
    )
    return paths[RESULTS_FILE]


def _record_a_line(content: Mapping[str, Any]) -> str:
    """JSON with each record of a list on a line of its own: small, and told apart by ``diff``."""
    encode = functools.partial(json.dumps, allow_nan=False, separators=(",", ":"))
    fields = []
    for key, value in content.items():
        many = isinstance(value, list) and value
        text = "[\n" + ",\n".join(map(encode, value)) + "\n]" if many else encode(value)
        fields.append(f"{encode(key)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _table_writer(records: Sequence[Record], columns: Mapping[str, type]) -> Callable[[Path], None]:
    """A function that writes the records as Parquet; columns beyond the known ones are kept."""
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    extra = dict.fromkeys(name for record in records for name in record if name not in columns)
    arrays = {
        name: pa.array([record[name] for record in records], type=types[kind])
        for name, kind in columns.items()
    }
    arrays |= {name: pa.array([record.get(name) for record in records]) for name in extra}
    table = pa.table(arrays).replace_schema_metadata({"format_version": str(FORMAT_VERSION)})
    return lambda path: pq.write_table(table, path)


def read_results(directory: str | os.PathLike[str]) -> Results:
    """Reads what `write_results` wrote, and refuses anything else.

    Args:
      directory: where `results.json` and `curves.parquet` lie, and `results.parquet` if the rows
        do not lie in the first.

    Returns:
      The results; what was NaN or infinite comes back as None.

    Raises:
      ConfigError: in one line naming the file, what was found and what is allowed, if a file is
        missing, truncated, not what its name says, of another format version, or incomplete.
    """
    path = Path(directory) / RESULTS_FILE
    content = _read_json(path)
    version = content.pop("format_version", None)
    if version is None:
        refuse(str(path), sorted(content), "format_version among them: results of a study")
    if version not in (1, FORMAT_VERSION):
        refuse(str(path), version, f"format_version 1 or {FORMAT_VERSION}")
    content.setdefault("attained", [])
    rows_file = Path(directory) / ROWS_FILE
    if "rows" not in content and rows_file.exists():
        content["rows"] = _read_table(rows_file, ROW_COLUMNS)
    if version == 1:
        content = upgrade_content(content)
    for key, kind in _JSON_KEYS.items():
        if key not in content:
            refuse(str(path), sorted(content), f"key {key!r} among them")
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            refuse(f"{path} {key}", content[key], _name(kind))
    check_records(f"{path} rows", content["rows"], ROW_COLUMNS)
    check_records(f"{path} episodes", content["episodes"], EPISODE_KEYS)
    check_records(f"{path} attained", content["attained"], ATTAINED_COLUMNS)
    curves = _read_table(Path(directory) / CURVES_FILE, CURVE_COLUMNS)
    return Results(**{key: content[key] for key in _JSON_KEYS}, curves=curves)


def merge_results(parts: Sequence[Results]) -> Results:
    """One study of several that differ in agents' families, seeds or principals alone.

    A long study can so be run in parts, side by side. Parts with other principals may also train
    otherwise: a baseline whose own schedule was tuned is so put beside the rest. Shares of the
    attainable are not merged, as they are measures of all rows together; see
    `attained.attained_records`.

    Args:
      parts: at least one; their rows must not repeat each other.

    Returns:
      Results with the config of the first part but the principals, families and seeds of all, the
      sum of wall times, and the commands of all, one a line. Revisions and devices that differ are
      all named.

    Raises:
      ConfigError: no parts, parts that differ in more, a principal that was trained in two ways,
        or a run that is there twice.
    """
    if not parts:
        refuse("parts", [], "at least one study")
    for one, other in itertools.combinations(parts, 2):
        _check_alike(one, other)
    rows = [row for part in parts for row in part.rows]
    runs = [tuple(row[key] for key in _RUN) for row in rows]
    if len(set(runs)) < len(runs):
        refuse("parts", max(runs, key=runs.count), "each run once")
    return dataclasses.replace(
        parts[0],
        config=_merged_config(parts),
        device="; ".join(dict.fromkeys(part.device for part in parts)),
        revision="; ".join(dict.fromkeys(part.revision for part in parts)),
        wall_time_s=sum(part.wall_time_s for part in parts),
        rows=rows,
        curves=[record for part in parts for record in part.curves],
        episodes=[record for part in parts for record in part.episodes],
        command="\n".join(part.command for part in parts),
        attained=[],
    )


def _merged_config(parts: Sequence[Results]) -> Record:
    """The config of the first part, with the principals, families and seeds of all."""
    configs = [part.config for part in parts]
    merged = dict(configs[0])
    if "principals" in merged:
        merged["principals"] = _union(config["principals"] for config in configs)
    if "agents" in merged:
        families = _union(config["agents"]["families"] for config in configs)
        merged["agents"] = merged["agents"] | {"families": families}
    seeds = {row["seed"] for part in parts for row in part.rows}
    if "seeds" in merged and seeds:
        merged |= {"seed": min(seeds), "seeds": len(seeds)}
    return merged


def _union(lists: Iterable[Sequence[str]]) -> list[str]:
    """What is in any of them, each once, in order."""
    return list(dict.fromkeys(itertools.chain.from_iterable(lists)))


_RUN = ("principal", "family", "coefficient", "agent", "seed", "k_shot", "horizon")
_MAY_DIFFER = {"agents.families", "seed", "seeds", "principals"}
_TRAINING = ("training.", "baseline_entropy")


def _check_alike(one: Results, other: Results) -> None:
    """Refuses parts that are not of one study."""
    different = _differences(one.config, other.config)
    training = [path for path in different if path.startswith(_TRAINING)]
    if len(training) < len(different):
        path = next(path for path in different if path not in training)
        refuse("parts", path, "studies that differ in families, seeds and principals alone")
    both = {row["principal"] for row in one.rows} & {row["principal"] for row in other.rows}
    if training and both:
        refuse("parts", training[0], f"one way to train {', '.join(sorted(both))}")


def _differences(first: Record, second: Record, where: str = "") -> list[str]:
    """Names of the fields in which two configs differ, but for those that parts may differ in."""
    found = []
    for name in dict.fromkeys([*first, *second]):
        one, other, path = first.get(name), second.get(name), where + name
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, path + ".")
        elif one != other and path not in _MAY_DIFFER:
            found.append(path)
    return found


def _name(kind: type | tuple[type, ...]) -> str:
    """The type as JSON calls it."""
    names = {dict: "an object", list: "a list", str: "text"}
    return "a number" if isinstance(kind, tuple) else names[kind]


def _read_bytes(path: Path) -> bytes:
    """The content of a file of these results."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        refuse(str(path), "no such file", f"a directory with {RESULTS_FILE} and {CURVES_FILE}")
    except OSError as error:
        refuse(str(path), error.strerror, "a file that can be read")


def _read_json(path: Path) -> Record:
    """The JSON object in a file."""
    data = _read_bytes(path)
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        refuse(str(path), f"{len(data)} bytes; {error}", "complete JSON, not a truncated file")
    if not isinstance(content, dict):
        refuse(str(path), content, "a JSON object")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"the constant {name}")


def _read_table(path: Path, columns: Mapping[str, type]) -> list[Record]:
    """The records in a Parquet file, checked against the columns."""
    data = _read_bytes(path)
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowException) as error:
        found = f"{len(data)} bytes; {error}"
        refuse(str(path), found, "complete Parquet, not a truncated file")
    version = (table.schema.metadata or {}).get(b"format_version", b"none").decode()
    names = upgrade_columns(table.column_names) if version == "1" else table.column_names
    missing = [name for name in columns if name not in names]
    if missing:
        refuse(str(path), table.column_names, f"column {missing[0]!r} among them")
    if version not in ("1", str(FORMAT_VERSION)):
        refuse(str(path), version, f"format_version 1 or {FORMAT_VERSION}")
    found = table.to_pylist()
    # Columns beyond the known ones are null where a record has none.
    records = [
        {name: value for name, value in record.items() if value is not None or name in columns}
        for record in (upgrade_records(found) if version == "1" else found)
    ]
    check_records(str(path), records, columns)
    return records
