"""Compiler options are used where they can be, and change nothing but speed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax._jax.compiling import LITTLE_MEMORY, WIDE_VECTORS, CpuJit

pytestmark = pytest.mark.exact


def _doubling():
    """A new function each time, as JAX shares what it compiled between equal ones."""

    def double(x, *, times: int = 1):
        return x * 2**times

    return double


def _used(function: CpuJit) -> tuple[int, int]:
    """Programs that were compiled without and with the options."""
    return function.plain._cache_size(), function.tuned._cache_size()


@pytest.mark.parametrize("options", [LITTLE_MEMORY, WIDE_VECTORS])
def test_with_the_options_on_a_cpu(options):
    function = CpuJit(_doubling(), options, static_argnames="times")
    np.testing.assert_array_equal(function(jnp.arange(3.0), times=3), 8 * np.arange(3.0))
    assert _used(function) == (0, 1), f"this XLA does not know {options}"
    assert function.lower(jnp.arange(3.0)).compile()(jnp.arange(3.0))[2] == 4.0


def test_without_them_where_they_are_unknown():
    function = CpuJit(_doubling(), (("xla_cpu_no_such_option", 1),))
    np.testing.assert_array_equal(function(jnp.arange(3.0)), 2 * np.arange(3.0))
    assert _used(function) == (1, 0)


def test_without_them_on_other_devices(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    function = CpuJit(_doubling(), LITTLE_MEMORY)
    np.testing.assert_array_equal(function(jnp.arange(3.0)), 2 * np.arange(3.0))
    assert _used(function) == (1, 0)


def test_inside_of_other_transformations():
    function = CpuJit(lambda x: jnp.sum(x**2), LITTLE_MEMORY)
    xs = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(jax.jit(jax.grad(function))(xs), 2 * xs)
    np.testing.assert_allclose(jax.vmap(function)(xs), np.sum(np.square(xs), 1))
    assert jax.jit(lambda: function(jnp.ones(3)))() == 3.0, "constants under a trace"
    assert _used(function)[1] == 0


def test_donates():
    function = CpuJit(_doubling(), LITTLE_MEMORY, donate_argnums=0)
    x = jnp.arange(3.0)
    function(x)
    assert x.is_deleted()
