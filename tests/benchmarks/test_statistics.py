"""Statistics of blocks of times, against plain numpy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.statistics import agree, describe, ratio


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=20))
def test_ratio_is_the_median_of_the_blocks_ratios(blocks):
    over, under = zip(*blocks, strict=True)
    found = ratio(over, under)
    each = [a / b for a, b in blocks]
    assert found.ratio == pytest.approx(np.median(each))
    assert min(each) <= found.low <= found.ratio * (1 + 1e-9)
    assert found.ratio <= found.high * (1 + 1e-9)
    assert found.high <= max(each) * (1 + 1e-9)
    assert ratio([2 * a for a in over], under).ratio == pytest.approx(2 * found.ratio)


def test_what_slows_both_cancels():
    busy = np.asarray([1.0, 5.0, 2.0, 9.0, 1.5])
    assert ratio((3 * busy).tolist(), busy.tolist()) == pytest.approx((3.0, 3.0, 3.0))


def test_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        ours, theirs = rng.lognormal(0, 0.1, (2, 12))
        found = ratio((2 * ours).tolist(), theirs.tolist())
        covered += found.low <= 2 <= found.high
    assert covered >= 88


def test_fewer_blocks_of_one_side():
    assert ratio([2.0, 2.0], [1.0, 1.0, 100.0]).ratio == 2.0


def test_checksums_agree_within_an_error():
    assert agree([1.0, 1.0], [1.0005], 1e-3)
    assert not agree([1.0], [1.01], 1e-3)
    assert not agree([1.0], [math.nan], 1e-3)
    assert agree([3.0], [3.0], 0.0)


def test_checksums_agree_statistically():
    rng = np.random.default_rng(0)
    left, right = 0.8 + 0.01 * rng.standard_normal((2, 40))
    assert agree(left, right, "statistically")
    assert not agree(left, right + 0.02, "statistically")
    # A few agents of the same table may differ from all of them by more.
    assert agree(left, right + 0.02, "statistically", (10_000, 20))
    assert not agree(left, right + 0.02, "statistically", (10_000, 10_000))


def test_description():
    assert describe([1.0, 3.0]) == {"number": 2, "mean": 2.0, "standard_deviation": 1.0}
