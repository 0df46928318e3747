"""How an experiment is started, and what it leaves behind: tables, figures, how they were made."""

import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.errors import ConfigError
from mermaide_jax.report._style import save_png
from mermaide_jax.results.files import text_writer, write_atomically
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.schema import to_plain

__all__ = ["file_writers", "start", "write_experiment"]

E = TypeVar("E")

_DECIMALS = 5


def start(main: Callable[[E], int | None], experiment: type[E], description: str | None) -> int:
    """Runs ``main`` with what the command line says, and gives the exit code.

    Args:
      main: does the work; may return an exit code of its own.
      experiment: the dataclass of its options.
      description: what ``--help`` says first.

    Returns:
      What ``main`` returns, else 0; or 2 if it refused an option, after one line that says which.
    """
    import tyro  # of the extra [experiments]

    try:
        return main(tyro.cli(experiment, description=description)) or 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


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
    """What writes ``NAME.csv`` and ``NAME.png``, for `write_atomically`; see `write_experiment`."""
    csv = {f"{name}.csv": _csv_writer(x, formats.get(name)) for name, x in tables.items()}
    png = {f"{name}.png": functools.partial(save_png, x) for name, x in figures.items()}
    return {**csv, **png}


def _csv_writer(table: pd.DataFrame, form: str | None) -> Callable[[Path], None]:
    """A function that writes the table to a path, for `write_atomically`."""
    if form is None:
        return functools.partial(table.round(_DECIMALS).to_csv, index=False)
    return functools.partial(table.to_csv, index=False, float_format=form)
