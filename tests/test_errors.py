"""Argument checks: what is allowed comes back, all else is refused in one line by name."""

import math
from typing import Any

import numpy as np
import pytest

from mermaide_jax.errors import (
    ConfigError,
    check_at_least,
    check_choice,
    check_counts,
    check_in_range,
    check_multiple,
    check_non_negative,
    check_positive,
    refuse,
)

NOT_NUMBERS = [math.nan, math.inf, -math.inf, "1", None, True, [1]]


@pytest.mark.parametrize("value", [*NOT_NUMBERS, -1])
def test_nothing_but_finite_numbers_passes(value):
    for check, rest in (
        (check_positive, ()),
        (check_non_negative, ()),
        (check_in_range, (0, 1)),
        (check_at_least, (0,)),
        (check_at_least, (0.0,)),
    ):
        with pytest.raises(ConfigError, match=r"^game\.cost: got .*, expected ") as error:
            check("game.cost", value, *rest)
        assert "\n" not in str(error.value)


def test_limits_belong_to_the_closed_ranges_only():
    assert check_non_negative("x", 0) == 0
    assert check_in_range("x", 0.0, 0.0, 1.0) == 0.0 and check_in_range("x", 1, 0, 1) == 1
    four: Any = np.int32(4)
    half: Any = np.float32(0.5)
    assert check_at_least("x", 3, 3) == 3 and check_at_least("x", four, 3) == 4
    assert check_at_least("x", 0.5, 0.5) == 0.5
    assert check_positive("x", half) == half
    for refused in (
        lambda: check_positive("x", 0),
        lambda: check_in_range("x", 1.01, 0.0, 1.0),
        lambda: check_in_range("x", 0.5, 0, 1),  # a count is an integer
        lambda: check_at_least("x", 2, 3),
        lambda: check_at_least("x", 3.5, 3),
    ):
        with pytest.raises(ConfigError):
            refused()


def test_choices_are_suggested():
    assert check_choice("rule", "ucb", ("ucb", "epsilon_greedy")) == "ucb"
    with pytest.raises(ConfigError) as error:
        check_choice("rule", "epsilon-greedy", ("ucb", "epsilon_greedy"))
    assert str(error.value) == (
        "rule: got 'epsilon-greedy', expected one of ucb, epsilon_greedy "
        "(did you mean 'epsilon_greedy'?)"
    )
    unknown: Any = 7
    with pytest.raises(ConfigError, match=r"expected one of a, b$"):
        check_choice("rule", unknown, ("a", "b"))


def test_long_values_stay_on_one_short_line():
    with pytest.raises(ConfigError) as error:
        refuse("x", "a\nb" * 500, "little")
    assert len(str(error.value)) < 120 and "\n" not in str(error.value)
    assert issubclass(ConfigError, ValueError)


def test_counts_are_some_and_each_there_once():
    check_counts("--shots", (0, 1, 5))
    for wrong, named in (((), "number of --shots: got 0"), ((0, -1), "got -1"), ((1, 1), "got 1")):
        with pytest.raises(ConfigError, match=named):
            check_counts("--shots", wrong)
    check_counts("--rollouts", (2, 8), 2)
    with pytest.raises(ConfigError, match="got 1, expected an integer >= 2"):
        check_counts("--rollouts", (8, 1), 2)


def test_a_multiple_is_a_positive_one():
    check_multiple("agents", 10, 5, "one of each")
    refused: Any = (0, -5, 6, 5.0)
    for wrong in refused:
        with pytest.raises(ConfigError, match=f"agents: got {wrong}, expected an? "):
            check_multiple("agents", wrong, 5, "one of each")


def test_a_count_with_a_bound_that_is_none_is_a_number():
    assert check_in_range("x", 0.5, 0, 1e6) == 0.5
