"""Source in C, compiled for this machine when it is first asked for, and loaded."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

from mermaide_jax._jax.caching import memoize

FLAGS = ("-std=gnu11", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")


def no_compiler() -> str | None:
    """Why nothing can be compiled here, or None if there is a C compiler."""
    return None if shutil.which("cc") else "no C compiler (cc)"


@memoize
def compile_c(source: Path, options: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compiles a file of C and loads it, once a process and arguments.

    Compiled code is not kept for later: who could put a file in its place could run code here.

    Args:
      source: the file.
      options: more options of the compiler.

    Raises:
      RuntimeError: there is no compiler, or it failed.
    """
    if reason := no_compiler():
        raise RuntimeError(reason)
    with tempfile.TemporaryDirectory() as private:
        built = Path(private) / source.with_suffix(".so").name
        command = ["cc", *FLAGS, *options, str(source), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cc failed: {done.stderr.strip()[:500]}")
        return ctypes.CDLL(str(built))  # stays when its file goes
