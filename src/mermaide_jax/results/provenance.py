"""Where results come from: command, devices, versions of what was installed, source revision."""

import platform
import shlex
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from mermaide_jax._jax import cpu

__all__ = ["collect_versions", "describe_devices", "script_record", "source_revision"]

_DISTRIBUTIONS = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "chex",
    "distrax",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "orbax-checkpoint",
)
_UNKNOWN = "unknown"


def collect_versions() -> dict[str, str]:
    """Versions of Python, this package and what it computes with.

    Returns:
      Distribution name to version; "unknown" for this package if it is run without being
      installed. Other distributions that are absent are left out.

    Example:
      >>> "jax" in collect_versions()
      True
    """
    versions = {"python": platform.python_version(), "mermaide_jax": _UNKNOWN}
    for key, name in (("mermaide_jax", "mermaide-jax"), *((n, n) for n in _DISTRIBUTIONS)):
        try:
            versions[key] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def source_revision() -> str:
    """Finds the git revision of this project's checkout, if it runs from one.

    Looks around the imported package first, then around the working directory, and accepts only a
    checkout of this project: a virtual environment may lie inside somebody else's repository.

    Returns:
      The output of `git describe`, ending in "-dirty" if files were changed; "unknown" if there is
      no such checkout or no git. Never raises.

    Example:
      >>> revision = source_revision()
      >>> revision is None or isinstance(revision, str)
      True
    """
    for start in (Path(__file__).parent, Path(".")):
        root = _git(start, "rev-parse", "--show-toplevel")
        if root and (Path(root) / "src" / "mermaide_jax").is_dir():
            revision = _git(start, "describe", "--tags", "--always", "--dirty", "--abbrev=12")
            return revision or _UNKNOWN
    return _UNKNOWN


def describe_devices() -> str:
    """Describes the devices, such as ``2 x cpu (AMD EPYC 9R14)``.

    Example:
      >>> describe_devices().partition(" x ")[0].isdigit()
      True
    """
    devices = jax.devices()
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        kind = cpu.name() or kind
    return f"{len(devices)} x {devices[0].platform} ({kind})"


def script_record(began: float) -> dict[str, Any]:
    """Records how the script that runs made its results, to be written beside them.

    Args:
      began: `time.monotonic` at its start.

    Returns:
      command, device, versions, revision and wall_time_s, as in `Results`.

    Example:
      >>> import time
      >>> sorted(script_record(time.monotonic()))
      ['command', 'device', 'revision', 'versions', 'wall_time_s']
    """
    return {
        "command": shlex.join(["python", *sys.argv]),
        "device": describe_devices(),
        "versions": collect_versions(),
        "revision": source_revision(),
        "wall_time_s": round(time.monotonic() - began, 1),
    }


def _git(directory: Path, *arguments: str) -> str:
    """The output of one git command, or "" if it fails for whatever reason."""
    try:
        return subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
