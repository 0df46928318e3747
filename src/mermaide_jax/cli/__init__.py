"""The `mermaide` command: a thin, typed front of `mermaide_jax.studies.mermaide`.

Everything heavy is imported by `main`, after the XLA flags of this process are set, and by those
commands alone that need it.
"""

import os
import shlex
import sys
from collections.abc import MutableMapping, Sequence

from mermaide_jax.cli import overview
from mermaide_jax.errors import ConfigError

__all__ = ["main", "set_xla_flags"]

_EXTRA = 'pip install "mermaide-jax[experiments]"'


class Stopped(Exception):
    """The work ended early, for a reason that one line tells; exit code 1."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
      argv: what follows `mermaide`; None for that of this process.

    Returns:
      The exit code: 0 done, 1 the work failed, 2 refused before any work, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    set_xla_flags(os.environ)
    try:
        if (answer := overview.answer(arguments)) is not None:
            print(answer)
            return 0
        from mermaide_jax.cli.parsing import parse

        parse(arguments).run(shlex.join(["mermaide", *arguments]))
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
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except SystemExit as stop:  # of --help
        return int(stop.code or 0)
    return 0


def set_xla_flags(environ: MutableMapping[str, str]) -> None:
    """Lets XLA use every core this process may use, one training run on each.

    One CPU device for each core beats one device with many threads, since runs are independent.
    Flags that the user has set stay as they are.

    Args:
      environ: the environment, changed in place before JAX starts its first backend.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    flags = environ.get("XLA_FLAGS", "")
    for name, value in (
        ("--xla_force_host_platform_device_count", str(cores)),
        ("--xla_cpu_multi_thread_eigen", "false"),
    ):
        if name not in flags:
            flags = f"{flags} {name}={value}".strip()
    environ["XLA_FLAGS"] = flags


def _fail(message: str, code: int) -> int:
    """Says in one line what is wrong."""
    print(f"mermaide: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _interrupted(arguments: list[str]) -> int:
    """Says how to go on after Ctrl-C."""
    advice = "nothing was written"
    if arguments and arguments[0] in ("train", "reproduce"):
        resumed = [a for a in arguments if a not in ("--force", "--resume")] + ["--resume"]
        advice = f"go on from the last checkpoint with: {shlex.join(['mermaide', *resumed])}"
    print(f"mermaide: interrupted; {advice}", file=sys.stderr)
    return 130
