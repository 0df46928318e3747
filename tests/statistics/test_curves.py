"""Sample needs of curves whose needs are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mermaide_jax.errors import ConfigError
from mermaide_jax.statistics import bootstrap_interval, sample_need

TIMES = (0, 1, 3, 7)


@pytest.mark.parametrize(
    ("curve", "need"),
    [
        ([0.96, 0.9, 0.9, 0.9], 0.0),
        ([0.0, 0.95, 1.0, 1.0], 1.0),
        ([0.0, 0.9, 1.0, 1.0], np.sqrt(8.0) - 1),  # half-way between 1 and 3 in log(1 + n)
        ([0.0, 0.1, 0.2, 0.3], np.inf),
    ],
)
def test_need_is_the_first_crossing(curve, need):
    np.testing.assert_allclose(sample_need(curve, TIMES), need, rtol=1e-12)
    np.testing.assert_allclose(sample_need([[curve]], TIMES), [[need]], rtol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0.01, 1))
def test_at_the_need_the_curve_is_at_the_level(curve, level):
    need = float(sample_need(curve, TIMES, level))
    if np.isinf(need):
        assert max(curve) < level
        return
    times = np.log1p(TIMES)
    at = np.interp(np.log1p(need), times, curve)
    assert at == pytest.approx(level, abs=1e-6) or (need == 0 and curve[0] >= level)
    before = [value for time, value in zip(times, curve, strict=True) if time < np.log1p(need)]
    assert all(value < level + 1e-6 for value in before)


def test_needs_never_met_are_infinite_at_all_ends():
    need = lambda x: sample_need(x.mean(axis=1), TIMES)  # noqa: E731
    found = bootstrap_interval(need, np.zeros((5, 4)), resample="runs")
    assert found == (np.inf, np.inf, np.inf)


@pytest.mark.parametrize(
    ("curve", "level", "line"),
    [
        ([0.0, 1.0], 0.9, r"ratio: got \(2,\), expected 4 values along the last axis"),
        ([0.0] * 4, 1.5, r"level: got 1.5, expected a finite number in \[0.0, 1.0\]"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(curve, level, line):
    with pytest.raises(ConfigError, match=f"^{line}"):
        sample_need(curve, TIMES, level)
