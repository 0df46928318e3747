"""The compile cache: what one run of the command compiled, the next one loads.

JAX keeps compiled programs in files and loads them as machine code, so whoever can write there can
run code as the user. Hence a directory that is the user's alone, or none.
"""

import contextlib
import hashlib
import os
import stat
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from mermaide_jax._jax import cpu

MAX_BYTES = 512 * 2**20
"""Beyond this size the entries that were not used for longest are removed."""

_SETTINGS: dict[str, Any] = {
    # What compiles faster is not worth a file: finding room looks at every entry.
    "jax_persistent_cache_min_compile_time_secs": 0.1,
    "jax_compilation_cache_max_size": MAX_BYTES,
}


class _Unusable(Exception):
    """There is no directory that could safely be used; says why."""


@contextlib.contextmanager
def compile_cache(enabled: bool) -> Iterator[None]:
    """While this lasts, JAX looks up and keeps compiled programs in the user's cache directory.

    If the user has set a directory for JAX (`JAX_COMPILATION_CACHE_DIR`), or has switched its cache
    off (`JAX_ENABLE_COMPILATION_CACHE`), that holds. Trouble with the cache is told in one line and
    does not stop the work: what cannot be loaded is compiled.

    Args:
      enabled: whether there is a cache at all; False switches the user's own one off too.

    Example:
      >>> with compile_cache(enabled=False):
      ...     jax.config.jax_enable_compilation_cache
      False
    """
    settings: dict[str, Any] = {"jax_enable_compilation_cache": False}
    directory = None
    if enabled:
        if not _setting("jax_enable_compilation_cache") or _setting("jax_compilation_cache_dir"):
            yield
            return
        try:
            directory = _private_directory(cache_directory())
            settings = {"jax_compilation_cache_dir": str(directory)} | {
                name: value for name, value in _SETTINGS.items() if name.upper() not in os.environ
            }
        except ModuleNotFoundError as error:
            _say(f"no compile cache: the package {error.name!r} is not installed")
        except (_Unusable, OSError) as error:
            _say(f"no compile cache: {error}")
    with _configured(settings), _watched(directory):
        yield


def cache_directory() -> Path:
    """Finds where the compiled programs of this machine belong: below the user's cache directory.

    That is ``$XDG_CACHE_HOME`` or ``~/.cache`` on Linux, and what is customary elsewhere.

    Raises:
      ModuleNotFoundError: `platformdirs`, which knows where that is, is not installed.
      _Unusable: there is no home directory.

    Example:
      >>> cache_directory().parts[-2]
      'compiled'
    """
    import platformdirs  # of the extra [experiments]

    try:
        base = platformdirs.user_cache_path("mermaide_jax", appauthor=False)
    except RuntimeError as error:
        raise _Unusable("the home directory is not known") from error
    return base / "compiled" / machine()


def machine() -> str:
    """Names the kind of processor in short: machine code for one may not run on another.

    Home directories are often shared between unlike machines.

    Example:
      >>> len(machine())
      16
    """
    return hashlib.sha256("\n".join(cpu.kind()).encode()).hexdigest()[:16]


def _private_directory(directory: Path) -> Path:
    """Makes the directory and checks that nobody else can put anything into it.

    Raises:
      _Unusable: somebody else could, or there is nobody to own it.
      ModuleNotFoundError: `filelock` is not installed.
      OSError: it cannot be made.
    """
    import filelock  # noqa: F401  # JAX needs it to bound the size

    if not directory.is_absolute():  # as earlier releases of platformdirs said that there is none
        raise _Unusable("the home directory is not known")
    for path in (*reversed(directory.parents), directory):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "geteuid"):
        _check_private(directory)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise _Unusable(f"{directory} cannot be written to")
    return directory


def _check_private(directory: Path) -> None:
    """Refuses a directory if anybody but its owner and the administrator could change its entries.

    Whoever can rename a directory above can put another one in its place.
    """
    resolved = directory.resolve(strict=True)
    for path in dict.fromkeys((resolved, *directory.parents, *resolved.parents)):
        status = path.stat()
        # Whoever owns the root of the file system owns everything below.
        trusted = {os.geteuid()} if path == resolved else {os.geteuid(), 0, Path("/").stat().st_uid}
        if status.st_uid not in trusted:
            raise _Unusable(f"{path} belongs to another user")
        # In a sticky directory, as /tmp is, nobody can rename what is not theirs.
        sticky = status.st_mode & stat.S_ISVTX and path != resolved
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
            raise _Unusable(f"others can write to {path} (to mend it: chmod go-w {path})")


@contextlib.contextmanager
def _configured(settings: Mapping[str, Any]) -> Iterator[None]:
    """JAX with other settings, read afresh by its cache; the former ones afterwards."""
    names = {*settings, "jax_enable_compilation_cache"}
    former = {name: _setting(name) for name in names}
    try:
        _configure(settings)
        yield
    finally:
        _configure(former)


def _setting(name: str) -> Any:
    return getattr(jax.config, name)


def _configure(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    reset_cache()


@contextlib.contextmanager
def _watched(directory: Path | None) -> Iterator[None]:
    """At the first trouble with the cache, resets it, says so and goes on without.

    JAX warns of an entry it cannot read and compiles, but never replaces it.
    """

    def show(message: Warning | str, *where: Any, **options: Any) -> None:
        if directory is None or "persistent compilation cache" not in str(message):
            former(message, *where, **options)
        elif _setting("jax_enable_compilation_cache"):
            _configure({"jax_enable_compilation_cache": False})
            _empty(directory)
            _say(f"the compile cache {directory} was reset and is not used further: {message}")

    with warnings.catch_warnings():
        former = warnings.showwarning
        if directory is not None:
            # Even where warnings are errors: this one is dealt with.
            warnings.filterwarnings("always", "(?s).*persistent compilation cache")
        warnings.showwarning = show
        yield


def _empty(directory: Path) -> None:
    """Removes the entries, as far as that is possible."""
    import filelock

    with contextlib.suppress(OSError), filelock.FileLock(directory / ".lockfile", timeout=1):
        for path in directory.iterdir():
            if path.name.endswith(("-cache", "-atime")):
                path.unlink(missing_ok=True)


def _say(message: str) -> None:
    print(f"mermaide: warning: {' '.join(message.split())}", file=sys.stderr)
