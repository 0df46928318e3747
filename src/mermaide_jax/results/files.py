"""Output directories and atomic writes: a reader sees the former file or the whole new one."""

import os
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from mermaide_jax.errors import refuse

__all__ = ["prepare_output", "text_writer", "write_atomically"]


def prepare_output(directory: str | os.PathLike[str], force: bool = False) -> Path:
    """Creates the output directory, or refuses it before any work is done.

    Nothing is ever deleted: with `force`, the files of this package are replaced when the new ones
    are complete, and all other files stay.

    Args:
      directory: where results go; parents are made.
      force: whether a directory that already holds files is accepted.

    Returns:
      The directory, which exists and can be written to.

    Raises:
      ConfigError: naming `--out`, if it is a file, holds files and `force` is off, or cannot be
        made or written to.

    Example:
      >>> import pathlib, tempfile
      >>> prepare_output(pathlib.Path(tempfile.mkdtemp()) / "new", force=False).is_dir()
      True
    """
    path = Path(directory)
    try:
        if path.exists() and not path.is_dir():
            refuse("--out", path, "a directory, not a file")
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        refuse("--out", path, f"a directory that can be written to ({error.strerror})")
    if occupied and not force:
        refuse("--out", path, "a new or empty directory (--force replaces former results)")
    return path


def write_atomically(
    directory: Path, writers: Mapping[str, Callable[[Path], None]]
) -> dict[str, Path]:
    """Writes several files so that either all are replaced or, if a writer fails, none.

    Every file is written under a temporary name in `directory` and synced; only when all are
    complete are they renamed to their places, in the order given.

    Args:
      directory: where the files go; must exist.
      writers: for each file name, a function that writes the file to the path it is given.

    Returns:
      The path of each file.

    Raises:
      OSError: if the disk refuses; exceptions of the writers pass through. The former files stay.

    Example:
      >>> import pathlib, tempfile
      >>> directory = pathlib.Path(tempfile.mkdtemp())
      >>> paths = write_atomically(directory, {"note.txt": text_writer("all or none")})
      >>> paths["note.txt"].read_text()
      'all or none'
    """
    staged: dict[str, Path] = {}
    try:
        for name, write in writers.items():
            staged[name] = directory / f".{name}.{uuid.uuid4().hex}.tmp"
            write(staged[name])
            _sync(staged[name])
        for name, temporary in staged.items():
            os.replace(temporary, directory / name)
        _sync(directory)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
    return {name: directory / name for name in writers}


def text_writer(text: str) -> Callable[[Path], None]:
    """Makes a function that writes the text to a path, for `write_atomically`.

    Example:
      >>> import pathlib, tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "note.txt"
      >>> text_writer("said")(path)
      >>> path.read_text()
      'said'
    """

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return write


def _sync(path: Path) -> None:
    """Forces a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
