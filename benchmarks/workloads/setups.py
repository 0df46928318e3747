"""Contenders whose work is a set-up itself: compiling anew, and whole processes."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax

from mermaide_jax.throughput.timing import Run


def compile_again(factory: str, options: dict[str, Any]) -> Run:
    """Sets another contender up once more in each call, with every cache of JAX cleared.

    Args:
      factory: ``module:function`` of the other.
      options: its options.
    """
    module, _, function = factory.partition(":")
    make = getattr(importlib.import_module(module), function)

    def run() -> float:
        jax.clear_caches()
        facts = make(**options).facts
        return float(facts.get("trace_s", 0.0) + facts["compile_s"])

    return Run(run)


def command_line(arguments: list[str], warm_cache: bool) -> Run:
    """A whole ``mermaide reproduce`` in a process of its own; the checksum is a score of it.

    Args:
      arguments: what follows ``mermaide``, without ``--out``.
      warm_cache: whether it finds a compilation cache that the same command has filled, or none.
    """
    home = tempfile.TemporaryDirectory()
    environ = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    if warm_cache:
        environ |= {
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": str(Path(home.name) / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=home.name) as scratch:
            out = Path(scratch) / "out"
            command = [sys.executable, "-m", "mermaide_jax.cli", *arguments, "--out", str(out)]
            done = subprocess.run(command, env=environ, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-200:]}")
            return float(len(json.loads((out / "results.json").read_text())))

    if warm_cache:
        run()
    run_and_keep = Run(run)
    run_and_keep.home = home  # pyright: ignore[reportAttributeAccessIssue]  (lives as long)
    return run_and_keep
