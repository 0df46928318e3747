"""Agents in C with AVX-512 (`simulator.c`), compiled when it is asked for: the practical limit."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from mermaide_jax._checks import refuse
from mermaide_jax.benchmarks.contender import Run
from mermaide_jax.benchmarks.peers import problem

SOURCE = Path(__file__).with_name("simulator.c")
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")


def avx512(
    rule: problem.Rule, agents: int, arms: int = 10, horizon: int = 200, paired: bool = False
) -> Run:
    """State in registers, 16 agents at a time, the counter-based generator of JAX.

    Args:
      rule: learning rule.
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
    seeds, ucb = problem.seeds(), int(rule == "ucb")

    def run() -> float:
        total = library.simulate(
            ucb, next(seeds), 0, means, agents, horizon, widths, problem.EPSILON, problem.NOISE
        )
        return total / (agents * horizon)

    return Run(run, compile_s=seconds)


def missing() -> str | None:
    """Why the kernel cannot run here, or None if it can."""
    if shutil.which("cc") is None:
        return "no C compiler (cc)"
    if platform.machine() not in ("x86_64", "AMD64") or "avx512dq" not in _cpu_flags():
        return "no AVX-512 on this processor"
    return None


def load(arms: int, paired: bool = False) -> ctypes.CDLL:
    """Compiles the source into a cache directory, unless that was done before, and loads it.

    Raises:
      RuntimeError: there is no compiler or no AVX-512, or the compiler failed.
    """
    if reason := missing():
        raise RuntimeError(reason)
    command = ["cc", *_FLAGS, f"-DARMS={arms}", f"-DPAIRED={int(paired)}"]
    model = next((line for line in _cpu_info() if line.startswith("model name")), "")
    content = f"{SOURCE.read_text()}{command}{model}".encode()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mermaide_jax"
    target = home / f"simulator-{hashlib.sha256(content).hexdigest()[:16]}.so"
    if not target.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as scratch:
            built = Path(scratch) / "simulator.so"
            done = subprocess.run(
                [*command, str(SOURCE), "-o", str(built)], capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"cc failed: {done.stderr.strip()[-200:]}")
            built.replace(target)
    library = ctypes.CDLL(str(target))
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


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _cpu_flags() -> set[str]:
    return set(next((line for line in _cpu_info() if line.startswith("flags")), "").split())
