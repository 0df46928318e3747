"""Whether a law is that of what was drawn, by a bound that holds for any sample size."""

import math

import chex
import numpy as np

from mermaide_jax.errors import ContractError

LEVEL = 1e-6
"""Chance that a right law is refused, at most, for each of those that are looked at."""


def check_law(name: str, law: chex.Array, actions: chex.Array, level: float = LEVEL) -> None:
    """Checks that ``law`` is a law, and that ``actions`` were drawn by it.

    With ``f`` the frequencies of ``n`` draws and ``A`` actions, draws by the law have

        P(n KL(f | law) >= x) <= (e x / (A - 1))^(A - 1) e^-x      for x > A - 1

    for every ``n`` and every law, zeros among them (Agrawal 2020, https://arxiv.org/abs/1904.02291,
    theorem 1.2); a divergence beyond the ``x`` for which this is ``level`` refuses the law. So is
    refused, after 2,000 draws of 4 actions, what is off by about 0.08 in one of them.

    Args:
      name: what the error calls it.
      law: ``[A]``, at least 2 of them.
      actions: ``[n]`` integers.
      level: chance that a right law is refused.

    Raises:
      ContractError: ``range`` (an action out of range, or no law), or ``law``.

    Example:
      >>> check_law("act", jnp.array([0.5, 0.5]), jnp.array([0, 1] * 50))
      >>> check_law("act", jnp.array([0.9, 0.1]), jnp.array([0, 1] * 50))
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: act breaks 'law': got frequencies [0.5 0.5], expected ...
    """
    law, actions = np.asarray(law, np.float64), np.asarray(actions)
    check_probabilities(name, law)
    size, number = law.shape[0], actions.shape[0]
    outside = actions[(actions < 0) | (actions >= size)]
    if outside.size:
        raise ContractError(name, "range", f"the action {outside[0]}", f"one in [0, {size})")
    frequencies = np.bincount(actions, minlength=size) / number
    if number * divergence(frequencies, law / law.sum()) > critical_value(size, level):
        shown = f"the probabilities {np.round(law, 3)} up to what {number} draws allow"
        raise ContractError(name, "law", f"frequencies {np.round(frequencies, 3)}", shown)


def check_probabilities(name: str, law: chex.Array) -> None:
    """Checks that a law has no negative probability, and that they sum to one.

    Args:
      name: what the error calls it.
      law: ``[A]``.

    Raises:
      ContractError: ``range``.

    Example:
      >>> check_probabilities("probabilities", jnp.array([0.5, 0.6]))
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: probabilities breaks 'range': got a sum of 1.1, expected 1
    """
    law = np.asarray(law, np.float64)
    if not (law >= 0).all():
        raise ContractError(name, "range", f"probabilities {law}", "none below 0")
    if abs(law.sum() - 1.0) > 1e-5:
        raise ContractError(name, "range", f"a sum of {law.sum():.6g}", "1")


def divergence(frequencies: np.ndarray, law: np.ndarray) -> float:
    """Computes the divergence ``sum f log(f / p)`` in nats; infinite where ``p`` alone is 0.

    Example:
      >>> divergence(np.array([1.0, 0.0]), np.array([0.5, 0.5]))  # log 2
      0.6931...
    """
    met = frequencies > 0
    with np.errstate(divide="ignore"):
        return float(np.sum(frequencies[met] * np.log(frequencies[met] / law[met])))


def critical_value(size: int, level: float = LEVEL) -> float:
    """Finds the ``x > A - 1`` for which the bound of `check_law` is ``level``, by bisection.

    Example:
      >>> round(critical_value(4), 1)
      22.9
    """
    freedom = size - 1
    excess = lambda x: freedom * (1.0 + math.log(x / freedom)) - x - math.log(level)  # noqa: E731
    low, high = float(freedom), freedom - 10.0 * math.log(level)
    while excess(high) > 0.0:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    return high
