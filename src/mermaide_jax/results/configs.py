"""Frozen config dataclasses from plain JSON values: checked, and unable to run anything."""

import dataclasses
import types
import typing
from typing import Any, TypeVar

from mermaide_jax.errors import ConfigError

Config = TypeVar("Config")


def config_from_dict(cls: type[Config], values: Any, where: str = "config") -> Config:
    """The inverse of `dataclasses.asdict` for nested frozen configs.

    A field that is missing has its default: a later release added it, and the default does what
    was done before.

    Args:
      cls: the dataclass to build.
      values: what `json.loads` gave.
      where: name of this part, for errors.

    Raises:
      ConfigError: an unknown field, or a value that the dataclass refuses.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or not set(values) <= set(fields):
        got = sorted(values) if isinstance(values, dict) else type(values).__name__
        raise ConfigError(f"{where}: got {got}, expected the fields {sorted(fields)}")
    hints = typing.get_type_hints(cls)
    built = {name: _build(hints[name], values[name], f"{where}.{name}") for name in values}
    return cls(**built)


def _build(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return config_from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_build(item, entry, where) for entry in value)
    if origin is typing.Literal:
        return value  # the dataclass checks it
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{where}: got {value!r}, expected {hint.__name__}")
    return value
