"""Where the time of one meta-step goes: `jax.profiler` on the CPU, summed by part and kind of work.

    python -m mermaide_jax.benchmarks.profile --out docs/results/profile.json

The profiler writes down every operation that XLA runs, in every turn of every loop: hundreds of
thousands a meta-step, each of which takes longer for being written down. So the program is also
timed without it, and what the profiler added is taken off, the same for every operation:

    time of a part = recorded time of its operations - number of its operations * cost of recording
    cost of recording = (recorded time of all - time without the profiler) / number of all

Parts are the `jax.named_scope` of training; what has no name of its own goes to the loop around it.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from mermaide_jax.benchmarks import machine, ours
from mermaide_jax.benchmarks.contender import ONE_THREAD

PARTS = ("play_adapted", "play", "learn_unadapted", "adapt", "learn", "pull_back")
"""Scopes of a meta-step; the outermost in an operation's name counts."""

OTHER = "other"

_MOVING = (
    "bitcast bitcast-convert broadcast concatenate constant copy dynamic-slice "
    "dynamic-update-slice gather get-tuple-element iota pad parameter reshape reverse scatter "
    "slice transpose tuple"
)
_MOVES = frozenset(_MOVING.split())

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_OPERATION = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = .*? ([a-z][a-z\-]*)\((.*)$")
_CALLS = re.compile(r"calls=%?([\w.\-]+)")
_PATH = re.compile(r'op_name="([^"]*)"')


class Operation(NamedTuple):
    """What a compiled program says of one of its operations.

    Attributes:
      path: names that it was traced under, with slashes; empty if nothing is said.
      kind: matrix products, loops, moving data, or computing elements.
    """

    path: str
    kind: str


class Event(NamedTuple):
    """One operation that ran: its name in the compiled program, and when, in ns."""

    name: str
    start: float
    end: float


class Spent(NamedTuple):
    """What the operations of one part and kind took: ns recorded, and their number."""

    recorded: float = 0.0
    number: int = 0


_UNKNOWN = Operation("", "elements")

Totals = dict[tuple[str, str], Spent]
"""Part and kind of work to what was spent."""


def operations(program_text: str) -> dict[str, Operation]:
    """The operations of a compiled program by name; a fusion is of the kind of what is in it.

    Args:
      program_text: HLO, as ``as_text()`` of a compiled program gives it.
    """
    inside: dict[str, set[str]] = {}
    found: list[tuple[str, str, str, str]] = []
    computation = ""
    for line in program_text.splitlines():
        if heading := _COMPUTATION.match(line):
            computation = heading[1]
        elif operation := _OPERATION.match(line):
            name, code, rest = operation.groups()
            inside.setdefault(computation, set()).add(code)
            called, path = _CALLS.search(rest), _PATH.search(rest)
            found.append((name, code, called[1] if called else "", path[1] if path else ""))
    return {
        name: Operation(path, _kind(inside.get(called, set()) if code == "fusion" else {code}))
        for name, code, called, path in found
    }


def _kind(codes: set[str]) -> str:
    if codes & {"dot", "convolution", "custom-call"}:
        return "matrix products"
    if codes & {"while", "conditional", "call"}:
        return "loops"
    return "moving data" if codes <= _MOVES else "elements"


def part_of(path: str) -> str | None:
    """The outermost of `PARTS` in a path of names, or None."""
    return next((name for name in path.split("/") if name in PARTS), None)


def sum_up(events: Iterable[Event], known: Mapping[str, Operation]) -> Totals:
    """Adds up operations, each without those that ran within it.

    Args:
      events: of one thread, in any order; they nest or follow one another.
      known: see `operations`; what has no part of its own belongs to that of the loop around it.
    """
    totals: Totals = {}
    around: list[tuple[Event, str]] = []

    def add(part: str, kind: str, time: float, number: int) -> None:
        before = totals.get((part, kind), Spent())
        totals[part, kind] = Spent(before.recorded + time, before.number + number)

    for event in sorted(events, key=lambda event: (event.start, -event.end)):
        while around and around[-1][0].end <= event.start:
            around.pop()
        outer, outer_part = around[-1] if around else (None, OTHER)
        operation = known.get(event.name, _UNKNOWN)
        part = part_of(operation.path) or outer_part
        add(part, operation.kind, event.end - event.start, 1)
        if outer is not None:
            add(outer_part, known.get(outer.name, _UNKNOWN).kind, event.start - event.end, 0)
        around.append((event, part))
    return totals


def shares(totals: Totals, undisturbed: float) -> dict[str, dict[str, float]]:
    """Share of each part and kind, with what recording cost taken off.

    Args:
      totals: what was recorded.
      undisturbed: ns that the same takes without the profiler.

    Returns:
      part to kind to its share of ``undisturbed``; they add up to 1. A share may come out slightly
      below zero: recording does not cost quite the same everywhere.
    """
    recorded = sum(spent.recorded for spent in totals.values())
    each = (recorded - undisturbed) / sum(spent.number for spent in totals.values())
    result: dict[str, dict[str, float]] = {}
    for (part, kind), spent in sorted(totals.items()):
        left = spent.recorded - each * spent.number
        result.setdefault(part, {})[kind] = left / undisturbed
    return result


def record(call: Callable[[], Any]) -> list[Event]:
    """What the busiest thread of XLA ran in one call."""
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            call()
        (file,) = Path(directory).rglob("*.xplane.pb")
        return _busiest(jax.profiler.ProfileData.from_file(str(file)))


def _busiest(data: Any) -> list[Event]:
    lines = [
        [
            Event(event.name, event.start_ns, event.start_ns + event.duration_ns)
            for event in line.events
            if any(name == "hlo_op" for name, _ in event.stats)
        ]
        for plane in data.planes
        for line in plane.lines
    ]
    return max(lines, key=len)


def profile(updates: int = 2, repeats: int = 10, **sizes: Any) -> dict[str, Any]:
    """Profiles `ours.meta_step`.

    Args:
      updates: of one program.
      repeats: calls without the profiler, whose median counts.
      **sizes: of the meta-step, its own defaults otherwise.

    Returns:
      JSON-able: ``shares`` (see `shares`), times of an update with and without the profiler in ms,
      sizes, machine and versions.
    """
    run = ours.meta_step(updates=updates, **sizes)
    run()
    undisturbed = []
    for _ in range(repeats):
        begun = time.perf_counter_ns()
        run()
        undisturbed.append(time.perf_counter_ns() - begun)
    usual = statistics.median(undisturbed)
    events = record(run)
    totals = sum_up(events, operations(run.program.as_text()))
    return {
        "sizes": {"updates": updates, **sizes},
        "ms_an_update": usual / updates / 1e6,
        "ms_an_update_recorded": sum(spent.recorded for spent in totals.values()) / updates / 1e6,
        "operations_an_update": len(events) // updates,
        "shares": shares(totals, usual),
        "machine": machine.describe(),
        "versions": machine.versions(),
    }


def format_profile(found: dict[str, Any]) -> str:
    """A Markdown table: parts by kinds of work, in per cent of an update."""
    kinds = sorted({kind for row in found["shares"].values() for kind in row})
    rows = [["part", *kinds, "all"], ["---", *["---:"] * (len(kinds) + 1)]]
    for part, row in sorted(found["shares"].items(), key=lambda item: -sum(item[1].values())):
        cells = [f"{100 * row[kind]:.0f}" if kind in row else "" for kind in kinds]
        rows.append([part, *cells, f"{100 * sum(row.values()):.0f}"])
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    head = "{ms_an_update:.0f} ms an update, {ms_an_update_recorded:.0f} ms while recorded"
    return "\n".join([head.format(**found), "", *lines])


def main(argv: list[str] | None = None) -> int:
    """Profiles, prints the table, writes the file."""
    parser = argparse.ArgumentParser(description="Where the time of one meta-step goes.")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--horizon", type=int, default=200, help="steps of an episode")
    parser.add_argument("--features", type=int, default=128, help="hidden units")
    parser.add_argument("--tasks", type=int, default=15, help="agents of an update")
    arguments = parser.parse_args(argv)
    os.environ.update(ONE_THREAD)
    sizes = {"horizon": arguments.horizon, "features": arguments.features}
    found = profile(num_tasks=arguments.tasks, **sizes)
    print(format_profile(found))
    if arguments.out is not None:
        text = json.dumps(found, indent=1, allow_nan=False)
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
