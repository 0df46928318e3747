"""What every study and experiment is started with, and what it leaves behind.

A script is a dataclass of options, a function that does the work, and one line:

    @dataclasses.dataclass(frozen=True)
    class Sweep(Options):
        seeds: int = 3  # the help is the docstring below a field

    def main(options: Sweep) -> None:
        began = time.monotonic()
        directory = prepare_output(options.out, force=options.force)
        keys = seed_keys(range(options.seeds))
        records = tidy({"seed": range(options.seeds)}, score=jax.vmap(play)(keys))
        write_experiment(directory, {"sweep": pd.DataFrame(records)}, {}, began)

    if __name__ == "__main__":
        sys.exit(start(main, Sweep, __doc__))

`start` reads the command line and turns a refusal into one line, `prepare_output` refuses a
directory before any work, `seed_keys` gives each seed a key, `say` and `progress` tell how far it
is, `tidy` makes records of arrays, and `write_experiment` writes tables, figures and how they were
made, all of them or none. A `Study` is the same under a name (`mermaide_jax.registry`), for
``mermaide run NAME``.
"""

import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import chex
import jax
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax import registry
from mermaide_jax._jax.platforms import check_platform
from mermaide_jax.errors import ConfigError
from mermaide_jax.report.style import save_png
from mermaide_jax.results.files import prepare_output, text_writer, write_atomically
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.records import tidy
from mermaide_jax.results.schema import to_plain
from mermaide_jax.results.tables import frame_writer

__all__ = [
    "Directories",
    "Directory",
    "Options",
    "Study",
    "file_writers",
    "prepare_output",
    "progress",
    "run_study",
    "say",
    "script_record",
    "seed_keys",
    "start",
    "tidy",
    "write_experiment",
]

E = TypeVar("E")
T = TypeVar("T")

_DECIMALS = 5

Directory = Annotated[Path, tyro.conf.Positional]
"""An option that is given without its name: a directory."""
Directories = Annotated[tuple[Path, ...], tyro.conf.Positional]
"""An option that is given without its name: directories, one or more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What every script is told; its own options are the fields of a subclass."""

    out: Path
    """Directory for tables and figures."""
    force: bool = False
    """Accept an output directory that holds files."""


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

    >>> def main(options: Options) -> None:
    ...     print(f"results go to {options.out}")
    >>> start(main, Options, "Plays.", ["--out", "results"])
    results go to results
    0
    """
    from mermaide_jax.options import parse_options

    try:
        given = parse_options(options, argv, prog=prog, description=description)
        check_platform()
        return main(given) or 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run_study(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs a registered study with what the command line says; see `start`.

    Example:
      >>> run_study("no_such_study")
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: study: got 'no_such_study', expected one of ...
    """
    member = registry.get("study", name)
    return start(member.value.run, member.value.options, member.summary, argv, prog)


def seed_keys(seeds: Iterable[int], use: int = 0) -> chex.PRNGKey:
    """Makes a typed key for each seed, others for each use.

    Adding seeds leaves the keys of the former ones as they are, and no draw of one use is one of
    another, such as the agents to train on and those to test on.

    Args:
      seeds: ``S`` numbers; equal ones have equal keys.
      use: which of several sets of keys.

    Returns:
      ``[S]`` keys.

    >>> few, more = seed_keys(range(2)), seed_keys(range(5))
    >>> bool((jax.random.key_data(few) == jax.random.key_data(more[:2])).all())
    True
    """
    numbers = np.asarray(list(seeds), np.int32)
    return jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(use)))(numbers)


def say(line: str) -> None:
    """Prints one line of progress at once.

    >>> say("seed 1: played")
    seed 1: played
    """
    print(line, flush=True)


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Goes through items behind a bar on a terminal, and without one elsewhere.

    Args:
      items: to go through.
      what: what an item is.
      total: how many there are, if they do not know themselves.

    >>> [2 * seed for seed in progress(range(3), "seeds")]
    [0, 2, 4]
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
    """Writes a table ``NAME.csv``, a figure ``NAME.png`` each and ``about.json``, or nothing.

    Args:
      directory: where they go; must exist.
      tables: by name, written without their index.
      figures: by name.
      began: `time.monotonic` at the start of the script.
      formats: of a table's floats, such as ``{"gains": "%.4g"}``, else five decimals; or
        ``"parquet"`` for a table of thousands of lines, which is then ``NAME.parquet``.
      **about: said in ``about.json`` beside command, versions, device, revision and wall time
        (`script_record`).

    Raises:
      OSError: if the disk refuses; the former files stay.

    >>> import tempfile, time
    >>> directory = Path(tempfile.mkdtemp())
    >>> table = pd.DataFrame(tidy({"seed": range(2)}, score=[1.0, 2.0]))
    >>> write_experiment(directory, {"scores": table}, {}, time.monotonic(), episodes=8)
    >>> sorted(path.name for path in directory.iterdir())
    ['about.json', 'scores.csv']
    """
    said = json.dumps(to_plain(script_record(began) | about), indent=1) + "\n"
    writers = file_writers(tables, figures, formats or {})
    write_atomically(directory, writers | {"about.json": text_writer(said)})


def file_writers(
    tables: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Figure],
    formats: Mapping[str, str],
) -> dict[str, Callable[[Path], None]]:
    """Makes what writes the files of tables and figures, for `write_atomically`.

    Example:
      >>> sorted(file_writers({"scores": pd.DataFrame({"K": [0, 1]})}, {}, {}))
      ['scores.csv']
    """
    writers: dict[str, Callable[[Path], None]] = {
        f"{name}.png": functools.partial(save_png, x) for name, x in figures.items()
    }
    for name, table in tables.items():
        if formats.get(name) == "parquet":
            writers[f"{name}.parquet"] = frame_writer(table)
        else:
            writers[f"{name}.csv"] = _csv_writer(table, formats.get(name))
    return writers


def _csv_writer(table: pd.DataFrame, form: str | None) -> Callable[[Path], None]:
    """A function that writes the table to a path, for `write_atomically`."""
    if form is None:
        return functools.partial(table.round(_DECIMALS).to_csv, index=False)
    return functools.partial(table.to_csv, index=False, float_format=form)
