"""The machine: what it is, and how fast it multiplies matrices and copies memory."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.benchmarks.contender import Run
from mermaide_jax.benchmarks.programs import compile_program
from mermaide_jax.results.provenance import collect_versions

_PEERS = ("SMPyBandits", "mabwiser", "numba", "torch", "torchopt")


def describe() -> dict[str, Any]:
    """Processor, cores, memory and system; what is not known is left out."""
    affinity = getattr(os, "sched_getaffinity", None)
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "cores_available": len(affinity(0)) if affinity else None,
        "cpu": _first_of(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "memory": _first_of(Path("/proc/meminfo"), "MemTotal"),
        "load_average": [round(load, 2) for load in os.getloadavg()]
        if hasattr(os, "getloadavg")
        else None,
    }
    return {name: value for name, value in facts.items() if value}


def versions() -> dict[str, str]:
    """Versions of Python, this package, what it computes with, and the peers that are here."""
    found = collect_versions()
    for name in _PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def matrix_product(size: int = 1024) -> Run:
    """A square float32 matrix product: ``2 size^3`` floating-point operations."""
    left, right = np.random.default_rng(0).standard_normal((2, size, size)).astype(np.float32)
    return _product(jnp.asarray(left), jnp.asarray(right))


def _product(left: jax.Array, right: jax.Array) -> Run:
    program = compile_program(lambda a, b: a @ b, left, right)
    return Run(lambda: float(program.call(left, right)[0, 0]), **program.facts)


def memory_copy(megabytes: int = 256) -> Run:
    """A copy of an array too large for the caches: it is read once and written once."""
    source = np.zeros(megabytes * 2**18, np.float32)
    target = np.ones_like(source)

    def run() -> float:
        np.copyto(target, source)
        return float(target[-1])

    return Run(run)


def _first_of(path: Path, name: str) -> str | None:
    """The value of the first line ``name : value`` of a file."""
    if not path.exists():
        return None
    lines = path.read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
