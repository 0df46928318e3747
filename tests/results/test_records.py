"""Tables of scores from rows."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.results.records import RUN, score_tables, tidy
from mermaide_jax.results.schema import ROW_COLUMNS

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}


def row(score, **columns):
    return BLANK | {"score": score} | columns


def test_rows_of_all_parts_have_their_place_in_the_order_of_appearance():
    own = [row(1.0, seed=5, agent=3), row(2.0, seed=5, agent=0), row(None, seed=2, agent=3)]
    other = [row(4.0, seed=9, agent=0), row(5.0, seed=5, agent=1)]
    nan = np.nan
    expected = [
        [[1.0, 2.0, nan], [nan, nan, nan], [nan, nan, nan]],
        [[nan, nan, 5.0], [nan, nan, nan], [nan, 4.0, nan]],
    ]  # runs 5, 2, 9; agents 3, 0, 1
    np.testing.assert_array_equal(score_tables([own, other]), expected)


def test_what_tells_a_run_is_an_argument():
    rows = [row(float(k), seed=s, k_shot=k) for k in (0, 1) for s in (0, 1)]
    np.testing.assert_array_equal(score_tables([rows], run=RUN), [[[0.0], [0.0], [1.0], [1.0]]])
    with pytest.raises(ConfigError, match=r"^rows: got {'seed': 0, 'agent': 0}, expected each run"):
        score_tables([rows])


def test_agents_of_two_families_or_coefficients_are_two():
    rows = [row(1.0), row(2.0, family="ucb"), row(3.0, coefficient=0.5), row(4.0, split="same")]
    np.testing.assert_array_equal(score_tables([rows]), [[[1.0, 2.0, 3.0, 4.0]]])


def test_no_rows_make_no_table():
    assert score_tables([[], []]).shape == (2, 0, 0)


def test_records_of_arrays_name_their_place():
    axes = {"seed": [3, 5], "step": ("a", "b", "c")}
    rows = tidy(axes, score=np.arange(6.0).reshape(2, 3), hit=np.eye(2, 3, dtype=bool))
    assert rows[4] == {"seed": 5, "step": "b", "score": 4.0, "hit": True}
    assert [row["seed"] for row in rows] == [3, 3, 3, 5, 5, 5]
    assert type(rows[0]["score"]) is float and type(rows[0]["hit"]) is bool
    assert tidy({"seed": []}, score=[]) == []
    with pytest.raises(ConfigError, match=r"^score: got \(2,\), expected the shape \(2, 3\)"):
        tidy(axes, score=[1.0, 2.0])
