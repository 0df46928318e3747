"""From a command line to a dataclass of options, or one clear line that says why not.

Options are frozen dataclasses, nested as they like, whose ``__post_init__`` refuses what is wrong
(`errors`); their docstrings are the help. `tyro` parses; what it refuses it tells by typed events,
of which this module makes lines of our own kind: ``--game.cost: got 'dear', expected a number``.
"""

import contextlib
import dataclasses
import difflib
import io
import re
import traceback
import types
import typing
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
from tyro import _errors as events

from mermaide_jax.errors import ConfigError

__all__ = ["as_option", "option_names", "parse_options"]

T = TypeVar("T")

_WORDS = {
    float: "a number",
    int: "an integer",
    bool: "True or False",
    str: "text",
    Path: "a path",
    types.NoneType: "None",
}


class _Refused(Exception):
    """The command line was refused, for the reason that the line tells."""


def parse_options(
    options: Any,
    argv: Sequence[str] | None = None,
    *,
    prog: str | None = None,
    description: str | None = None,
    owners: Sequence[type] = (),
) -> Any:
    """Parses a command line into options.

    Args:
      options: a dataclass, or a union of them annotated as subcommands of `tyro`.
      argv: the words; None: those of this process.
      prog: name of the program, for help.
      description: what the help says first.
      owners: the dataclasses that a union is made of; None for a single dataclass.

    Returns:
      An instance.

    Raises:
      ConfigError: one line that names the option, the value and what is allowed.
      SystemExit: after printing help, with code 0.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Options:
      ...     cost: float = 0.75
      >>> parse_options(Options, ["--cost", "0.5"])
      Options(cost=0.5)
      >>> parse_options(Options, ["--cost", "dear"])
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: --cost: got 'dear', expected a number
    """
    import sys

    words = list(sys.argv[1:] if argv is None else argv)
    classes = owners or (options,)

    def refuse(event: events.ParseErrorEvent) -> None:
        if line := _line_of(event, words, classes):
            raise _Refused(line)

    try:
        with contextlib.redirect_stderr(io.StringIO()), events.on_parse_error(refuse):
            return tyro.cli(options, prog=prog, description=description, args=words)
    except _Refused as error:
        raise ConfigError(str(error)) from None
    except (SystemExit, ConfigError) as stop:
        if isinstance(stop, SystemExit) and not stop.code:
            raise
        cause = _config_error(stop)
        if cause is None:
            raise ConfigError("the command line could not be read") from stop
        raise ConfigError(as_option(cause, classes)) from cause


def as_option(error: ConfigError, owners: Collection[type] = ()) -> str:
    """Rewords the message of a config's own check, with the option in place of the field.

    Which config refused the value is read from the traceback: the checks know their own fields
    alone, and some names occur twice (`seed`, `agents.seed`).

    Args:
      error: ``field: got VALUE, expected ALLOWED``, raised while a config was built.
      owners: the dataclasses of options that hold the configs.

    Returns:
      Such as ``--game.cost: got -1.0, expected a finite number >= 0``.

    Example:
      >>> as_option(ConfigError("reward_low: got 3, expected a number in [0, 1]"))
      '--reward-low: got 3, expected a number in [0, 1]'
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    built = [type(f.f_locals.get("self")) for f in frames if f.f_code.co_name == "__post_init__"]
    prefixes = {kind: prefix for owner in owners for kind, prefix in _parts(owner)}
    prefix = next((prefixes[kind] for kind in built if kind in prefixes), "")
    name, _, rest = str(error).partition(": ")
    if name.startswith("number of "):
        name = name.removeprefix("number of ")
        rest = re.sub(r"^got 0, .*", "got no value, expected at least one", rest)
        rest = re.sub(r"^got (\d+)", r"got \1 values", rest)
    return f"--{prefix}{name}".replace("_", "-") + f": {rest}"


def option_names(owner: type) -> list[str]:
    """Lists all options of a dataclass, nested ones with their prefix, as the help spells them.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Options:
      ...     reward_low: float = 0.0
      >>> option_names(Options)
      ['--reward-low']
    """
    return [
        f"--{prefix}{field.name}".replace("_", "-")
        for kind, prefix in _parts(owner)
        for field in dataclasses.fields(kind)
        if not dataclasses.is_dataclass(_type_of(kind, field.name))
    ]


def _parts(owner: type, prefix: str = "") -> Iterator[tuple[type, str]]:
    """A dataclass and the dataclasses within it, with what stands before their options."""
    yield owner, prefix
    for field in dataclasses.fields(owner):
        kind = _type_of(owner, field.name)
        if dataclasses.is_dataclass(kind):
            flat = any(getattr(m, "name", None) == "" for m in _metadata(owner, field.name))
            yield from _parts(kind, prefix if flat else f"{prefix}{field.name}.")  # type: ignore[arg-type]


def _type_of(owner: type, name: str) -> Any:
    hint = typing.get_type_hints(owner, include_extras=True)[name]
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _metadata(owner: type, name: str) -> tuple[Any, ...]:
    return getattr(typing.get_type_hints(owner, include_extras=True)[name], "__metadata__", ())


def _line_of(event: Any, words: list[str], classes: Sequence[type]) -> str | None:
    """What an event of the parser means in one line; None: a config refused the value itself."""
    if isinstance(event, events.MissingArgs):
        names = [_name(missing.arg) for missing in event.missing_arguments]
        return f"{', '.join(names)}: got nothing, expected a value"
    if isinstance(event, events.MissingSubcommand):
        known = ", ".join(event.subcommand_spec.parser_from_name)
        return f"command: got nothing, expected one of {known}"
    if isinstance(event, events.InvalidChoice):
        known = ", ".join(event.choices)
        return f"{_name(event.argument)}: got {event.value!r}, expected one of {known}"
    if isinstance(event, events.BadValue):
        return f"{_name(event.argument)}: got no value, expected {_expected(event.argument)}"
    if isinstance(event, events.UnrecognizedArgs):
        return _unknown(event.tokens, classes)
    if isinstance(event, events.InstantiationFailure) and event.argument is not None:
        return _unreadable(event.argument, words)
    return None


def _name(argument: Any) -> str:
    """An option as the user knows it; a positional one by what stands for it in the help."""
    flags = argument.lowered.name_or_flags
    return flags[0] if flags[0].startswith("-") else str(argument.lowered.metavar)


def _unknown(tokens: Sequence[str], classes: Sequence[type]) -> str:
    if not tokens[0].startswith("-"):
        return f"{' '.join(tokens)}: belongs to no option"
    known = list(dict.fromkeys(name for owner in classes for name in option_names(owner)))
    near = difflib.get_close_matches(tokens[0].partition("=")[0], known, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{' '.join(tokens)}: no such option{hint}"


def _unreadable(argument: Any, words: list[str]) -> str | None:
    """A value that is not of the option's type."""
    name = _name(argument)
    spelled = [word.partition("=")[0].replace("_", "-") for word in words]
    if name not in spelled:
        return None
    place = spelled.index(name)
    given = words[place].partition("=")[2] or " ".join(word for word in _values(words[place + 1 :]))
    return f"{name}: got {given!r}, expected {_expected(argument)}"


def _expected(argument: Any) -> str:
    """What an option takes, in words, or as the help has it."""
    kind = argument.field.type_stripped
    if typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (...,):
        each = _in_words(typing.get_args(kind)[0])
        return f"values, each {each}" if each else str(argument.lowered.metavar)
    return _in_words(kind) or str(argument.lowered.metavar)


def _in_words(kind: Any) -> str | None:
    """A type in words; None if there are none for it."""
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        parts = [_in_words(part) for part in typing.get_args(kind)]
        return None if None in parts else " or ".join(map(str, parts))
    return _WORDS.get(kind)


def _values(words: Sequence[str]) -> Iterator[str]:
    """The words up to the next option."""
    for word in words:
        if word.startswith("--"):
            return
        yield word


def _config_error(stop: BaseException) -> ConfigError | None:
    """The refusal of a config that made the parser stop, if that was the reason."""
    cause: BaseException | None = stop
    while cause is not None and not isinstance(cause, ConfigError):
        cause = cause.__context__
    return cause
