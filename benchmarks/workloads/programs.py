"""What workloads in JAX share: the agents of the problem, and runs with a new key in each call."""

from collections.abc import Callable
from typing import Any

import jax

from benchmarks.workloads import problem
from mermaide_jax.agents import make_agent, make_params
from mermaide_jax.base import Agent, Params
from mermaide_jax.throughput.timing import Run, compile_program


def agent_of(family: problem.Family, arms: int) -> tuple[Agent, Params]:
    """The library's agent of a family, and its params."""
    return make_agent(family, arms), make_params(family, problem.COEFFICIENTS[family])


def with_new_keys(function: Callable[..., jax.Array], *arguments: Any, **facts: Any) -> Run:
    """A run of ``function(key, *arguments) -> scalar`` with another key in each call."""
    program = compile_program(function, jax.random.key(0), *arguments)
    seeds, make_key = problem.seeds(), jax.jit(jax.random.key)
    make_key(0)
    run = lambda: float(program.call(make_key(next(seeds)), *arguments))  # noqa: E731
    return Run(run, **program.facts, **facts)
