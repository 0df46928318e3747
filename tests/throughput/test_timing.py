"""Timing: summaries against plain numpy, calls that last, compilation apart from running."""

import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermaide_jax.throughput.timing import (
    Run,
    calls_that_last,
    compile_program,
    first_call_seconds,
    summarize,
)

seconds = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20)


@given(seconds, st.integers(1, 1000), st.floats(1, 1e9))
def test_summary_is_of_one_call(times, calls, work):
    summary = summarize(times, calls, work)
    each = np.sort(times) / calls
    assert summary.median_s == pytest.approx(np.median(each))
    assert summary.lower_quartile_s == pytest.approx(np.quantile(each, 0.25))
    assert summary.upper_quartile_s == pytest.approx(np.quantile(each, 0.75))
    assert summary.rate == pytest.approx(work / np.median(each))


@given(st.floats(1e-5, 1.0), st.floats(1e-5, 10.0))
def test_a_repeat_lasts_as_long_as_was_asked(one_call, least):
    made = []

    def wall_of(calls):
        made.append(calls)
        return calls * one_call

    calls = calls_that_last(least, wall_of)
    assert calls * one_call >= least * (1 - 1e-9)
    assert calls == 1 or calls * one_call <= 2.5 * max(least, one_call)
    assert made[0] == 1  # warmed up


def test_compilation_is_timed_apart():
    program = compile_program(lambda x: jnp.sin(x) @ x, jnp.ones((4, 4)))
    assert program.call(jnp.zeros((4, 4))).shape == (4, 4)
    assert program.facts["compile_s"] > 0 and program.facts["trace_s"] > 0
    assert program.facts["device"] == jax.devices()[0].device_kind


def test_what_a_first_call_takes_beyond_a_second():
    waits = iter([0.2, 0.05])
    assert 0.1 < first_call_seconds(lambda: time.sleep(next(waits))) < 0.3
    waits = iter([0.0, 0.05])
    assert first_call_seconds(lambda: time.sleep(next(waits))) == 0.0


def test_a_run_calls_and_tells_its_facts():
    run = Run(lambda: 2.0, program="p", compile_s=1.0)
    assert (run(), run.program, run.facts) == (2.0, "p", {"compile_s": 1.0})


def test_other_libraries_are_timed_without_jax():
    code = "import sys, mermaide_jax.throughput.timing; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
