"""What is measured: contenders, and cases in which they compete.

A contender is named by ``module:function``. Its worker calls ``function(**options)`` once, which
sets everything up (and compiles), and gets back ``run``: a function without arguments that does the
work once, to its end, and returns a float, the checksum: a `throughput.timing.Run`, if it has facts
to tell, or any other function. A factory imports the libraries it needs itself, so that a missing
one is known by its name and everything else goes on.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from mermaide_jax import errors

Json = Any
Clock = Literal["cpu", "wall"]

ONE_THREAD: Mapping[str, str] = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""Environment in which every library at hand computes on one thread of the CPU, and large arrays
lie in large pages: what allocates gigabytes anew in every call spends its time faulting else."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to do the work of a case, run by one worker process."""

    name: str
    """Unique in its case."""
    factory: str
    """``module:function``, see `benchmarks.harness.contender`."""
    options: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    """Keyword arguments of the factory."""
    work: float = 1.0
    """Units of work in one call; costs are compared per unit."""
    agents: int | None = None
    """Leading rows of the table of mean rewards that its checksum is a mean over, if it is one."""
    cores: int = 1
    """Cores that the worker is pinned to, the same ones for all contenders."""
    fewer_cores: bool = False
    """Whether it may be measured on fewer cores, where there are fewer."""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What differs from `ONE_THREAD`."""
    limit_s: float = 120.0
    """Longest time to set up, and longest time of one repeat."""
    max_repeats: int | None = None
    """Fewer repeats than the others, for the slowest."""
    same_checksum: bool = True
    """Whether its checksum is comparable with the others'."""
    series: str = ""
    """Line of the scaling figure that it is a point of."""
    at: float | None = None
    """Where on the axis that point lies."""

    def __post_init__(self) -> None:
        module, _, function = self.factory.partition(":")
        if not module or not function:
            errors.refuse("factory", self.factory, "module:function")
        errors.check_positive("work", self.work)
        errors.check_at_least("cores", self.cores, 1)
        errors.check_positive("limit_s", self.limit_s)


@dataclasses.dataclass(frozen=True)
class Case:
    """Contenders that do the same work and are measured interleaved."""

    suite: str
    name: str
    """Unique among all cases."""
    unit: str
    """What ``work`` counts."""
    contenders: tuple[Contender, ...]
    sizes: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    """Sizes of the work, for the report."""
    clock: Clock = "cpu"
    """The time that rates and ratios are of."""
    agree_within: float | Literal["statistically"] | None = None
    """How the checksums must agree: by a relative error, as means of the same law, or not at all
    (where contenders do different work)."""
    repeats: int | None = None
    """Repeats in place of the call's, for cases where a single one is long; 0 only sets up."""
    call_once: bool = False
    """One call a repeat, without warm-up: for whole processes, whose start is the point."""
    warm_up: bool = False
    """An untimed call before each repeat: for what a run does many times in a row, where the first
    call after another contender's turn also takes memory back from it."""

    def __post_init__(self) -> None:
        names = [contender.name for contender in self.contenders]
        if len(set(names)) < len(names):
            errors.refuse("contenders", names, "each name once")
