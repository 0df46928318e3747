"""What the command answers before anything heavy is imported."""

from mermaide_jax import __version__
from mermaide_jax.errors import check_choice

COMMANDS: dict[str, str] = {
    "train": "Train the learned principals of a study and save them.",
    "evaluate": "Test trained principals, with other shots or another game if you like.",
    "reproduce": (
        "Train all principals of a study, test them on agents they never met, and compare them."
    ),
    "show": "Print the tables of saved results again and re-draw their figures.",
    "bench": "Measure how fast the library runs on this machine: agents, games, training.",
    "run": "Run another study by its name, or an experiment that was loaded.",
    "list": "List what there is: agents, principals, games, networks, presets, studies.",
}
"""Command to what it does."""

DESCRIPTION = """Learn to steer learning agents you have never met: MERMAIDE and its baselines.

  mermaide reproduce --out DIR   the whole job, at the quick preset
  mermaide COMMAND --help        the options of a command
  mermaide --load FILE COMMAND   with agents, principals and studies of your own
  mermaide --version             the version"""


def answer(arguments: list[str]) -> str | None:
    """Answers a command line that asks for help or the version; None to any other.

    Raises:
      ConfigError: there is no such command.

    Example:
      >>> answer(["--version"]).partition(" ")[0]
      'mermaide'
      >>> answer(["list"]) is None
      True
    """
    if arguments == ["--version"]:
        return f"mermaide {__version__}"
    if arguments in (["--help"], ["-h"]):
        return _help()
    if arguments and not arguments[0].startswith("-"):
        check_choice("command", arguments[0], tuple(COMMANDS))
    return None


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["usage: mermaide COMMAND ...", "", DESCRIPTION, "", "commands:", *commands])
