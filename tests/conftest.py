"""Settings of the whole suite: two CPU devices, no reused key, reproducible property tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import get_args

import hypothesis
import jax
import pytest
from finished_study import finished  # noqa: F401  # fixture
from made_up_results import episode, results, results_with, rows  # noqa: F401  # fixtures

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The commands would keep what they compile in the user's cache directory.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])
jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_debug_key_reuse", True)

DEVICES = "--xla_force_host_platform_device_count=2"
# The suite compiles a thousand programs that run once: with these in a third of the time.
QUICK = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",  # not in JAX 0.12
)
FLAGS = os.environ.get("XLA_FLAGS", "")  # read by XLA when its first backend starts
if DEVICES.partition("=")[0] not in FLAGS:  # workers inherit them
    # A release of XLA ends the process and names the flags it does not know: another one tries.
    trial = [sys.executable, "-c", "import jax; jax.devices()"]
    environment = os.environ | {"XLA_FLAGS": " ".join((FLAGS, *QUICK))}
    ended = subprocess.run(trial, env=environment, capture_output=True, text=True, check=False)
    known = [flag for flag in QUICK if not ended.returncode or flag not in ended.stderr]
    os.environ["XLA_FLAGS"] = " ".join((FLAGS, DEVICES, *known)).strip()

hypothesis.settings.register_profile(
    "suite",
    deadline=None,  # the first example compiles
    derandomize=True,
    max_examples=20,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision, for comparisons with finite differences and plain numpy."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def guest_registry(monkeypatch) -> Iterator[ModuleType]:
    """The registry with all that is the library's; what a test registers is forgotten after it."""
    from mermaide_jax import registry

    for kind in get_args(registry.Kind):
        registry.members(kind)  # those found later would be forgotten too, and not found again
    monkeypatch.setattr(registry, "_members", dict(registry._members))
    modules = set(sys.modules)
    yield registry
    for name in set(sys.modules) - modules:
        if name.startswith(registry._LOADED):  # else their files would not be run again
            del sys.modules[name]


@pytest.fixture
def strict_dtypes() -> Iterator[None]:
    """No implicit dtype promotion. Not for all tests: `optax.adam` itself promotes."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def compile_cache_on(tmp_path, monkeypatch) -> Iterator[None]:
    """The commands' compile cache, in a directory of the test's own; every program is kept."""
    from mermaide_jax.cli import compile_cache

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setitem(compile_cache._SETTINGS, "jax_persistent_cache_min_compile_time_secs", 0.0)
    former = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", True)
    yield
    jax.config.update("jax_enable_compilation_cache", former)
