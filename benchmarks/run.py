"""Measures the library against its peers, interleaved in this one call.

python -m benchmarks.run --quick
python -m benchmarks.run --out DIR --suites simulator meta_step
"""

import dataclasses
import datetime
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.harness import machine
from benchmarks.harness.contender import ONE_THREAD
from benchmarks.harness.runner import FULL, QUICK, Platform, Say, Settings, measure_case
from benchmarks.report import table
from benchmarks.report.files import FORMAT_VERSION, write
from benchmarks.report.rows import ROWS, judge
from benchmarks.suites import SUITES
from mermaide_jax._jax import cpu
from mermaide_jax.errors import ConfigError, check_choice
from mermaide_jax.options import parse_options
from mermaide_jax.results.provenance import source_revision
from mermaide_jax.results.results import prepare_output

RESULTS = Path("results/bench")


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure the library against its peers, interleaved in this one call."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = RESULTS
    """Directory for speed.json and the figures."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Smaller and fewer, minutes on two cores: to see where things stand."""
    suites: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SUITE [SUITE ...]")] = tuple(SUITES)
    """What to measure."""
    platform: Platform = "cpu"
    """Where JAX computes; other libraries stay on the CPU. On gpu and tpu, wall clock counts."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Accept an output directory that holds files; former results in it are replaced."""

    def __post_init__(self) -> None:
        for name in self.suites:
            check_choice("suites", name, SUITES)

    @property
    def settings(self) -> Settings:
        """How carefully to measure, and where."""
        return (QUICK if self.quick else FULL)._replace(platform=self.platform)


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
    """
    started = time.monotonic()
    records, seconds = [], {}
    for suite in (suite for suite in SUITES if suite in names):
        begun = time.monotonic()
        records += [measure_case(case, settings, say) for case in SUITES[suite](settings.quick)]
        seconds[suite] = time.monotonic() - begun
    described, found = cpu.describe(), machine.versions()
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


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, writes, draws, prints the tables.

    Args:
      argv: what follows the command; None for that of this process.

    Returns:
      The exit code: 0 done, 2 refused before any work.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        options: Options = parse_options(Options, words, prog="python -m benchmarks.run")
        directory = prepare_output(options.out, force=options.force or options.out == RESULTS)
    except ConfigError as error:
        print(f"benchmarks: error: {error}", file=sys.stderr)
        return 2
    command = shlex.join(["python", "-m", "benchmarks.run", *words])
    results = run_suites(options.suites, options.settings, _say, command)
    files = write(directory, results)
    for case in results["cases"]:
        print(f"{table.format_case(case)}\n")
    print(f"{table.format_ratios(results['ratios'])}\n")
    print(f"Wall time: {results['wall_time_s']:.0f} s on {results['machine'].get('cpu')}")
    print("Written:", *(f"  {path}" for path in files), sep="\n")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
