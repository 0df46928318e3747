"""Compiled JAX programs as runs: compiled before they are timed, with what XLA says of them."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from mermaide_jax import agents as families
from mermaide_jax.benchmarks.contender import Run
from mermaide_jax.benchmarks.peers import problem


class Program(NamedTuple):
    """A compiled function and facts for the report (see `contender.Run`)."""

    call: Callable[..., Any]
    facts: dict[str, Any]


def compile_program(function: Callable[..., Any], *arguments: Any) -> Program:
    """Traces and compiles ``function`` for these arguments, each timed.

    Args:
      function: pure; may be jitted already.
      *arguments: as it will be called.
    """
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
        "counted_flops": cost.get("flops"),  # XLA counts the body of a loop once
        "device": jax.devices()[0].device_kind,
    }
    return Program(program, {name: value for name, value in facts.items() if value is not None})


def agent_of(family: problem.Rule, arms: int) -> tuple[families.Agent, Any]:
    """The library's agent of a rule, and its params."""
    kind = {"ucb": families.UCBParams, "epsilon_greedy": families.EpsilonGreedyParams}[family]
    return getattr(families, family)(arms), kind(problem.COEFFICIENTS[family])


def with_new_keys(function: Callable[..., jax.Array], *arguments: Any, **facts: Any) -> Run:
    """A run of ``function(key, *arguments) -> scalar`` with another key in each call."""
    program = compile_program(function, jax.random.key(0), *arguments)
    seeds, make_key = problem.seeds(), jax.jit(jax.random.key)
    make_key(0)
    run = lambda: float(program.call(make_key(next(seeds)), *arguments))  # noqa: E731
    return Run(run, **program.facts, **facts)
