"""The processor: what it is called, what it can do, and how much of it this process may use.

Everything is read from where Linux tells it (``/proc``, ``/sys/fs/cgroup``); other systems tell
less, and what is not known is left out. Nothing here imports JAX: some of it is needed before JAX
starts.
"""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

INFO = Path("/proc/cpuinfo")
MEMORY = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")

_KIND = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part")
"""Fields of `INFO` by which machine code for one kind of processor may not run on another."""


def name() -> str:
    """Names the model, such as ``AMD EPYC 9R14``; "" where the system does not tell."""
    return _field(INFO, "model name") or platform.processor()


def flags() -> frozenset[str]:
    """Lists the instruction sets and other features, as Linux spells them."""
    return frozenset((_field(INFO, "flags") or _field(INFO, "Features")).split())


def kind() -> list[str]:
    """Lists what machine code depends on: system, architecture, model and features."""
    facts = [platform.system(), platform.machine()]
    if lines := _first_block(INFO):
        return facts + [line for line in lines if line.startswith(_KIND)]
    return [*facts, platform.processor()]


def usable_cores() -> list[int]:
    """Numbers the cores that this process may run on, ascending; [] where that is not known."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else []


def count() -> int:
    """Counts the cores that this process can keep busy.

    A container may be allowed the time of fewer cores than it may run on: threads beyond that
    number only wait for one another.
    """
    cores = len(usable_cores()) or os.cpu_count() or 1
    limit = quota()
    return cores if limit is None else max(1, min(cores, round(limit)))


def quota() -> float | None:
    """Reads how many cores' worth of time the control group allows; None: as many as there are."""
    second = _words(CGROUP / "cpu.max")
    first = [*_words(CGROUP / "cpu/cpu.cfs_quota_us"), *_words(CGROUP / "cpu/cpu.cfs_period_us")]
    for limit in (second, first):
        if len(limit) == 2 and limit[0].isdigit() and int(limit[1]) > 0:
            return int(limit[0]) / int(limit[1])
    return None


def describe() -> dict[str, Any]:
    """Describes the machine for a report: processor, cores, memory and system."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "cores_available": len(usable_cores()),
        "core_limit": quota(),
        "cpu": name(),
        "memory": _field(MEMORY, "MemTotal"),
        "load_average": [round(average, 2) for average in load],
    }
    return {key: value for key, value in facts.items() if value}


def _first_block(path: Path) -> Sequence[str]:
    """The lines up to the first empty one, those of the first core; none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return []


def _field(path: Path, name: str) -> str:
    """The value of ``name : value``, or ""."""
    pairs = (line.partition(":") for line in _first_block(path))
    return next((value.strip() for key, _, value in pairs if key.strip() == name), "")


def _words(path: Path) -> list[str]:
    return " ".join(_first_block(path)).split()
