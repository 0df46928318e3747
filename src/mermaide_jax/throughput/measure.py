"""From works to a report: set up one by one, repeated in turn, summarised."""

import datetime
import time
from collections.abc import Callable, Mapping
from typing import Any

from mermaide_jax._jax import cpu
from mermaide_jax.errors import check_at_least
from mermaide_jax.results.provenance import collect_versions, describe_devices, source_revision
from mermaide_jax.throughput import factories
from mermaide_jax.throughput.timing import Run, calls_that_last, summarize
from mermaide_jax.throughput.works import WORKS, Work

FORMAT_VERSION = 1
REPEATS = 12
LEAST_S = 0.05
"""Shortest time of one repeat."""


def measure(
    works: Mapping[str, Work] = WORKS,
    repeats: int = REPEATS,
    least_s: float = LEAST_S,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measures works; whatever else the machine does meets all of them alike.

    Args:
      works: name to work.
      repeats: of each, in turn.
      least_s: shortest time of one repeat, of as many calls as that takes.
      say: told of progress, a line at a time.

    Returns:
      JSON-able: for each work its sizes, seconds of set-up and compilation, seconds a call in every
      repeat, their median and quartiles, and units a second; machine, devices and versions.
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
    for name, run in runs.items():
        records[name]["calls"] = calls_that_last(least_s, lambda calls, run=run: _wall(run, calls))
    for _ in range(repeats):
        for name, run in runs.items():
            calls = records[name]["calls"]
            records[name]["seconds"].append(_wall(run, calls) / calls)
    for record in records.values():
        record |= summarize(record["seconds"], 1, record["amount"])._asdict()
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
    """Formats a report: units a second with the spread of the repeats, and compilation apart."""
    lines = [("", "median", "quartiles", "a call", "compiled in")]
    for record in report["works"].values():
        slow, fast = (record["amount"] / record[f"{q}_quartile_s"] for q in ("upper", "lower"))
        rates = f"{_short(slow)} to {_short(fast)}"
        lines.append(
            (
                record["title"],
                f"{_short(record['rate'])} {record['unit']}/s",
                rates,
                f"{_short(record['median_s'])}s",
                f"{record['compile_s']:.1f} s",
            )
        )
    versions = ", ".join(f"{name} {report['versions'].get(name)}" for name in ("python", "jax"))
    machine = f"{report['machine'].get('cpu', 'unknown processor')}: {report['devices']}"
    return "\n".join(
        [f"{machine}, one used; {versions}; {report['repeats']} repeats", "", *_aligned(lines)]
    )


def _aligned(lines: list[tuple[str, ...]]) -> list[str]:
    """Columns of even width: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pad = lambda cells: [c.rjust(w) for c, w in zip(cells, widths[1:], strict=True)]  # noqa: E731
    return ["  ".join([first.ljust(widths[0]), *pad(rest)]) for first, *rest in lines]


def _describe(work: Work, run: Run, setup_s: float) -> dict[str, Any]:
    return {
        "title": work.title,
        "unit": work.unit,
        "amount": work.amount,
        "sizes": work.options,
        "setup_s": setup_s,
        "compile_s": run.facts["compile_s"],
        "seconds": [],
    }


def _wall(run: Run, calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        run()
    return time.perf_counter() - begun


def _short(value: float) -> str:
    """Three digits and a prefix: 1234567 as 1.23 M."""
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0), ("m", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}"
    return f"{value / 1e-6:.3g} u"
