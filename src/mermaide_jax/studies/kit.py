"""What every study and experiment is started with, and what it leaves behind.

A script is a dataclass of options, a function that does the work, and one line:

    if __name__ == "__main__":
        sys.exit(start(main, Options, __doc__))

`prepare_output` refuses a directory before any work, `say` and `progress` tell how far it is,
`write_experiment` writes tables, figures and how they were made, all of them or none. A `Study` is
the same under a name (`mermaide_jax.registry`), for ``mermaide run NAME``.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.report.style import save_png
from mermaide_jax.results.files import prepare_output, text_writer, write_atomically
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.schema import to_plain

__all__ = [
    "Study",
    "file_writers",
    "prepare_output",
    "progress",
    "run_study",
    "say",
    "start",
    "write_experiment",
]

E = TypeVar("E")
T = TypeVar("T")

_DECIMALS = 5


@dataclasses.dataclass(frozen=True)
class Study:
    """A protocol with options, to be registered under a name.

    Attributes:
      options: the dataclass of its options; ``out``, a directory, and ``force`` among them.
      run: does the work; may return an exit code of its own.
    """

    options: type
    run: Callable[[Any], int | None]


def start(
    main: Callable[[E], int | None],
    options: type[E],
    description: str | None,
    argv: Sequence[str] | None = None,
    prog: str | None = None,
) -> int:
    """Runs ``main`` with what the command line says, and gives the exit code.

    Args:
      main: does the work; may return an exit code of its own.
      options: the dataclass of its options.
      description: what ``--help`` says first.
      argv: the command line; None: that of this process.
      prog: name of the program, for help; None: that of the script.

    Returns:
      What ``main`` returns, else 0; or 2 if it refused an option, after one line that says which.
    """
    from mermaide_jax.options import parse_options

    try:
        return main(parse_options(options, argv, prog=prog, description=description)) or 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run_study(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs a registered study with what the command line says; see `start`."""
    member = registry.get("study", name)
    return start(member.value.run, member.value.options, member.summary, argv, prog)


def say(line: str) -> None:
    """Prints one line of progress at once."""
    print(line, flush=True)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Goes through items behind a bar on a terminal, and without one elsewhere.

    Args:
      items: to go through.
      what: what an item is.
      total: how many there are, if they do not know themselves.
    """
    from tqdm import tqdm  # of the extra [experiments]

    yield from tqdm(items, desc=what, total=total, disable=None, leave=False)


def write_experiment(
    directory: Path,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    began: float,
    *,
    formats: Mapping[str, str] | None = None,
    **about: Any,
) -> None:
    """Writes ``NAME.csv``, ``NAME.png`` and ``about.json``, all of them or none.

    Args:
      directory: where they go; must exist.
      tables: by name, written without their index.
      figures: by name.
      began: `time.monotonic` at the start of the script.
      formats: of the floats of a table, such as ``{"gains": "%.4g"}``; else five decimals.
      **about: said in ``about.json`` beside command, versions, device, revision and wall time
        (`script_record`).

    Raises:
      OSError: if the disk refuses; the former files stay.
    """
    said = json.dumps(to_plain(script_record(began) | about), indent=1) + "\n"
    writers = file_writers(tables, figures, formats or {})
    write_atomically(directory, writers | {"about.json": text_writer(said)})


def file_writers(
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    formats: Mapping[str, str],
) -> dict[str, Callable[[Path], None]]:
    """Makes what writes ``NAME.csv`` and ``NAME.png``, for `write_atomically`."""
    csv = {f"{name}.csv": _csv_writer(x, formats.get(name)) for name, x in tables.items()}
    png = {f"{name}.png": functools.partial(save_png, x) for name, x in figures.items()}
    return {**csv, **png}


def _csv_writer(table: pd.DataFrame, form: str | None) -> Callable[[Path], None]:
    """A function that writes the table to a path, for `write_atomically`."""
    if form is None:
        return functools.partial(table.round(_DECIMALS).to_csv, index=False)
    return functools.partial(table.to_csv, index=False, float_format=form)
