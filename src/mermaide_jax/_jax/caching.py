"""Factories of which equal arguments give one object, however they are spelled."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mermaide_jax import errors

P = ParamSpec("P")
R = TypeVar("R")


def memoize(factory: Callable[P, R]) -> Callable[P, R]:
    """The factory with a memory: equal arguments give the object that was made before.

    What a factory makes of functions is equal to nothing but itself, and ``jit`` compiles anew for
    what it has not met. So ``ucb(10)`` and ``ucb(num_arms=10)`` have to be one object, and what is
    left out counts as its default; `functools.cache` takes these for different calls.

    Args:
      factory: a function of hashable arguments, none of them as ``**kwargs``; it is kept as
        ``__wrapped__``.

    Returns:
      A function of the same arguments, which refuses with a `ConfigError` one without a hash.
    """
    signature = inspect.signature(factory)
    cached = functools.cache(factory)

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        for name, value in given.arguments.items():
            _check_hashable(name, value)
        return cached(*given.args, **given.kwargs)

    return make


def _check_hashable(name: str, value: object) -> None:
    try:
        hash(value)
    except TypeError as error:
        errors.refuse(name, value, f"a hashable value ({error})")
