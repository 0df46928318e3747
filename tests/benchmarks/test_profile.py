"""Profiles: self times, parts and kinds from made-up events, and one real program."""

import jax
import jax.numpy as jnp

from benchmarks import profile
from benchmarks.profile import Event, Spent

PROGRAM = """HloModule jit_f, is_scheduled=true

%inner (p.0: f32[4,4], p.1: f32[4,4]) -> f32[4,4] {
  %p.0 = f32[4,4]{1,0} parameter(0)
  %p.1 = f32[4,4]{1,0} parameter(1)
  ROOT %dot.1 = f32[4,4]{1,0} dot(%p.0, %p.1), lhs_contracting_dims={1}
}

%moved (p.2: f32[4,4]) -> f32[4,4] {
  %p.2 = f32[4,4]{1,0} parameter(0)
  ROOT %copy.1 = f32[4,4]{0,1} copy(%p.2)
}

ENTRY %main (x: f32[4,4]) -> (f32[4,4], s32[]) {
  %x = f32[4,4]{1,0} parameter(0)
  %loop = (s32[], f32[4,4]{1,0}) while(%x), body=%b, metadata={op_name="jit(f)/play/while"}
  %inside = f32[4,4]{1,0} fusion(%x, %x), calls=%inner, metadata={op_name="jit(f)/play/while/dot"}
  %unnamed = f32[4,4]{0,1} fusion(%x), kind=kLoop, calls=%moved
  %back = f32[4,4]{1,0} dot(%x, %x), metadata={op_name="f/pull_back/transpose(adapt)/adapt/dot"}
  ROOT %sum = f32[] add(%x, %x)
}
"""
KNOWN = profile.operations(PROGRAM)


def test_operations_of_a_program_have_a_kind_and_a_part():
    kinds = {name: operation.kind for name, operation in KNOWN.items()}
    assert kinds["loop"] == "loops"
    assert kinds["inside"] == kinds["back"] == kinds["dot.1"] == "matrix products"
    assert kinds["unnamed"] == "moving data"
    assert kinds["sum"] == "elements"
    assert profile.part_of(KNOWN["back"].path) == "pull_back"
    assert profile.part_of(KNOWN["unnamed"].path) is None


def test_operations_count_without_what_runs_within_them():
    ms = 1e6
    events = [
        Event("loop", 0, 100 * ms),
        Event("inside", 10 * ms, 40 * ms),
        Event("unnamed", 40 * ms, 50 * ms),  # of the part that ran last
        Event("back", 100 * ms, 130 * ms),
        Event("sum", 130 * ms, 135 * ms),
    ]
    assert profile.sum_up(reversed(events), KNOWN) == {
        ("play", "loops"): Spent(1, 60),
        ("play", "matrix products"): Spent(1, 30),
        ("play", "moving data"): Spent(1, 10),
        ("pull_back", "matrix products"): Spent(1, 30),
        ("pull_back", "elements"): Spent(1, 5),
    }


def test_a_real_program_is_recorded_by_its_parts():
    @jax.jit
    def function(x):
        with jax.named_scope("play"):
            x = jax.lax.fori_loop(0, 20, lambda _, y: jnp.tanh(y @ y), x)
        with jax.named_scope("learn"):
            return jnp.sum(x @ x.T)

    x = jnp.full((64, 64), 0.01)
    program = function.lower(x).compile()
    program(x).block_until_ready()
    events = profile.record(lambda: program(x).block_until_ready())
    totals = profile.sum_up(events, profile.operations(program.as_text() or ""))
    parts = {part for part, _ in totals}
    assert {"play", "learn"} <= parts
    assert totals["play", "matrix products"].number == 20
