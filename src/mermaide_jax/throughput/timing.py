"""Times work: compilation apart from running, repeats long enough to be measured, their spread.

Only what compiles imports JAX: other libraries are timed too, in processes that do without.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = [
    "Program",
    "Run",
    "Summary",
    "calls_that_last",
    "compile_program",
    "first_call_seconds",
    "summarize",
]


class Program(NamedTuple):
    """A compiled function, and what compiling it took and told.

    Attributes:
      call: the compiled function.
      facts: ``trace_s`` and ``compile_s``, seconds; ``temp_bytes``, memory beside arguments and
        results; ``counted_flops``, the body of a loop counted once; ``device``. What XLA does not
        tell is left out.
    """

    call: Callable[..., Any]
    facts: dict[str, Any]


class Run:
    """A function without arguments that does some work, with facts that its set-up learned.

    Attributes:
      facts: JSON-able numbers and strings, such as those of `Program`.
      program: the compiled program of JAX that it calls, if it is handed out.
    """

    def __init__(self, call: Callable[[], float], program: Any = None, **facts: Any) -> None:
        self._call, self.program, self.facts = call, program, facts

    def __call__(self) -> float:
        """Does the work once, to its end; returns a checksum."""
        return self._call()


class Summary(NamedTuple):
    """Seconds per call over the repeats: median, quartiles, and units of work per second."""

    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    rate: float


def compile_program(function: Callable[..., Any], *arguments: Any) -> Program:
    """Traces and compiles ``function`` for these arguments, each timed.

    Args:
      function: pure; may be jitted already.
      *arguments: as it will be called.

    Example:
      >>> program = compile_program(lambda x: 2 * x, jnp.float32(1))
      >>> float(program.call(jnp.float32(3))), "compile_s" in program.facts
      (6.0, True)
    """
    import jax

    jitted: Any = function if hasattr(function, "lower") else jax.jit(function)
    begun = time.perf_counter()
    lowered = jitted.lower(*arguments)
    traced = time.perf_counter()
    program = lowered.compile()
    done = time.perf_counter()
    cost = program.cost_analysis() or {}
    facts = {
        "trace_s": traced - begun,
        "compile_s": done - traced,
        "temp_bytes": getattr(program.memory_analysis(), "temp_size_in_bytes", None),
        "counted_flops": cost.get("flops"),
        "device": jax.devices()[0].device_kind,
    }
    return Program(program, {name: value for name, value in facts.items() if value is not None})


def first_call_seconds(call: Callable[[], Any]) -> float:
    """Calls twice, and estimates what compiles in a first call by what it takes beyond a second.

    Example:
      >>> first_call_seconds(lambda: None) >= 0.0
      True
    """
    begun = time.perf_counter()
    call()
    first = time.perf_counter()
    call()
    return max(2 * first - begun - time.perf_counter(), 0.0)


def calls_that_last(seconds: float, wall_of: Callable[[int], float]) -> int:
    """Finds how many calls in a row last at least ``seconds``; warms up on the way.

    Args:
      seconds: least length of one repeat.
      wall_of: makes that many calls and returns the seconds of wall clock they took.

    Example:
      >>> calls_that_last(1.0, lambda calls: 0.3 * calls) * 0.3 >= 1.0
      True
    """
    # A call so long that its first run hardly differs from the next is not warmed up further.
    if wall_of(1) >= 10 * seconds:
        return 1
    calls = 1
    while (wall := wall_of(calls)) < seconds:
        enough = math.ceil(1.1 * calls * seconds / max(wall, 1e-6))
        calls = max(2 * calls, enough)
    return calls


def summarize(seconds: Sequence[float], calls: int, work: float) -> Summary:
    """Summarises repeats that each made the same number of calls.

    Args:
      seconds: of each repeat.
      calls: in each repeat.
      work: units in each call.

    Example:
      >>> summarize([1.0, 2.0, 3.0], calls=1, work=4.0).rate
      2.0
    """
    each = [value / calls for value in seconds]
    # Of a single repeat all quartiles are the repeat itself.
    lower, median, upper = statistics.quantiles(each * (1 + (len(each) == 1)), method="inclusive")
    return Summary(median, lower, upper, work / median if median > 0 else math.inf)
