"""Families of agents by name: what `mermaide_jax.registry` knows of them, ready to use."""

from collections.abc import Iterable
from typing import Any, cast

import chex
import jax.numpy as jnp

from mermaide_jax import registry
from mermaide_jax.base import Agent, Params


def make_agent(family: str, num_arms: int, **options: Any) -> Agent:
    """The agent of a registered family.

    Args:
      family: its name.
      num_arms: number of arms ``A``.
      options: of these the agent is given those that its family has (trait ``options``), such as
        ``initial_pull``.

    Raises:
      ConfigError: there is no such family, or it refuses the number of arms.
    """
    member = registry.get("family", family, "family")
    known = member.traits.get("options", ())
    return member.value(num_arms, **{name: options[name] for name in known if name in options})


def make_params(family: str, coefficient: chex.Numeric) -> Params:
    """Params of one agent of a family, what it knows of its task (`Agent.inform`) left out.

    Args:
      family: its name.
      coefficient: scalar, the first parameter of the family; ignored if it has none.

    Raises:
      ConfigError: there is no such family.
    """
    member = registry.get("family", family, "family")
    return member.traits["params"](jnp.asarray(coefficient, jnp.float32))


def grid_of(family: str) -> tuple[float, ...]:
    """The published or default coefficients of a family, ascending; ``(0.0,)`` if it has none.

    Raises:
      ConfigError: there is no such family.
    """
    parameters = registry.get("family", family, "family").parameters
    return tuple(cast(Iterable[float], parameters[0].grid)) if parameters else (0.0,)


def check_coefficients(family: str, coefficients: tuple[float, ...]) -> None:
    """Refuses coefficients that no agent of the family can have.

    Raises:
      ConfigError: no such family, or the line that names the parameter and its bounds.
    """
    parameters = registry.get("family", family, "family").parameters
    for coefficient in coefficients if parameters else ():
        parameters[0].check(coefficient)
