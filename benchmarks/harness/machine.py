"""The machine: what is installed on it, and how fast it multiplies matrices and copies memory."""

from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.results.provenance import collect_versions
from mermaide_jax.throughput.timing import Run, compile_program

_PEERS = ("SMPyBandits", "mabwiser", "numba", "torch", "torchopt")


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
