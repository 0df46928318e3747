"""A guard against slower programs that needs no clock: their work is counted and compared.

    python -m benchmarks.guard            # compare with the baseline of this release of JAX
    python -m benchmarks.guard --renew    # make what is counted now the baseline

Nothing is measured and, but for a tiny study whose compilations are counted, nothing is run. What
counts depend on, and what they cannot see, is in docs/explanation/counted_work.md.
"""

import argparse
import os
import sys
from pathlib import Path

import jax

from benchmarks.guard import baseline, programs

_RENEW = "python -m benchmarks.guard --renew"


def main(argv: list[str] | None = None) -> int:
    """Counts and compares, or renews the baseline.

    Returns:
      0 no more work than before, 1 something exceeds the baseline, 2 there is none for this JAX.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.guard", description="Compare counted work with a baseline."
    )
    parser.add_argument(
        "--baselines", type=Path, default=baseline.BASELINES, help="where they are kept"
    )
    parser.add_argument("--renew", action="store_true", help="write what is counted now there")
    arguments = parser.parse_args(argv)
    version, directory = baseline.jax_version(), arguments.baselines
    former = baseline.read(version, directory)
    if former is None and not arguments.renew:
        known = ", ".join(baseline.versions(directory)) or "no other"
        line = f"JAX {version}: no baseline in {directory}, only for {known}; to make one: {_RENEW}"
        print(f"guard: error: {line}", file=sys.stderr)
        return 2
    # One device, and no work on machine code: nothing that is counted depends on it.
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_compilation_cache", False)
    counted = programs.measure()
    if arguments.renew:
        print(f"{baseline.write(counted, version, directory)}: counted with JAX {version}")
        return 0
    found = baseline.complaints(counted, former or {})
    for line in found or ["no more work than before"]:
        print(line)
    if found:
        print(f"If this is meant: {_RENEW} --baselines {directory}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
