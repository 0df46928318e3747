"""What `mermaide bench` does: measures the library's own throughput, prints it, keeps it."""

import json
import sys
from pathlib import Path

from mermaide_jax.cli.commands import Bench
from mermaide_jax.errors import refuse
from mermaide_jax.results.files import text_writer, write_atomically
from mermaide_jax.throughput.measure import measure, table
from mermaide_jax.throughput.works import WORKS


def bench(command: Bench, line: str) -> None:
    """Measures, prints the table or the JSON, writes the file.

    Args:
      command: the options.
      line: the command line, for the record.
    """
    _check_out(command.out, command.force)
    works = {name: WORKS[name] for name in command.works}
    report = measure(works, say=_say) | {"command": line}
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    print(text if command.json else table(report), end="" if command.json else "\n")
    if command.out is not None:
        write_atomically(command.out.parent, {command.out.name: text_writer(text)})
        _say(f"written: {command.out}")


def _check_out(out: Path | None, force: bool) -> None:
    """Refuses a file that is there already, or a directory."""
    if out is not None and (out.is_dir() or (out.exists() and not force)):
        refuse("--out", str(out), "a new file, or with --force one to replace")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
