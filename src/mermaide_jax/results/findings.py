"""The findings in one file for machines: each finding is a block of measured numbers.

    {"F1": {"payoff_ratio_at_10_interactions": {"value": 0.97, "low": ..., "high": ...,
                                                "command": "..."}, ...}, "F2": {...}}

Several experiments write into the same file, each its own block.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from mermaide_jax.errors import refuse
from mermaide_jax.results.files import text_writer, write_atomically
from mermaide_jax.results.schema import check_records, to_plain

__all__ = ["merge_finding", "read_findings"]

_MEASURE = {"value": float, "low": float, "high": float, "command": str}


def read_findings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the blocks of a findings file; none if there is no such file.

    Args:
      path: of `findings.json`.

    Raises:
      ConfigError: if the file is not a JSON object.

    Example:
      >>> read_findings("no_such_directory/findings.json")
      {}
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        refuse(str(path), str(error), "complete JSON, not a truncated file")
    if not isinstance(content, dict):
        refuse(str(path), content, "a JSON object")
    return content


def merge_finding(
    path: str | os.PathLike[str], name: str, block: Mapping[str, Any]
) -> dict[str, Any]:
    """Replaces the block of one finding and leaves all others as they are.

    The file is replaced as a whole and atomically, under a lock beside it, so that experiments may
    end at the same time.

    Args:
      path: of `findings.json`; its directory must exist.
      name: of the finding, such as ``"F1"``.
      block: key to measure, or to further keys; a measure has ``value``, ``low`` and ``high``
        (numbers, or None if not measured) and the ``command`` that made it, and may have more.

    Returns:
      The whole content as written.

    Raises:
      ConfigError: if a measure lacks a part, or the file holds something else.
      OSError: if the disk refuses.

    Example:
      >>> import pathlib, tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "findings.json"
      >>> measure = {"value": 1.0, "low": 0.9, "high": 1.1, "command": "python experiments/mine.py"}
      >>> sorted(merge_finding(path, "F9", {"score": measure}))
      ['F9']
    """
    target = Path(path)
    plain = to_plain(block)
    _check_measures(name, plain)
    with FileLock(_lock_path(target)):
        content = {**read_findings(target), name: plain}
        content = dict(sorted(content.items()))
        text = json.dumps(content, allow_nan=False, indent=1) + "\n"
        write_atomically(target.parent, {target.name: text_writer(text)})
    return content


def _check_measures(name: str, block: Mapping[str, Any]) -> None:
    """Refuses a block that is neither a measure nor made of such, to any depth."""
    for key, part in block.items():
        nested = isinstance(part, Mapping) and part and "value" not in part
        if nested and all(isinstance(inner, Mapping) for inner in part.values()):
            _check_measures(f"{name}.{key}", part)
        else:
            check_records(f"{name}.{key}", [part], _MEASURE)


def _lock_path(target: Path) -> Path:
    """A hidden file beside the findings, where nobody writes who may not write these."""
    return target.with_name(f".{target.name}.lock")
