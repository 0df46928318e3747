"""Families of agents by name: what `mermaide_jax.registry` knows of them, ready to use."""

from collections.abc import Iterable
from typing import Any, cast

import chex
import jax.numpy as jnp

from mermaide_jax import registry
from mermaide_jax.base import Agent, Params


def make_agent(family: str, num_arms: int, **options: Any) -> Agent:
    """Makes the agent of a registered family.

    Args:
      family: its name.
      num_arms: number of arms ``A``.
      options: of these the agent is given those that its family has (trait ``options``), such as
        ``initial_pull``.

    Raises:
      ConfigError: there is no such family, or it refuses the number of arms.

    Example:
      >>> agent = make_agent("epsilon_greedy", 3, initial_pull=False)
      >>> agent is agents.epsilon_greedy(3, initial_pull=False)
      True
    """
    member = registry.get("family", family, "family")
    known = member.traits.get("options", ())
    return member.value(num_arms, **{name: options[name] for name in known if name in options})


def make_params(family: str, coefficient: chex.Numeric) -> Params:
    """Makes the params of one agent of a family, what it knows of its task left out.

    Args:
      family: its name.
      coefficient: scalar, the first parameter of the family; ignored if it has none.

    Raises:
      ConfigError: there is no such family.

    Example:
      >>> make_params("ucb", 0.25)
      UCBParams(beta=Array(0.25, dtype=float32))
    """
    member = registry.get("family", family, "family")
    return member.traits["params"](jnp.asarray(coefficient, jnp.float32))


def grid_of(family: str) -> tuple[float, ...]:
    """Gives the published or default coefficients of a family, ascending.

    Raises:
      ConfigError: there is no such family.

    Example:
      >>> grid_of("ucb")
      (0.17, 0.27, 0.42, 0.5, 0.67)
    """
    parameters = registry.get("family", family, "family").parameters
    return tuple(cast(Iterable[float], parameters[0].grid)) if parameters else (0.0,)


def check_coefficients(family: str, coefficients: tuple[float, ...]) -> None:
    """Refuses coefficients that no agent of the family can have.

    Raises:
      ConfigError: no such family, or the line that names the parameter and its bounds.

    Example:
      >>> check_coefficients("epsilon_greedy", (0.5, 1.5))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: epsilon: got 1.5, expected a finite number >= 0 and <= 1
    """
    parameters = registry.get("family", family, "family").parameters
    for coefficient in coefficients if parameters else ():
        parameters[0].check(coefficient)
