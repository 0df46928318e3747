"""What runs in one meta-step: `jax.profiler` on the CPU, summed by part and kind of work.

    python -m benchmarks.profile --out docs/results/profile.json

The profiler writes down every operation that XLA runs, in every turn of every loop: hundreds of
thousands a meta-step. Writing takes longer than most of them do, and not equally long, so what is
recorded is several times what the same takes without the profiler: it says what runs, how often
and in which part; times of the parts are to be taken from the parts compiled alone.

Parts are the `jax.named_scope` of training; what has no name belongs to the part that ran last.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from benchmarks.harness import machine
from benchmarks.harness.contender import ONE_THREAD
from benchmarks.workloads import ours
from mermaide_jax._jax import cpu
from mermaide_jax.results.files import text_writer, write_atomically

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
    """The operations of one part and kind: their number, and ms recorded."""

    number: int = 0
    recorded_ms: float = 0.0


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
      known: see `operations`.
    """
    totals: Totals = {}
    around: list[tuple[Event, tuple[str, str]]] = []
    part = OTHER

    def add(place: tuple[str, str], number: int, ns: float) -> None:
        before = totals.get(place, Spent())
        totals[place] = Spent(before.number + number, before.recorded_ms + ns / 1e6)

    for event in sorted(events, key=lambda event: (event.start, -event.end)):
        while around and around[-1][0].end <= event.start:
            around.pop()
        operation = known.get(event.name, _UNKNOWN)
        part = part_of(operation.path) or part
        place = part, operation.kind
        add(place, 1, event.end - event.start)
        if around:
            add(around[-1][1], 0, event.start - event.end)
        around.append((event, place))
    return totals


def record(call: Callable[[], Any]) -> list[Event]:
    """What the busiest thread of XLA ran in one call."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # calls of Python are of no interest, and there are many
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory, profiler_options=options):
            call()
        (file,) = Path(directory).rglob("*.xplane.pb")
        return _busiest(jax.profiler.ProfileData.from_file(str(file)))


def _busiest(data: Any) -> list[Event]:
    with warnings.catch_warnings():
        # JAX's reader makes a type at first use, of which Python warns: as an error, it aborts.
        warnings.filterwarnings("ignore", "builtin type .* has no __module__", DeprecationWarning)
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
      JSON-able, all for one update: ms without the profiler, `Spent` by part and kind of work;
      sizes, machine and versions.
    """
    run = ours.meta_step(updates=updates, **sizes)
    run()
    undisturbed = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        undisturbed.append(time.perf_counter() - begun)
    parts: dict[str, dict[str, dict[str, float]]] = {}
    for (part, kind), spent in sum_up(record(run), operations(run.program.as_text())).items():
        one = Spent(spent.number // updates, spent.recorded_ms / updates)
        parts.setdefault(part, {})[kind] = one._asdict()
    return {
        "sizes": {"updates": updates, **sizes},
        "ms_an_update": 1e3 * statistics.median(undisturbed) / updates,
        "parts": parts,
        "machine": cpu.describe(),
        "versions": machine.versions(),
    }


def format_profile(found: dict[str, Any]) -> str:
    """A Markdown table: operations by part and kind of work, and recorded ms by part."""
    kinds = sorted({kind for row in found["parts"].values() for kind in row})
    rows = [["part", *kinds, "all", "recorded ms"], ["---", *["---:"] * (len(kinds) + 2)]]
    for part, row in found["parts"].items():
        numbers = [row[kind]["number"] if kind in row else 0 for kind in kinds]
        recorded = sum(spent["recorded_ms"] for spent in row.values())
        rows.append([part, *(f"{n:,}" for n in [*numbers, sum(numbers)]), f"{recorded:,.0f}"])
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    return "\n".join([f"{found['ms_an_update']:.0f} ms an update without the profiler", "", *lines])


def main(argv: list[str] | None = None) -> int:
    """Profiles, prints the table, writes the file."""
    parser = argparse.ArgumentParser(description="What runs in one meta-step.")
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
        text = json.dumps(found, indent=1, allow_nan=False) + "\n"
        write_atomically(arguments.out.parent, {arguments.out.name: text_writer(text)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
