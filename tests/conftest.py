"""Settings of the whole suite: two CPU devices, no reused key, reproducible property tests."""

import os

# Read by XLA when its first backend starts, so they must be set before jax is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The commands would keep what they compile in the user's cache directory.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    ).strip()

from collections.abc import Iterator

import hypothesis
import jax
import pytest

jax.config.update("jax_debug_key_reuse", True)

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
def strict_dtypes() -> Iterator[None]:
    """No implicit dtype promotion. Not for all tests: `optax.adam` itself promotes."""
    with jax.numpy_dtype_promotion("strict"):
        yield
