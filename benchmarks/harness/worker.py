"""``python -m benchmarks.harness.worker``: sets one contender up and runs it on demand.

Requests and answers are lines of JSON over standard input and output:

    {"do": "prepare", "factory": "module:function", "options": {...}, "cores": [0]}
      -> {"setup_wall_s", "setup_cpu_s", "facts", "peak_bytes"}
    {"do": "pin", "cores": [1]}
      -> {}
    {"do": "run", "calls": 3}
      -> {"wall_s", "cpu_s", "checksums": [...], "peak_bytes"}

An exception is answered by ``{"error": "...", "missing": "name of the library or null"}`` and ends
nothing; the end of the input ends the worker. Whatever the contender prints goes to standard error.
"""

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

MOST_CHECKSUMS = 64


def cpu_seconds() -> float:
    """CPU time of this process, all threads, and of its children that have ended."""
    seconds = time.process_time()
    try:
        import resource
    except ImportError:  # not on Windows
        return seconds
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds + children.ru_utime + children.ru_stime


def peak_bytes() -> int | None:
    """Greatest resident memory of this process so far, or None where it is not known."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def pin(cores: list[int]) -> None:
    """Pins every thread of this process, and those to come, where the system can do that."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        return
    os.sched_setaffinity(0, cores)
    tasks = Path("/proc/self/task")
    for thread in os.listdir(tasks) if tasks.exists() else []:
        with contextlib.suppress(ProcessLookupError):  # it has ended since
            os.sched_setaffinity(int(thread), cores)


def prepare(request: dict[str, Any]) -> tuple[Callable[[], float], dict[str, Any]]:
    """Pins this process, makes the contender, and says what that took."""
    pin(request["cores"])
    wall, cpu = time.perf_counter(), cpu_seconds()
    module, _, function = request["factory"].partition(":")
    run = getattr(importlib.import_module(module), function)(**request["options"])
    return run, {
        "setup_wall_s": time.perf_counter() - wall,
        "setup_cpu_s": cpu_seconds() - cpu,
        "facts": dict(getattr(run, "facts", {})),
        "peak_bytes": peak_bytes(),
    }


def measure(run: Callable[[], float], calls: int) -> dict[str, Any]:
    """Times ``calls`` calls in a row; the checksums are read after the clocks."""
    checksums = []
    wall, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(calls):
        checksums.append(run())
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    checksums = [float(value) for value in checksums[-MOST_CHECKSUMS:]]
    return {"wall_s": wall, "cpu_s": cpu, "checksums": checksums, "peak_bytes": peak_bytes()}


def serve(requests: Iterable[str], answers: TextIO) -> None:
    """Answers each request with one line, until they end."""
    run: Callable[[], float] | None = None
    for line in requests:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                run, answer = prepare(request)
            elif request["do"] == "pin":
                pin(request["cores"])
                answer = {}
            else:
                if run is None:
                    raise RuntimeError("asked to run before it was prepared")
                answer = measure(run, request["calls"])
        except Exception as error:  # whatever it is, the parent reports it and goes on
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            answer = {"error": f"{type(error).__name__}: {error}", "missing": missing}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> int:
    """Serves standard input; keeps the real standard output for answers alone."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
