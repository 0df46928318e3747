"""The results of one study, on disk: `results.json` and a table for each kind of record.

`results.json` says how they were made. `results.parquet` holds the rows, `curves.parquet` the
training curves, `episodes.parquet` what was recorded to be drawn, `attained.parquet` the shares of
the attainable; their columns are in `schema`. Files are replaced atomically and checked when read.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mermaide_jax.errors import refuse
from mermaide_jax.results.files import prepare_output, text_writer, write_atomically
from mermaide_jax.results.migration import upgrade_content
from mermaide_jax.results.provenance import collect_versions, source_revision
from mermaide_jax.results.schema import (
    ATTAINED_SCHEMA,
    CURVE_SCHEMA,
    EPISODE_SCHEMA,
    FORMAT_VERSION,
    ROW_SCHEMA,
    check_records,
    python_types,
    to_plain,
)
from mermaide_jax.results.tables import read_bytes, read_table, table_writer, thin_curves

__all__ = [
    "FORMAT_VERSION",
    "Results",
    "collect_versions",
    "merge_results",
    "prepare_output",
    "read_results",
    "reduce_results",
    "source_revision",
    "write_results",
]

RESULTS_FILE = "results.json"

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


_TABLES: dict[str, tuple[str, pa.Schema]] = {
    "curves": ("curves.parquet", CURVE_SCHEMA),
    "rows": ("results.parquet", ROW_SCHEMA),
    "episodes": ("episodes.parquet", EPISODE_SCHEMA),
    "attained": ("attained.parquet", ATTAINED_SCHEMA),
}
"""Records to the file that holds them, and its schema."""

_JSON_KEYS: dict[str, type | tuple[type, ...]] = {
    "config": dict,
    "versions": dict,
    "device": str,
    "wall_time_s": (int, float),
    "revision": str,
    "command": str,
}


def write_results(directory: str | os.PathLike[str], results: Results) -> Path:
    """Writes `results.json` and the tables; if anything fails, former files stay as they were.

    NaN and infinity are written as null. Arrays and dataclasses are written as lists and objects.
    Curves and recorded episodes are kept in single precision, which they were computed in.

    Args:
      directory: an existing directory, see `prepare_output`.
      results: what to write.

    Returns:
      The path of `results.json`.

    Raises:
      ConfigError: if a record lacks a column or holds a value of another type.
      OSError: if the disk refuses.

    Example:
      >>> import tempfile
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"score": 1.5}
      >>> results = Results({}, {}, "a CPU", 1.0, "", [row], [], [], "mermaide reproduce")
      >>> write_results(tempfile.mkdtemp(), results).name
      'results.json'
    """
    plain = to_plain(results)
    writers = {}
    for name, (file, schema) in _TABLES.items():
        records = plain.pop(name)
        check_records(name, records, python_types(schema))
        writers[file] = table_writer(records, schema)
    text = json.dumps({"format_version": FORMAT_VERSION, **plain}, allow_nan=False, indent=1)
    writers[RESULTS_FILE] = text_writer(text + "\n")
    return write_atomically(Path(directory), writers)[RESULTS_FILE]


def read_results(directory: str | os.PathLike[str]) -> Results:
    """Reads what `write_results` wrote in this or an earlier format, and refuses anything else.

    Args:
      directory: where `results.json` and the tables lie.

    Returns:
      The results; what was NaN or infinite comes back as None.

    Raises:
      ConfigError: in one line naming the file, what was found and what is allowed, if a file is
        missing, truncated, not what its name says, of another format version, or incomplete.

    Example:
      >>> import tempfile
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"score": 1.5}
      >>> results = Results({}, {}, "a CPU", 1.0, "", [row], [], [], "mermaide reproduce")
      >>> read_results(write_results(tempfile.mkdtemp(), results).parent).rows[0]["score"]
      1.5
    """
    path = Path(directory) / RESULTS_FILE
    content = _read_json(path)
    version = content.pop("format_version", None)
    if version is None:
        refuse(str(path), sorted(content), "format_version among them: results of a study")
    if version not in range(1, FORMAT_VERSION + 1):
        refuse(str(path), version, f"format_version 1 to {FORMAT_VERSION}")
    if version < 3:  # but for the curves, records lay in the JSON
        content = {"attained": []} | (upgrade_content(content) if version == 1 else content)
    for key, kind in _JSON_KEYS.items():
        if key not in content:
            refuse(str(path), sorted(content), f"key {key!r} among them")
        _check_kind(f"{path} {key}", content[key], kind)
    records: Record = {name: _records(path, content, name) for name in _TABLES}
    return Results(**{key: content[key] for key in _JSON_KEYS}, **records)


def _records(path: Path, content: Record, name: str) -> list[Record]:
    """The records of this name, from where the format has them."""
    file, schema = _TABLES[name]
    if name not in content:
        return read_table(path.with_name(file), schema)
    _check_kind(f"{path} {name}", content[name], list)
    check_records(f"{path} {name}", content[name], python_types(schema))
    return content[name]


def _check_kind(where: str, value: Any, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        refuse(where, value, _name(kind))


def reduce_results(results: Results) -> Results:
    """Leaves out recorded episodes and averages training curves: what a repository keeps.

    Args:
      results: of a study.

    Returns:
      The same rows and shares, at most 25 points of a curve (`tables.thin_curves`).

    Example:
      >>> recorded = [{"action": [0]}]
      >>> results = Results({}, {}, "a CPU", 1.0, "", [], [], recorded, "mermaide reproduce")
      >>> reduce_results(results).episodes
      []
    """
    return dataclasses.replace(results, episodes=[], curves=thin_curves(results.curves))


def merge_results(parts: Sequence[Results]) -> Results:
    """Merges studies that differ in agents' families, seeds or principals alone.

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
        a run that is there twice, or seeds with a gap.

    Example:
      >>> merge_results([])
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: ...
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
    seeds = sorted({row["seed"] for part in parts for row in part.rows})
    if "seeds" in merged and seeds:
        if seeds[-1] - seeds[0] + 1 > len(seeds):
            refuse("parts", seeds, "seeds in a row: a config says the first and how many")
        merged |= {"seed": seeds[0], "seeds": len(seeds)}
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


def _read_json(path: Path) -> Record:
    """The JSON object in a file."""
    data = read_bytes(path)
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        refuse(str(path), f"{len(data)} bytes; {error}", "complete JSON, not a truncated file")
    if not isinstance(content, dict):
        refuse(str(path), content, "a JSON object")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"the constant {name}")
