"""Measures the contenders of a case in turn, block by block, on the same core."""

import concurrent.futures
import dataclasses
import queue
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from benchmarks.harness import statistics
from benchmarks.harness.contender import Case, Contender
from benchmarks.harness.process import NotMeasured, Worker
from mermaide_jax._jax import cpu
from mermaide_jax.throughput.timing import calls_that_last, summarize

Say = Callable[[str], None]
Platform = Literal["cpu", "gpu", "tpu"]


class Settings(NamedTuple):
    """How carefully everything is measured.

    Attributes:
      quick: smaller and fewer, to see that all runs and where things roughly stand.
      repeats: blocks.
      least_s: shortest time of one repeat of one contender.
      platform: of JAX; elsewhere than on the CPU every ratio is of wall clock.
    """

    quick: bool
    repeats: int
    least_s: float
    platform: Platform = "cpu"


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
            "same_checksum": contender.same_checksum,
            "series": contender.series,
            "at": contender.at,
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
    case = _on_platform(case, settings.platform)
    entries = [_Entry(contender) for contender in case.contenders]
    repeats = settings.repeats if case.repeats is None else case.repeats
    try:
        _prepare_all(entries, case, say)
        say(f"{case.name}: {repeats} blocks")
        for entry in entries:
            if entry.worker is not None and repeats:
                _attempt(entry, lambda entry: _calibrate(entry, case, settings.least_s))
        for block in range(repeats):
            turn = block % len(entries)
            for entry in [*entries[turn:], *entries[:turn]]:
                if entry.worker is not None and block < _repeats_of(entry, repeats):
                    _attempt(entry, lambda entry: _repeat(entry, case.warm_up))
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
        "warm_up": case.warm_up,
        "checksums_agree": _agreement(case, entries),
        "contenders": [entry.record for entry in entries],
    }


def _on_platform(case: Case, platform: Platform) -> Case:
    """The case as it is measured there: JAX is told of it, and wall clock is what counts."""
    if platform == "cpu":
        return case
    there = {
        "JAX_PLATFORMS": {"gpu": "cuda"}.get(platform, platform),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes share its memory
    }
    contenders = tuple(
        dataclasses.replace(contender, environment={**there, **contender.environment})
        for contender in case.contenders
    )
    return dataclasses.replace(case, contenders=contenders, clock="wall")


def _repeats_of(entry: _Entry, repeats: int) -> int:
    return min(repeats, entry.contender.max_repeats or repeats)


def _prepare_all(entries: list[_Entry], case: Case, say: Say) -> None:
    """Sets the contenders up, as many at a time as there are cores, each on one of its own."""
    free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    cores = cpu.usable_cores()[::-1]  # the last ones are the least busy, by habit
    for core in cores or [None]:
        free.put(core)

    def start(entry: _Entry) -> None:
        core = free.get()
        try:
            _attempt(entry, lambda entry: _start(entry, [] if core is None else [core], cores))
        finally:
            free.put(core)
        reason = entry.record.get("reason")
        state = f"not measured: {reason}" if reason else "ready"
        say(f"{case.name}: {entry.contender.name}: {state}")

    with concurrent.futures.ThreadPoolExecutor(max(len(cores), 1)) as pool:
        list(pool.map(start, entries))


def _start(entry: _Entry, preparing: list[int], cores: list[int]) -> None:
    """Sets one contender up, then moves it to the cores that it is measured on."""
    wanted = entry.contender.cores
    if cores and len(cores) < wanted and not entry.contender.fewer_cores:
        raise NotMeasured(f"needs {wanted} cores, may use {len(cores)}")
    measured_on = cores[:wanted]
    entry.worker = Worker(entry.contender)
    # What needs several cores is set up with all of them: libraries count them once.
    entry.record.update(entry.worker.prepare(preparing if wanted == 1 else measured_on))
    entry.worker.pin(measured_on)


def _calibrate(entry: _Entry, case: Case, least_s: float) -> None:
    """Finds how many calls last at least ``least_s`` together; warms up on the way."""
    assert entry.worker is not None
    worker = entry.worker
    if not case.call_once:
        entry.calls = calls_that_last(least_s, lambda calls: worker.run(calls)["wall_s"])
    entry.record["calls"] = entry.calls


def _attempt(entry: _Entry, work: Callable[[_Entry], None]) -> None:
    """Does something with a contender; if that fails, its record says why."""
    try:
        work(entry)
    except NotMeasured as reason:
        entry.give_up(reason)


def _repeat(entry: _Entry, warm_up: bool) -> None:
    assert entry.worker is not None
    if warm_up:
        entry.worker.run(1)
    answer = entry.worker.run(entry.calls)
    for name in ("cpu_s", "wall_s"):
        entry.record[name].append(answer[name])
    entry.checksums.extend(answer["checksums"])
    entry.record["peak_bytes"] = answer["peak_bytes"]


def _summarize(entry: _Entry, case: Case) -> None:
    """Adds median, quartiles and rate, and of the checksums their number, mean and spread."""
    record = entry.record
    if record["status"] != "measured" or not record["wall_s"]:
        return
    summary = summarize(record[f"{case.clock}_s"], entry.calls, entry.contender.work)
    record["summary"] = summary._asdict()
    record["checksum"] = statistics.describe(entry.checksums)


def _agreement(case: Case, entries: list[_Entry]) -> dict[str, Any]:
    """Compares checksums with those of the first contender that was measured."""
    if case.agree_within is None:
        return {"checked": False, "disagree": []}
    measured = [
        entry
        for entry in entries
        if entry.record["status"] == "measured" and entry.contender.same_checksum
    ]
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
