"""Work that is counted, not timed: of a program as traced, as compiled, and of compilations."""

import contextlib
import dataclasses
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core

_COMPILED = "/jax/core/compile/backend_compile_duration"

# They move or rename numbers, or wrap other programs, and compute nothing themselves.
_FREE = (
    "broadcast_in_dim concatenate convert_element_type copy dynamic_slice dynamic_update_slice "
    "gather iota pad reshape rev scatter slice split squeeze stop_gradient transpose "
    "bitcast_convert_type random_clone random_unwrap random_wrap"
)
_TRANSCENDENTAL = (
    "atan2 cbrt cos digamma erf erf_inv erfc exp exp2 expm1 lgamma log log1p logistic pow rsqrt "
    "sin sqrt tan tanh"
)
_RANDOM = "random_bits random_fold_in random_seed random_split threefry2x32"
_KINDS: dict[str, str] = {
    name: kind
    for kind, names in (("free", _FREE), ("random", _RANDOM), ("transcendental", _TRANSCENDENTAL))
    for name in names.split()
}


@dataclasses.dataclass(frozen=True)
class Traced:
    """Work in a traced program, the body of a scan counted as often as it runs.

    What a compiler of another version makes of it does not matter here.

    Attributes:
      product_flops: of matrix products, a multiplication and an addition each.
      elements: computed by all other operations; of reductions, elements read.
      transcendentals: those among them that are exponentials, logarithms, roots and the like.
      random_words: random numbers and keys drawn.
    """

    product_flops: int = 0
    elements: int = 0
    transcendentals: int = 0
    random_words: int = 0

    def __add__(self, other: "Traced") -> "Traced":
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Traced(*(a + b for a, b in zip(mine, theirs, strict=True)))

    def times(self, number: int) -> "Traced":
        """The same, ``number`` times."""
        return Traced(*(number * count for count in dataclasses.astuple(self)))


def count_traced(function: Callable[..., Any], *arguments: Any) -> Traced:
    """Counts the work of ``function(*arguments)``; nothing is compiled or run.

    The body of a `while_loop` counts once, since nothing says how often it runs; of a `cond`, the
    branch with the most products.

    Args:
      function: pure.
      *arguments: arrays, or anything with shape and dtype.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> Traced:
    return sum((_count_equation(equation) for equation in jaxpr.eqns), Traced())


def _count_equation(equation: Any) -> Traced:
    name = equation.primitive.name
    if name.startswith("scatter-"):  # `x.at[i].add(y)` works in place, on as many as ``y`` has
        return Traced(elements=_size(equation.invars[-1]))
    inner = [_count(sub) for sub in _sub_jaxprs(equation.params)]
    if name == "cond":
        return max(inner, key=dataclasses.astuple)
    if inner:
        return sum(inner, Traced()).times(equation.params["length"] if name == "scan" else 1)
    written = sum(_size(variable) for variable in equation.outvars)
    if name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        return Traced(product_flops=2 * written * depth)
    kind = _KINDS.get(name)
    if kind == "free":
        return Traced()
    if kind == "random":
        return Traced(random_words=written)
    read = max((_size(variable) for variable in equation.invars), default=0)
    elements = max(written, read) if name.startswith(("reduce", "arg", "cum")) else written
    return Traced(elements=elements, transcendentals=written if kind == "transcendental" else 0)


def _sub_jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an equation; of a custom derivative, the function alone."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, core.Jaxpr):
                yield item


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What XLA made of a program. It counts the body of a loop once, however often it runs.

    Attributes:
      flops: floating-point operations, as XLA counts them.
      bytes_accessed: read and written by all operations, as XLA counts them.
      temp_bytes: memory beyond arguments and results.
      instructions: in all computations of the optimised program.
      fusions: groups of operations that became one.
      loops: while loops.
    """

    flops: int
    bytes_accessed: int
    temp_bytes: int
    instructions: int
    fusions: int
    loops: int


def count_compiled(function: Callable[..., Any], *arguments: Any) -> Compiled:
    """Compiles ``function(*arguments)`` and counts what came out; nothing is run.

    Args:
      function: pure.
      *arguments: arrays, or anything with shape and dtype.
    """
    program = jax.jit(function).lower(*arguments).compile(_quick_options())
    cost: Any = program.cost_analysis() or {}
    memory: Any = program.memory_analysis()
    text = program.as_text() or ""
    operations = Counter(re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = .*? ([a-z-]+)\(", text, re.M))
    return Compiled(
        flops=int(cost.get("flops", 0)),
        bytes_accessed=int(cost.get("bytes accessed", 0)),
        temp_bytes=int(memory.temp_size_in_bytes),
        instructions=operations.total(),
        fusions=operations["fusion"],
        loops=operations["while"],
    )


@functools.cache
def _quick_options() -> dict[str, Any]:
    """Options that leave the counts as they are and make compiling several times faster."""
    options: dict[str, Any] = {"xla_backend_optimization_level": "0"}
    more = options | {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0, compiler_options=more)()
    except jax.errors.JaxRuntimeError:  # a release of XLA may not know the flag
        return options
    return more


@contextlib.contextmanager
def counted_compilations() -> Iterator[Counter[str]]:
    """Counts compilations by the name of the function while this lasts.

    What an earlier call compiled is not compiled again, so only a fresh process counts exactly.

    Yields:
      A counter that grows.
    """
    counts: Counter[str] = Counter()

    def listen(event: str, duration_secs: float, **details: Any) -> None:
        del duration_secs
        if event == _COMPILED:
            counts[str(details.get("fun_name", "?"))] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield counts
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
