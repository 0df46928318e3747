"""All suites in one call: measured, judged, written, drawn."""

import datetime
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mermaide_jax.benchmarks import figures, machine
from mermaide_jax.benchmarks.contender import ONE_THREAD
from mermaide_jax.benchmarks.rows import ROWS, judge
from mermaide_jax.benchmarks.runner import (
    FULL,
    QUICK,
    Platform,
    Say,
    Settings,
    measure_case,
)
from mermaide_jax.benchmarks.suites import SUITES
from mermaide_jax.errors import check_choice
from mermaide_jax.results.files import write_atomically
from mermaide_jax.results.provenance import source_revision

FORMAT_VERSION = 1
FILE = "speed.json"


def run_suites(
    names: Sequence[str], settings: Settings, say: Say = lambda line: None, command: str = ""
) -> dict[str, Any]:
    """Measures the suites and judges every row of the table.

    Args:
      names: suites; the others' rows are reported as not run.
      settings: `runner.FULL` or `runner.QUICK`, or others.
      say: told of progress, a line at a time.
      command: what the user typed, for the record.

    Returns:
      What goes into ``speed.json``.

    Raises:
      ConfigError: an unknown suite.
    """
    check_suites(names)
    started = time.monotonic()
    records, seconds = [], {}
    for suite in (suite for suite in SUITES if suite in names):
        begun = time.monotonic()
        for case in SUITES[suite](settings.quick):
            records.append(measure_case(case, settings, say))
        seconds[suite] = time.monotonic() - begun
    described, found = machine.describe(), machine.versions()
    general = {
        "cpu": described.get("cpu"),
        "platform": settings.platform,
        "threads": 1,
        "quick": settings.quick,
        "jax": found.get("jax"),
    }
    by_name = {record["name"]: record for record in records}
    return {
        "format_version": FORMAT_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
        "revision": source_revision(),
        "quick": settings.quick,
        "platform": settings.platform,
        "repeats": settings.repeats,
        "least_seconds_of_a_repeat": settings.least_s,
        "wall_time_s": time.monotonic() - started,
        "machine": described,
        "versions": found,
        "environment": dict(ONE_THREAD),
        "suites": list(seconds),
        "suite_seconds": seconds,
        "ratios": {row.key: judge(row, by_name, general) for row in ROWS},
        "cases": records,
    }


def check_suites(names: Sequence[str]) -> None:
    """Refuses suites that there are not.

    Raises:
      ConfigError: naming the suites.
    """
    for name in names:
        check_choice("suites", name, SUITES)


def write(directory: Path, results: dict[str, Any]) -> list[Path]:
    """Writes ``speed.json`` and the figures that there is something to draw for.

    Returns:
      The paths of all files.
    """

    def save(path: Path) -> None:
        text = json.dumps(_finite(results), indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")

    writers: dict[str, Callable[[Path], None]] = {FILE: save, **figures.writers(results)}
    return list(write_atomically(directory, writers).values())


def settings_of(quick: bool, platform: Platform = "cpu") -> Settings:
    """How carefully a full or a quick call measures, and where."""
    return (QUICK if quick else FULL)._replace(platform=platform)


def _finite(value: Any) -> Any:
    """The same with None for what JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
