"""Profiles: self times, parts and kinds from made-up events, and one real program."""

import jax
import jax.numpy as jnp
import pytest

from mermaide_jax.benchmarks import profile
from mermaide_jax.benchmarks.profile import Event, Spent

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
    events = [
        Event("loop", 0, 100),
        Event("inside", 10, 40),
        Event("unnamed", 40, 50),  # no name of its own: the loop's part
        Event("back", 100, 130),
        Event("sum", 130, 135),
    ]
    assert profile.sum_up(reversed(events), KNOWN) == {
        ("play", "loops"): Spent(60, 1),
        ("play", "matrix products"): Spent(30, 1),
        ("play", "moving data"): Spent(10, 1),
        ("pull_back", "matrix products"): Spent(30, 1),
        ("other", "elements"): Spent(5, 1),
    }


def test_shares_take_the_cost_of_recording_off_and_add_up_to_one():
    totals = {("play", "loops"): Spent(60, 1), ("adapt", "elements"): Spent(60, 3)}
    # 120 ns were recorded of 100: four operations cost 5 ns each to record.
    assert profile.shares(totals, 100) == {
        "play": {"loops": pytest.approx(0.55)},
        "adapt": {"elements": pytest.approx(0.45)},
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
