"""Frozen config dataclasses from plain JSON values: checked, and unable to run anything."""

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from mermaide_jax.errors import ConfigError, refuse

Config = TypeVar("Config")

_PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)


def config_to_dict(config: Any) -> dict[str, Any]:
    """Turns a nested config into plain JSON values, lists in the place of tuples."""
    return msgspec.to_builtins(config)


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
    """
    _check_fields(cls, values, where)
    try:
        return msgspec.convert(values, cls, strict=True)
    except msgspec.ValidationError as error:
        reason, place = _PLACE.match(str(error)).groups()  # type: ignore[union-attr]
        path = where + (place or "")
        if isinstance(error.__cause__, ConfigError):
            raise ConfigError(f"{path}.{error.__cause__}") from error
        found = _at(values, place or "")
        expected = reason.removeprefix("Expected ").partition(", got ")[0].replace("`", "")
        refuse(path, found, expected)


def _check_fields(cls: Any, values: Any, where: str) -> None:
    """Refuses fields that a dataclass has not, in any part."""
    fields = [field.name for field in dataclasses.fields(cls)]
    if not isinstance(values, Mapping) or not set(values) <= set(fields):
        got = sorted(values) if isinstance(values, Mapping) else type(values).__name__
        raise ConfigError(f"{where}: got {got}, expected the fields {sorted(fields)}")
    for name, hint in typing.get_type_hints(cls).items():
        if dataclasses.is_dataclass(hint) and name in values:
            _check_fields(hint, values[name], f"{where}.{name}")


def _at(values: Any, place: str) -> Any:
    """The value at a place such as ``.game.cost`` or ``.agents.families[0]``."""
    steps = re.findall(r"\.(\w+)|\[(\d+)\]", place)
    return functools.reduce(lambda v, step: v[step[0] or int(step[1])], steps, values)
