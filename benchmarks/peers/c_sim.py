"""Agents in C with AVX-512 (`simulator.c`), compiled when it is asked for: the practical limit."""

import ctypes
import platform
import time
from pathlib import Path

import numpy as np

from benchmarks.workloads import problem
from mermaide_jax._jax import cpu
from mermaide_jax._jax.caching import memoize
from mermaide_jax._jax.compile_c import compile_c, no_compiler
from mermaide_jax.errors import refuse
from mermaide_jax.throughput.timing import Run

SOURCE = Path(__file__).with_name("simulator.c")


def avx512(
    family: problem.Family, agents: int, arms: int = 10, horizon: int = 200, paired: bool = False
) -> Run:
    """State in registers, 16 agents at a time, the counter-based generator of JAX.

    Args:
      family: learning rule.
      agents: N.
      arms: A, even.
      horizon: T, even.
      paired: UCB draws the noise of two steps by one call of the generator.
    """
    if arms % 2 or horizon % 2:
        refuse("arms, horizon", (arms, horizon), "even numbers")
    begun = time.perf_counter()
    library = load(arms, paired)
    seconds = time.perf_counter() - begun
    means = problem.mean_rewards(agents, arms)
    widths = np.asarray(problem.widths(horizon), np.float32)
    seeds, ucb = problem.seeds(), int(family == "ucb")

    def run() -> float:
        total = library.simulate(
            ucb, next(seeds), 0, means, agents, horizon, widths, problem.EPSILON, problem.NOISE
        )
        return total / (agents * horizon)

    return Run(run, compile_s=seconds)


def missing() -> str | None:
    """Why the kernel cannot run here, or None if it can."""
    if reason := no_compiler():
        return reason
    if platform.machine() not in ("x86_64", "AMD64") or "avx512dq" not in cpu.flags():
        return "no AVX-512 on this processor"
    return None


@memoize
def load(arms: int, paired: bool = False) -> ctypes.CDLL:
    """Compiles the source and loads it, once a process and arguments.

    Raises:
      RuntimeError: there is no compiler or no AVX-512, or the compiler failed.
    """
    if reason := missing():
        raise RuntimeError(reason)
    library = compile_c(SOURCE, (f"-DARMS={arms}", f"-DPAIRED={int(paired)}"))
    number, floats = ctypes.c_uint32, np.ctypeslib.ndpointer(np.float32, flags="C")
    library.simulate.restype = ctypes.c_double
    library.simulate.argtypes = [
        ctypes.c_int, number, number, floats, ctypes.c_long, ctypes.c_int, floats,
        ctypes.c_float, ctypes.c_float,
    ]  # fmt: skip
    library.draw_normals.restype = library.draw_words.restype = None
    library.draw_normals.argtypes = [number, number, ctypes.c_long, floats]
    words = np.ctypeslib.ndpointer(np.uint32, flags="C")
    library.draw_words.argtypes = [number, number, number, words]
    return library
