"""From works to a report: set up one by one, repeated in turn, summarised."""

import datetime
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

from mermaide_jax._jax import cpu
from mermaide_jax.errors import check_at_least
from mermaide_jax.results.provenance import collect_versions, describe_devices, source_revision
from mermaide_jax.throughput import factories
from mermaide_jax.throughput.text import aligned, rate
from mermaide_jax.throughput.text import seconds as duration
from mermaide_jax.throughput.timing import Run, calls_that_last, summarize
from mermaide_jax.throughput.works import WORKS, Work

FORMAT_VERSION = 1
REPEATS = 12
LEAST_S = 0.05
"""Shortest time of one repeat."""
_SPREAD = ("upper", "lower")
"""Quartiles of the seconds, from the slowest rate to the fastest."""


def measure(
    works: Mapping[str, Work] = WORKS,
    repeats: int = REPEATS,
    least_s: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measures works; whatever else the machine does meets all of them alike.

    Args:
      works: name to work.
      repeats: of each, in turn.
      least_s: shortest time of one repeat, of as many calls as that takes; None: `LEAST_S`.
      say: told of progress, a line at a time.

    Returns:
      JSON-able: for each work its sizes, seconds of set-up and compilation, seconds a call in every
      repeat, their median and quartiles, and units a second; machine, devices and versions.

    Example:
      >>> sizes = {"family": "ucb", "agents": 2, "horizon": 3, "num_arms": 2}
      >>> work = Work("two agents", "steps", 6, "agents_alone", sizes)
      >>> record = measure({"alone": work}, repeats=2, least_s=1e-6)["works"]["alone"]
      >>> len(record["seconds"]), record["rate"] > 0
      (2, True)
    """
    check_at_least("repeats", repeats, 1)
    began = time.monotonic()
    runs: dict[str, Run] = {}
    records: dict[str, dict[str, Any]] = {}
    for name, work in works.items():
        say(f"compiling: {work.title}")
        begun = time.perf_counter()
        runs[name] = run = getattr(factories, work.factory)(**work.options)
        records[name] = _describe(work, run, time.perf_counter() - begun)
    say(f"measuring: {repeats} repeats of each")
    for name, times in _repeat(runs, repeats, LEAST_S if least_s is None else least_s).items():
        records[name] |= times | summarize(times["seconds"], 1, works[name].amount)._asdict()
    return {
        "format_version": FORMAT_VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": source_revision(),
        "devices": describe_devices(),
        "machine": cpu.describe(),
        "versions": collect_versions(),
        "repeats": repeats,
        "works": records,
        "wall_time_s": round(time.monotonic() - began, 1),
    }


def table(report: dict[str, Any]) -> str:
    """Formats a report: units a second with the spread of the repeats, and compilation apart.

    Example:
      >>> work = {"title": "games", "unit": "steps", "amount": 6, "rate": 3.0, "compile_s": 1.0}
      >>> work |= {"median_s": 2.0, "upper_quartile_s": 3.0, "lower_quartile_s": 1.0}
      >>> about = {"devices": "1 CPU", "versions": {"python": "3.13", "jax": "0.8"}, "repeats": 2}
      >>> print(table(about | {"works": {"games": work}}).splitlines()[-1])
      games 3 steps/s 2 to 6 2 s 1 s
    """
    lines = [("", "median", "quartiles", "a call", "compiled in")]
    for record in report["works"].values():
        slow, fast = (record["amount"] / record[f"{which}_quartile_s"] for which in _SPREAD)
        lines.append(
            (
                record["title"],
                f"{rate(record['rate'])} {record['unit']}/s",
                f"{rate(slow)} to {rate(fast)}",
                duration(record["median_s"]),
                duration(record["compile_s"]),
            )
        )
    versions = ", ".join(f"{name} {report['versions'].get(name)}" for name in ("python", "jax"))
    head = f"{report['devices']}, one used; {versions}; {report['repeats']} repeats"
    return f"{head}\n\n{aligned(lines)}"


def _repeat(runs: Mapping[str, Run], repeats: int, least_s: float) -> dict[str, dict[str, Any]]:
    """For each run the calls that last long enough, and seconds a call in every repeat."""
    wall = lambda run: functools.partial(_wall, run)  # noqa: E731
    calls = {name: calls_that_last(least_s, wall(run)) for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(_wall(run, calls[name]) / calls[name])
    return {name: {"calls": calls[name], "seconds": seconds[name]} for name in runs}


def _describe(work: Work, run: Run, setup_s: float) -> dict[str, Any]:
    return {
        "title": work.title,
        "unit": work.unit,
        "amount": work.amount,
        "sizes": work.options,
        "setup_s": setup_s,
        "compile_s": run.facts["compile_s"],
    }


def _wall(run: Run, calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - begun
