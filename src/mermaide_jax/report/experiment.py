"""What an experiment leaves behind: tables, figures, and how they were made."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.report._files import text_writer, write_atomically
from mermaide_jax.report._style import save_png
from mermaide_jax.report.provenance import script_record
from mermaide_jax.report.schema import to_plain

__all__ = ["write_experiment"]

_DECIMALS = 5


def write_experiment(
    directory: Path,
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    began: float,
    **about: Any,
) -> None:
    """Writes ``NAME.csv``, ``NAME.png`` and ``about.json``, all of them or none.

    Args:
      directory: where they go; must exist.
      tables: by name, written to five decimals without their index.
      figures: by name.
      began: `time.monotonic` at the start of the script.
      **about: said in ``about.json`` beside command, versions, device, revision and wall time
        (`script_record`).

    Raises:
      OSError: if the disk refuses; the former files stay.
    """
    said = json.dumps(to_plain(script_record(began) | about), indent=1) + "\n"
    writers: dict[str, Callable[[Path], None]] = {
        f"{name}.csv": functools.partial(table.round(_DECIMALS).to_csv, index=False)
        for name, table in tables.items()
    }
    writers |= {
        f"{name}.png": functools.partial(save_png, figure) for name, figure in figures.items()
    }
    write_atomically(directory, writers | {"about.json": text_writer(said)})
