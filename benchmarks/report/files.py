"""What a call leaves on disk: every number in ``speed.json``, and the figures."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import figures
from mermaide_jax.results.files import text_writer, write_atomically

FORMAT_VERSION = 1
FILE = "speed.json"


def write(directory: Path, results: dict[str, Any]) -> list[Path]:
    """Writes ``speed.json`` and the figures that there is something to draw for.

    Returns:
      The paths of all files.
    """
    save = text_writer(json.dumps(_finite(results), indent=1, allow_nan=False) + "\n")
    writers: dict[str, Callable[[Path], None]] = {FILE: save, **figures.writers(results)}
    return list(write_atomically(directory, writers).values())


def _finite(value: Any) -> Any:
    """The same with None for what JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
