"""From the command line to a checked command, or one clear line that says why not."""

import argparse
import dataclasses
import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import tyro

from mermaide_jax import registry
from mermaide_jax.cli.commands import (
    Bench,
    Evaluate,
    List,
    Reproduce,
    Run,
    Show,
    Train,
    check_preset,
)
from mermaide_jax.cli.overview import COMMANDS, DESCRIPTION
from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.options import parse_options
from mermaide_jax.results.configs import config_from_dict, config_to_dict
from mermaide_jax.results.migration import upgrade_config
from mermaide_jax.studies.mermaide.config import StudyConfig

Command = Train | Evaluate | Reproduce | Show | Bench | List | Run

_SHORTHANDS = {"--reference": ("--network.recurrence", "reference")}
"""What one word stands for: no fast path, the plain definition of the networks."""


def parse(arguments: list[str], joined: dict[str, list[str]] | None = None) -> Command:
    """Parses the command that the arguments ask for.

    Args:
      arguments: what follows ``mermaide``.
      joined: names of members that were loaded, by kind: families and principals among them join
        the study unless others are asked for.

    Raises:
      ConfigError: one line that names the argument, the value and what is allowed.
      SystemExit: after printing help, with code 0.

    Example:
      >>> parse(["train", "--preset", "smoke", "--out", "results"]).study.game.horizon
      20
    """
    if arguments[:1] == ["run"]:
        return Run(arguments[1:])
    preset, file = _defaults_from(arguments)
    words = [word for given in arguments for word in _SHORTHANDS.get(given, (given,))]
    study = _study(preset, file)
    if arguments[:1] in (["train"], ["reproduce"]):
        study = _join(study, joined or {})
    try:
        return parse_options(
            _commands(preset, study),
            words,
            prog="mermaide",
            description=DESCRIPTION,
            owners=_owners(words),
        )
    except ConfigError as error:
        command = [name for name in arguments[:1] if name in COMMANDS]
        hint = f"; see {' '.join(['mermaide', *command, '--help'])}"
        raise ConfigError(f"{error}{_source(str(error), words, preset)}{hint}") from error


def _defaults_from(arguments: list[str]) -> tuple[str, Path | None]:
    """The preset and the file, which decide the defaults that all else is parsed with."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", nargs="?")
    parser.add_argument("--config", nargs="?", type=Path)
    known = parser.parse_known_args(arguments)[0]
    # An unknown name is refused with the rest.
    name = known.preset if known.preset in registry.names("preset") else "quick"
    return name, known.config


def _study(preset: str, file: Path | None) -> StudyConfig:
    """The preset, with what a file says in place of it."""
    base = check_preset(preset)
    if file is None:
        return base
    try:
        text = file.read_text(encoding="utf-8-sig")
        values = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except OSError as error:
        refuse("--config", file, f"a file that can be read ({error.strerror})")
    except ValueError as error:
        refuse("--config", file, f"JSON, or TOML by its name ({error})")
    try:
        return config_from_dict(StudyConfig, _merged(config_to_dict(base), upgrade_config(values)))
    except ConfigError as error:
        raise ConfigError(f"--config {file}: {error}") from error


def _merged(base: dict[str, Any], values: Any) -> Any:
    """``base`` with ``values`` in its place, part by part."""
    if not isinstance(values, dict):
        return values
    merged = dict(base)
    for name, value in values.items():
        inner = merged.get(name)
        merged[name] = _merged(inner, value) if isinstance(inner, dict) else value
    return merged


def _join(study: StudyConfig, joined: dict[str, list[str]]) -> StudyConfig:
    """The study with the families and principals that were loaded, those that fit it."""
    for family in joined.get("family", []):
        families = tuple(dict.fromkeys((*study.agents.families, family)))
        try:
            agents = dataclasses.replace(study.agents, families=families)
            study = dataclasses.replace(study, agents=agents)
        except ConfigError as error:
            _warn(f"{family} is not met unless --agents.families names it ({error})")
    principals = tuple(dict.fromkeys((*study.principals, *joined.get("principal", []))))
    return dataclasses.replace(study, principals=principals)


def _warn(message: str) -> None:
    print(f"mermaide: warning: {message}", file=sys.stderr)


def _commands(preset: str, study: StudyConfig) -> Any:
    """The union of the commands, with the defaults of a study."""
    defaults: dict[str, Any] = {"out": tyro.MISSING, "preset": preset, "study": study}
    train = tyro.conf.subcommand(name="train", default=Train(**defaults))
    reproduce = tyro.conf.subcommand(name="reproduce", default=Reproduce(**defaults))
    return (
        Annotated[Train, train]
        | Annotated[Evaluate, tyro.conf.subcommand(name="evaluate")]
        | Annotated[Reproduce, reproduce]
        | Annotated[Show, tyro.conf.subcommand(name="show")]
        | Annotated[Bench, tyro.conf.subcommand(name="bench")]
        | Annotated[List, tyro.conf.subcommand(name="list")]
    )


def _owners(words: list[str]) -> tuple[type, ...]:
    """The dataclass of the command that is asked for, or those of all."""
    by_name = {
        kind.__name__.lower(): kind for kind in (Train, Evaluate, Reproduce, Show, Bench, List)
    }
    return (by_name[words[0]],) if words and words[0] in by_name else tuple(by_name.values())


def _source(message: str, words: list[str], preset: str) -> str:
    """Where a refused value comes from if it is not on the command line."""
    option = message.partition(": ")[0]
    given = {word.partition("=")[0].replace("_", "-") for word in words}
    dotted = option.startswith("--") and "," not in option and " " not in option
    known = dotted and "got nothing" not in message and "no such option" not in message
    return f" (from preset {preset})" if known and option not in given else ""
