"""The `mermaide` command: a thin, typed front of `mermaide_jax.studies`.

Everything heavy is imported by `main`, after the XLA flags of this process are set, and by those
commands alone that need it.
"""

import contextlib
import io
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from typing import NoReturn

from mermaide_jax._jax import cpu
from mermaide_jax.cli import overview
from mermaide_jax.errors import ConfigError, refuse

__all__ = ["main", "set_xla_flags"]

_EXTRA = 'pip install "mermaide-jax[experiments]"'


class Stopped(Exception):
    """The work ended early, for a reason that one line tells; exit code 1."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as clusters send it: the work ends as after Ctrl-C."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
      argv: what follows `mermaide`; None for that of this process.

    Returns:
      The exit code: 0 done, 1 the work failed, 2 refused before any work, 130 interrupted (143 by
      SIGTERM).

    Example:
      >>> main(["--load"])
      2
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    set_xla_flags(os.environ)
    if isinstance(sys.stdout, io.TextIOWrapper):  # not all terminals can show all names of files
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        words, modules = split_loads(arguments)
        if (answer := overview.answer(words)) is not None:
            print(answer)
            return 0
        joined = _load(modules)
        from mermaide_jax.cli.parsing import parse

        with _terminable():
            code = parse(words, joined).run(shlex.join(["mermaide", *arguments]))
    except ConfigError as error:
        return _fail(str(error), 2)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mermaide_jax"):
            raise
        return _fail(f"the package {error.name!r} is not installed: {_EXTRA}", 2)
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Stopped, OSError) as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt as stop:
        return _interrupted(stop, arguments)
    except SystemExit as stop:  # of --help
        return int(stop.code or 0)
    return code or 0


def split_loads(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Takes the ``--load MODULE`` options, wherever they stand, out of a command line.

    Returns:
      the other words, and the modules.

    Raises:
      ConfigError: a ``--load`` without a module.

    Example:
      >>> split_loads(["train", "--load", "mine.py", "--seeds", "1"])
      (['train', '--seeds', '1'], ['mine.py'])
    """
    words, modules = [], []
    rest = iter(arguments)
    for word in rest:
        name, given, module = word.partition("=")
        if name != "--load":
            words.append(word)
            continue
        module = module if given else next(rest, "")
        if not module or module.startswith("--"):
            refuse("--load", module, "a module that can be imported, or a .py file")
        modules.append(module)
    return words, modules


def _load(modules: list[str]) -> dict[str, list[str]]:
    """Imports modules of other people; names of the families and principals that they register."""
    if not modules:
        return {}
    from mermaide_jax import registry

    kinds: tuple[registry.Kind, ...] = ("family", "principal")
    before = {kind: registry.names(kind) for kind in kinds}
    for module in modules:
        registry.load(module)
    return {kind: [n for n in registry.names(kind) if n not in before[kind]] for kind in kinds}


def set_xla_flags(environ: MutableMapping[str, str]) -> None:
    """Lets XLA use every core this process may use, one training run on each.

    One CPU device for each core beats one device with many threads, since runs are independent.
    Flags that the user has set stay as they are.

    Args:
      environ: the environment, changed in place before JAX starts its first backend.

    Example:
      >>> environ = {}
      >>> set_xla_flags(environ)
      >>> "xla_force_host_platform_device_count" in environ["XLA_FLAGS"]
      True
    """
    flags = environ.get("XLA_FLAGS", "")
    for name, value in (
        ("--xla_force_host_platform_device_count", str(cpu.count())),
        ("--xla_cpu_multi_thread_eigen", "false"),
    ):
        if name not in flags:
            flags = f"{flags} {name}={value}".strip()
    environ["XLA_FLAGS"] = flags


def _fail(message: str, code: int) -> int:
    """Says in one line what is wrong."""
    print(f"mermaide: error: {' '.join(message.split())}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """While this lasts, SIGTERM raises `Terminated`; not in threads, which get no signals."""

    def stop(*_: object) -> NoReturn:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former or signal.SIG_DFL)


def _interrupted(stop: KeyboardInterrupt, arguments: list[str]) -> int:
    """Says how to go on after Ctrl-C, or what the interruption says itself."""
    advice = stop.args[0] if stop.args else "nothing was written"
    words, _ = split_loads(arguments)
    if words and words[0] in ("train", "reproduce") and not stop.args:
        resumed = [a for a in arguments if a not in ("--force", "--resume")] + ["--resume"]
        advice = f"go on from the last checkpoint with: {shlex.join(['mermaide', *resumed])}"
    print(f"mermaide: interrupted; {advice}", file=sys.stderr)
    return 143 if isinstance(stop, Terminated) else 130
