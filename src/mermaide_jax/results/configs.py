"""Frozen config dataclasses from plain JSON values: checked, and unable to run anything."""

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from mermaide_jax.errors import ConfigError, refuse

Config = TypeVar("Config")

_PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def config_to_dict(config: Any) -> dict[str, Any]:
    """Turns a nested config into plain values that `json` writes, numpy scalars into numbers.

    Example:
      >>> from mermaide_jax.games import GameConfig
      >>> config_to_dict(GameConfig(num_arms=3))["num_arms"]
      3
    """
    return msgspec.to_builtins(config, enc_hook=_number)


def _number(value: Any) -> Any:
    """A numpy scalar as a number of Python."""
    if not isinstance(value, np.generic):
        raise NotImplementedError(f"a config holds {type(value).__name__}")
    return value.item()


def config_from_dict(cls: type[Config], values: Any, where: str = "config") -> Config:
    """Builds a nested frozen config from plain JSON values, the inverse of `config_to_dict`.

    A field that is missing has its default: a later release added it, and the default does what
    was done before.

    Args:
      cls: the dataclass to build.
      values: what `json.loads` gave.
      where: name of this part, for errors.

    Raises:
      ConfigError: an unknown field, a value of another type, or one that the dataclass refuses.

    Example:
      >>> from mermaide_jax.games import GameConfig
      >>> config_from_dict(GameConfig, {"num_arms": 3}).num_arms
      3
      >>> config_from_dict(GameConfig, {"arms": 3})
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: config: got ['arms'], expected the fields [...]
    """
    _check_fields(cls, values, where)
    try:
        return msgspec.convert(values, cls, strict=True)
    except msgspec.ValidationError as error:
        reason, place = _PLACE.match(str(error)).groups()  # type: ignore[union-attr]
        path = where + (place or "")
        if isinstance(error.__cause__, ConfigError):
            raise ConfigError(f"{path}.{error.__cause__}") from error
        refuse(path, _at(values, place or ""), _expected(reason, cls, place or ""))


def _check_fields(cls: Any, values: Any, where: str) -> None:
    """Refuses fields that a dataclass has not, or that are missing without a default."""
    fields = dataclasses.fields(cls)
    names = {field.name for field in fields}
    nothing = dataclasses.MISSING
    needed = {f.name for f in fields if f.default is nothing and f.default_factory is nothing}
    if not isinstance(values, Mapping) or not needed <= set(values) <= names:
        got = sorted(values) if isinstance(values, Mapping) else type(values).__name__
        raise ConfigError(f"{where}: got {got}, expected the fields {sorted(names)}")
    for name, hint in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(hint) and name in values:
            _check_fields(hint, values[name], f"{where}.{name}")


def _expected(reason: str, cls: Any, place: str) -> str:
    """What is allowed, from what `msgspec` says; it does not list the choices."""
    if reason.startswith("Invalid enum value"):
        names = [name for name, _ in _STEP.findall(place)]
        hint = functools.reduce(lambda cls, name: typing.get_type_hints(cls)[name], names, cls)
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    return reason.removeprefix("Expected ").partition(", got ")[0].replace("`", "")


def _at(values: Any, place: str) -> Any:
    """The value at a place such as ``.game.cost`` or ``.agents.families[0]``."""
    steps = _STEP.findall(place)
    return functools.reduce(lambda v, step: v[step[0] or int(step[1])], steps, values)
