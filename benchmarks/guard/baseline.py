"""What was counted before, a file for each release of JAX, and what exceeds it."""

import json
from collections.abc import Iterator
from pathlib import Path

import jax

from benchmarks.guard.programs import Counts, Table
from mermaide_jax.results.files import text_writer, write_atomically

BASELINES = Path(__file__).parent / "baselines"

TOLERANCES: dict[str, float] = {
    "product_flops": 0.005,
    "elements": 0.02,
    "transcendentals": 0.02,
    "random_words": 0.02,
    "flops": 0.02,
    "bytes_accessed": 0.1,
    "temp_bytes": 0.1,
    "instructions": 0.1,
    "fusions": 0.1,
    "loops": 0.0,
    "compilations": 0.0,
}
"""Quantity to the share by which it may exceed the baseline."""


def jax_version() -> str:
    """Reads the version of JAX, ``major.minor``: what XLA makes of a program depends on it."""
    return ".".join(jax.__version__.split(".")[:2])


def path_of(version: str, directory: Path = BASELINES) -> Path:
    """Names the file of one release of JAX."""
    return directory / f"jax-{version}.json"


def versions(directory: Path = BASELINES) -> list[str]:
    """Lists the releases of JAX that there are baselines for, oldest first."""
    found = [path.stem.removeprefix("jax-") for path in directory.glob("jax-*.json")]
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])


def read(version: str, directory: Path = BASELINES) -> Table | None:
    """Reads the baseline of one release; None if there is none."""
    path = path_of(version, directory)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(counted: Table, version: str, directory: Path = BASELINES) -> Path:
    """Writes the baseline of one release; a failure leaves the former one."""
    path = path_of(version, directory)
    text = json.dumps(counted, indent=1, sort_keys=True)
    write_atomically(path.parent, {path.name: text_writer(text + "\n")})
    return path


def complaints(counted: Table, baseline: Table) -> list[str]:
    """Lists what exceeds the baseline, a line each.

    Args:
      counted: from `programs.measure`.
      baseline: from `read`, of the same release of JAX.
    """
    lines = [f"{name}: not in the baseline" for name in counted if name not in baseline]
    lines += [f"{name}: not counted any more" for name in baseline if name not in counted]
    for name in counted:
        if name in baseline:
            lines += _exceeded(name, counted[name], baseline[name])
    return lines


def _exceeded(name: str, now: Counts, former: Counts) -> Iterator[str]:
    for quantity in sorted({*now, *former}):
        allowed = TOLERANCES[name if name == "compilations" else quantity]
        old, new = former.get(quantity, 0), now.get(quantity, 0)
        if new > old and new > old * (1.0 + allowed):
            share = f"{new / old - 1.0:+.1%}" if old else "new"
            yield f"{name}: {quantity} is {new:,}, was {old:,} ({share}, allowed {allowed:+.1%})"
