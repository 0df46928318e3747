"""From the command line to a checked command, or one clear line that says why not."""

import argparse
import contextlib
import io
import os
import re
from typing import Annotated, Any, NoReturn

import tyro

from mermaide_jax.cli.commands import Bench, Evaluate, List, Reproduce, Show, Train
from mermaide_jax.cli.naming import as_option
from mermaide_jax.cli.overview import COMMANDS, DESCRIPTION
from mermaide_jax.errors import ConfigError
from mermaide_jax.studies.mermaide.presets import PRESETS

Command = Train | Evaluate | Reproduce | Show | Bench | List

_SHORTHANDS = {"--reference": ("--network.recurrence", "reference")}
"""What one word stands for: no fast path, the plain definition of the networks."""


def parse(arguments: list[str]) -> Command:
    """The command that the arguments ask for.

    Raises:
      ConfigError: one line that names the argument, the value and what is allowed.
      SystemExit: after printing help, with code 0.
    """
    preset = _preset(arguments)
    arguments = [word for given in arguments for word in _SHORTHANDS.get(given, (given,))]
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), _wide(arguments):
            return tyro.cli(
                _commands(preset), prog="mermaide", description=DESCRIPTION, args=arguments
            )
    except (SystemExit, ConfigError) as stop:
        if isinstance(stop, SystemExit) and not stop.code:
            raise
        _refuse(stop, errors.getvalue(), arguments, preset)


def _preset(arguments: list[str]) -> str:
    """The preset, which decides the defaults that everything else is parsed with."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", nargs="?")
    name = parser.parse_known_args(arguments)[0].preset
    return name if name in PRESETS else "quick"  # an unknown name is refused with the rest


def _commands(preset: str) -> Any:
    """The union of the commands, with the defaults of a preset."""
    defaults: dict[str, Any] = {
        "out": tyro.MISSING,
        "preset": preset,
        "study": PRESETS[preset],
    }
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


@contextlib.contextmanager
def _wide(arguments: list[str]):
    """Lets error messages run on in one line, as they are put together again below."""
    if {"-h", "--help"} & set(arguments):
        yield
        return
    former = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if former is not None:
            os.environ["COLUMNS"] = former


def _refuse(stop: BaseException, box: str, arguments: list[str], preset: str) -> NoReturn:
    """Turns what tyro had to say into one line."""
    command = [name for name in arguments[:1] if name in COMMANDS]
    hint = f"; see {' '.join(['mermaide', *command, '--help'])}"
    cause: BaseException | None = stop
    while cause is not None:
        if isinstance(cause, ConfigError):
            raise ConfigError(as_option(cause, _given(arguments), preset) + hint) from cause
        cause = cause.__context__
    raise ConfigError(condense(box) + hint)


def _given(arguments: list[str]) -> set[str]:
    """The options on the command line, spelled as in the help."""
    return {argument.partition("=")[0].replace("_", "-") for argument in arguments}


_WANTED = {"to float": "a number", "for int()": "an integer"}


def condense(box: str) -> str:
    """The boxed text of tyro as one line, in the words of our own checks where there are such.

    Args:
      box: what tyro printed.
    """
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in box.splitlines()]
    parts = [""] if box.lstrip().startswith("╭") else []
    for line in lines[1:]:  # the first holds the title; without a frame, a rule follows it
        line = line.strip(" │╰╯")
        if line and not line.strip("─-"):
            parts.append("")
        elif parts:
            parts[-1] = f"{parts[-1]} {line}".strip()
    text = parts[0] if parts and parts[0] else "the command line could not be read"
    if found := re.match(r"Error parsing (--\S+): .*?(to float|for int\(\)).*?: (.*)$", text):
        return f"{found[1]}: got {found[3]}, expected {_WANTED[found[2]]}"
    if found := re.match(r"invalid choice (.*) for argument '(.*)'. .* one of \((.*)\)", text):
        choices = found[3].replace("'", "")
        return f"{found[2].split('/')[0]}: got {found[1]}, expected one of {choices}"
    if found := re.match(r"Missing value for argument '(.*?)'. Expected (.*?) values?", text):
        return f"{found[1]}: got no value, expected {found[2]}"
    if text.startswith("Missing from "):
        names = [re.match(r"[ │]*(--[a-z][\w.-]*|[A-Z_]+)(?= |$)", line) for line in lines]
        missing = [name[1] for name in names if name]
        return f"{', '.join(missing)}: got nothing, expected a value"
    near = re.findall(r"--[a-z][\w.-]*(?= |$)", " ".join(p for p in parts[1:] if "meant" in p))
    near = [name for name in near if name != "--help"]
    return text.rstrip(".") + (f" (did you mean {near[0]}?)" if near else "")
