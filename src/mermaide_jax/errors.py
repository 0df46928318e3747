"""Argument checks shared by the whole package.

Every helper returns the value it was given, or raises `ConfigError` with one line
``name: got VALUE, expected ALLOWED``, so that a bad argument is refused by name before any work.
"""

import difflib
import math
import numbers
import os
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TypeVar

__all__ = [
    "ConfigError",
    "ContractError",
    "check_at_least",
    "check_choice",
    "check_counts",
    "check_distinct",
    "check_in_range",
    "check_multiple",
    "check_non_negative",
    "check_positive",
    "refuse",
    "shorten",
]

T = TypeVar("T")
Number = TypeVar("Number", int, float)
Choice = TypeVar("Choice", bound=str)

_LONGEST_VALUE = 80


class ConfigError(ValueError):
    """A bad argument, refused before any work.

    The message is one line that names the argument, the value it got and what is allowed.
    """


class ContractError(ConfigError):
    """A promise of a protocol that something written against it does not keep.

    The message is one line, ``FUNCTION breaks 'PROMISE': got THIS, expected THAT``.

    Attributes:
      promise: which one, such as ``"keys"``; see `mermaide_jax.checks`.
      function: where, such as ``"act"``.
    """

    def __init__(self, function: str, promise: str, got: str, expected: str) -> None:
        self.promise, self.function = promise, function
        got = shorten(got)
        super().__init__(f"{function} breaks {promise!r}: got {got}, expected {expected}")


def shorten(text: str, longest: int = 2 * _LONGEST_VALUE) -> str:
    """Puts a text on one line, its end left out if it is very long.

    Example:
      >>> shorten("one  two  three", longest=9)
      'one tw...'
    """
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def refuse(name: str, value: object, expected: str) -> NoReturn:
    """Raises `ConfigError` with the line ``name: got VALUE, expected EXPECTED``.

    Args:
      name: the argument, as the user knows it.
      value: what was given; shown by its `repr`, shortened and on one line; a path is shown whole.
      expected: what is allowed, in words.

    Raises:
      ConfigError: always.

    Example:
      >>> refuse("horizon", 0, "an integer >= 1")
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: horizon: got 0, expected an integer >= 1
    """
    is_path = isinstance(value, os.PathLike)
    shown = repr(str(value)) if is_path else shorten(repr(value), _LONGEST_VALUE)
    raise ConfigError(f"{name}: got {shown}, expected {expected}")


def _check_finite(name: str, value: Number, expected: str) -> Number:
    """Returns `value` if it is a finite real number (a bool is not a number here)."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        refuse(name, value, expected)
    return value


def check_positive(name: str, value: Number) -> Number:
    """Returns `value` if it is a finite number above 0, else raises `ConfigError`.

    Example:
      >>> check_positive("rate", 0.5)
      0.5
    """
    expected = "a finite number > 0"
    if not _check_finite(name, value, expected) > 0:
        refuse(name, value, expected)
    return value


def check_non_negative(name: str, value: Number) -> Number:
    """Returns `value` if it is a finite number of at least 0, else raises `ConfigError`.

    Example:
      >>> check_non_negative("cost", -1.0)
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: cost: got -1.0, expected a finite number >= 0
    """
    expected = "a finite number >= 0"
    if not _check_finite(name, value, expected) >= 0:
        refuse(name, value, expected)
    return value


def check_in_range(name: str, value: Number, low: float, high: float) -> Number:
    """Returns `value` if it lies in the closed interval [low, high], else raises `ConfigError`.

    With two integer bounds the value is a count, so it must be an integer too.

    Example:
      >>> check_in_range("split", 2, 0, 3)
      2
    """
    is_count = isinstance(low, int) and isinstance(high, int)
    expected = f"{'an integer' if is_count else 'a finite number'} in [{low}, {high}]"
    if is_count and not isinstance(value, numbers.Integral):
        refuse(name, value, expected)
    if not low <= _check_finite(name, value, expected) <= high:
        refuse(name, value, expected)
    return value


def check_given(name: str, value: T | None, expected: str) -> T:
    """Returns `value` unless it is None, which it refuses.

    Args:
      name: what is to be given.
      value: what was given.
      expected: what is allowed.

    Raises:
      ConfigError: it is None.

    Example:
      >>> check_given("seed", 3, "an integer")
      3
    """
    if value is None:
        refuse(name, None, expected)
    return value


def check_at_least(name: str, value: Number, minimum: float) -> Number:
    """Returns `value` if it is a finite number >= `minimum`, else raises `ConfigError`.

    With an integer `minimum` the value is a count, so it must be an integer too.

    Example:
      >>> check_at_least("arms", 2.5, 2)
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: arms: got 2.5, expected an integer >= 2
    """
    is_count = isinstance(minimum, int)
    expected = f"{'an integer' if is_count else 'a finite number'} >= {minimum}"
    if is_count and not isinstance(value, numbers.Integral):
        refuse(name, value, expected)
    if not _check_finite(name, value, expected) >= minimum:
        refuse(name, value, expected)
    return value


def check_multiple(name: str, value: int, of: int, what: str) -> None:
    """Refuses a count that is not a positive multiple of `of`, and says `what` that is.

    Example:
      >>> check_multiple("agents", 7, 3, "the coefficients")
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: agents: got 7, expected a multiple of 3, the coefficients
    """
    if check_at_least(name, value, 1) % of:
        refuse(name, value, f"a multiple of {of}, {what}")


def check_distinct(name: str, values: Sequence[Any]) -> None:
    """Refuses a value that is there twice: what belongs to it could not be told apart.

    Example:
      >>> check_distinct("families", ["ucb", "ucb"])
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: families: got 'ucb', expected each value once
    """
    twice = [value for value in values if list(values).count(value) > 1]
    if twice:
        refuse(name, twice[0], "each value once")


def check_counts(name: str, values: Sequence[int], minimum: int = 0) -> None:
    """Refuses counts that are none at all, not integers >= `minimum`, or there twice.

    Example:
      >>> check_counts("shots", (0, 1))
      >>> check_counts("shots", ())
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: number of shots: got 0, expected an integer >= 1
    """
    check_at_least(f"number of {name}", len(values), 1)
    for value in values:
        check_at_least(name, value, minimum)
    check_distinct(name, values)


def check_choice(name: str, value: Choice, allowed: Iterable[Choice]) -> Choice:
    """Returns `value` if it is one of `allowed`, else raises `ConfigError` with a suggestion.

    Args:
      name: the argument, as the user knows it.
      value: the choice made.
      allowed: the names to choose from.

    Returns:
      `value`, unchanged.

    Raises:
      ConfigError: naming the choices, and the nearest of them if there is a near one.

    Example:
      >>> check_choice("game", "maze", ["maze", "market"])
      'maze'
      >>> check_choice("game", "mase", ["maze", "slot"])
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: game: got 'mase', expected one of maze, slot (did ...
    """
    names = list(allowed)
    if value in names:
        return value
    near = difflib.get_close_matches(str(value), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    refuse(name, value, f"one of {', '.join(names)}{hint}")
