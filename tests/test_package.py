"""The package as installed: where it lies, what it is called, what importing it does."""

import importlib.metadata
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import mermaide_jax

REPOSITORY = Path(__file__).parents[1]

IMPORT_EVERYTHING = """
import importlib, os, pkgutil, threading
before = dict(os.environ)
import mermaide_jax
for module in pkgutil.walk_packages(mermaide_jax.__path__, "mermaide_jax."):
    importlib.import_module(module.name)

from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "an import started a JAX backend"
assert os.environ.get("XLA_FLAGS") == before.get("XLA_FLAGS"), "an import changed XLA_FLAGS"

import jax
assert not jax.config.jax_enable_x64, "an import changed the precision"
assert threading.active_count() == 1, "an import started a thread"
assert not os.listdir(), "an import wrote a file"
"""


def _is_editable() -> bool:
    origin = importlib.metadata.distribution("mermaide-jax").read_text("direct_url.json") or "{}"
    return json.loads(origin).get("dir_info", {}).get("editable", False)


def test_tests_run_against_the_installed_package():
    if _is_editable():
        pytest.skip("editable install; `make test` installs the package as a user would")
    installed = Path(mermaide_jax.__file__).parent
    assert installed.parent == Path(sysconfig.get_path("purelib"))
    source = REPOSITORY / "src" / "mermaide_jax"
    for path in [*source.rglob("*.py"), source / "py.typed"]:
        copy = installed / path.relative_to(source)
        assert copy.read_bytes() == path.read_bytes(), f"{copy} is stale: run `make test`"


def test_version_matches_metadata():
    assert mermaide_jax.__version__ == importlib.metadata.version("mermaide-jax")


def test_command_is_declared():
    (entry,) = (
        e for e in importlib.metadata.entry_points(group="console_scripts") if e.name == "mermaide"
    )
    assert entry.value == "mermaide_jax.cli:main"


def test_importing_every_module_has_no_side_effect(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


def test_dependencies_have_floors_and_no_caps():
    for requirement in importlib.metadata.requires("mermaide-jax") or []:
        specifier = requirement.partition(";")[0]
        assert "<" not in specifier, requirement
        assert "==" not in specifier, requirement


def test_suite_has_two_devices():
    assert jax.device_count() == 2


def test_suite_finds_reused_keys():
    key = jax.random.key(0)
    jax.random.normal(key)
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.normal(key)


def test_x64_fixture(x64):
    assert jnp.zeros(()).dtype == jnp.float64


def test_strict_dtypes_fixture(strict_dtypes):
    with pytest.raises(ValueError, match="promotion"):
        jnp.add(jnp.ones((), jnp.float32), jnp.ones((), jnp.int32))
