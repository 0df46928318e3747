"""Measures the contenders of a case in turn, block by block, on the same core."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from mermaide_jax.benchmarks import statistics
from mermaide_jax.benchmarks.contender import Case, Contender
from mermaide_jax.benchmarks.process import NotMeasured, Worker, available_cores

Say = Callable[[str], None]


class Settings(NamedTuple):
    """How carefully everything is measured.

    Attributes:
      quick: smaller and fewer, to see that all runs and where things roughly stand.
      repeats: blocks.
      least_s: shortest time of one repeat of one contender.
    """

    quick: bool
    repeats: int
    least_s: float


FULL = Settings(quick=False, repeats=12, least_s=0.05)
QUICK = Settings(quick=True, repeats=5, least_s=0.02)


class _Entry:
    """A contender on its way: its worker while it lives, and its record."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.worker: Worker | None = None
        self.calls = 1
        self.record: dict[str, Any] = {
            "name": contender.name,
            "factory": contender.factory,
            "options": dict(contender.options),
            "work": contender.work,
            "agents": contender.agents,
            "cores": contender.cores,
            "environment": dict(contender.environment),
            "status": "measured",
            "cpu_s": [],
            "wall_s": [],
        }
        self.checksums: list[float] = []

    def give_up(self, reason: NotMeasured) -> None:
        """Ends the worker; the record says why."""
        self.record.update(status="not measured", reason=str(reason))
        self.close()

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()
            self.worker = None


def measure_case(case: Case, settings: Settings, say: Say = lambda line: None) -> dict[str, Any]:
    """Measures one case.

    Every contender is set up in its own process; then, block after block, each runs its repeat, so
    that whatever else the machine does meets all of them alike. The order turns by one in every
    block. A contender that fails is recorded as not measured and the rest goes on.

    Args:
      case: the contenders.
      settings: number and length of repeats.
      say: told of progress, a line at a time.

    Returns:
      The record of the case, as it goes into ``speed.json``.
    """
    entries = [_Entry(contender) for contender in case.contenders]
    repeats = case.repeats or settings.repeats
    try:
        for entry in entries:
            _start(entry, case, settings, say)
        for block in range(repeats):
            turn = block % len(entries)
            for entry in [*entries[turn:], *entries[:turn]]:
                if entry.worker is not None and block < _repeats_of(entry, repeats):
                    _repeat(entry)
    finally:
        for entry in entries:
            entry.close()
    for entry in entries:
        _summarize(entry, case)
    return {
        "suite": case.suite,
        "name": case.name,
        "unit": case.unit,
        "sizes": dict(case.sizes),
        "clock": case.clock,
        "repeats": repeats,
        "checksums_agree": _agreement(case, entries),
        "contenders": [entry.record for entry in entries],
    }


def _repeats_of(entry: _Entry, repeats: int) -> int:
    return min(repeats, entry.contender.max_repeats or repeats)


def _start(entry: _Entry, case: Case, settings: Settings, say: Say) -> None:
    """Sets a contender up and finds how many calls make a repeat long enough."""
    say(f"{case.name}: {entry.contender.name}")
    cores = available_cores()[: entry.contender.cores]
    try:
        if cores and len(cores) < entry.contender.cores:
            raise NotMeasured(f"needs {entry.contender.cores} cores, may use {len(cores)}")
        entry.worker = Worker(entry.contender, cores)
        entry.record.update(entry.worker.prepare())
        if not case.call_once:
            entry.calls = _calibrate(entry.worker, settings.least_s)
        entry.record["calls"] = entry.calls
    except NotMeasured as reason:
        entry.give_up(reason)
        say(f"{case.name}: {entry.contender.name}: not measured: {reason}")


def _calibrate(worker: Worker, least_s: float) -> int:
    """Calls that last at least ``least_s`` together; warms the contender up on the way."""
    worker.run(1)
    calls = 1
    while True:
        wall = worker.run(calls)["wall_s"]
        if wall >= least_s:
            return calls
        calls = max(2 * calls, math.ceil(1.1 * calls * least_s / max(wall, 1e-6)))


def _repeat(entry: _Entry) -> None:
    assert entry.worker is not None
    try:
        answer = entry.worker.run(entry.calls)
    except NotMeasured as reason:
        entry.give_up(reason)
        return
    for name in ("cpu_s", "wall_s"):
        entry.record[name].append(answer[name])
    entry.checksums.extend(answer["checksums"])
    entry.record["peak_bytes"] = answer["peak_bytes"]


def _summarize(entry: _Entry, case: Case) -> None:
    """Adds median, quartiles and rate, and of the checksums their number, mean and spread."""
    record = entry.record
    if record["status"] != "measured":
        return
    summary = statistics.summarize(record[f"{case.clock}_s"], entry.calls, entry.contender.work)
    record["summary"] = summary._asdict()
    record["checksum"] = statistics.describe(entry.checksums)


def _agreement(case: Case, entries: list[_Entry]) -> dict[str, Any]:
    """Compares checksums with those of the first contender that was measured."""
    if case.agree_within is None:
        return {"checked": False, "disagree": []}
    measured = [entry for entry in entries if entry.record["status"] == "measured"]
    first = measured[:1]
    disagree = [
        entry.contender.name
        for entry in measured[1:]
        if not statistics.agree(
            first[0].checksums,
            entry.checksums,
            case.agree_within,
            (first[0].contender.agents, entry.contender.agents),
        )
    ]
    return {"checked": len(measured) > 1, "disagree": disagree}
