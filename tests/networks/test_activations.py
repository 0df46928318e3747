"""tanh as plain arithmetic, against numpy in double precision and JAX's own derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermaide_jax.networks.activations import tanh


def test_float32_is_right_to_six_units_in_the_last_place():
    near = np.logspace(-30, 1.5, 100_000)
    x = np.concatenate([near, -near, np.linspace(-9, 9, 400_001), [0.0]]).astype(np.float32)
    got, expected = np.asarray(jax.jit(tanh)(x)), np.tanh(x.astype(np.float64))
    assert got.dtype == np.float32
    unit = np.spacing(np.abs(expected).astype(np.float32))
    assert np.max(np.abs(got - expected) / unit) < 6.0
    assert np.max(np.abs(got)) <= 1.0
    np.testing.assert_array_equal(got, -np.asarray(jax.jit(tanh)(-x)))


def test_what_is_not_a_number_stays_so_and_infinity_is_one():
    got = np.asarray(tanh(jnp.asarray([np.nan, np.inf, -np.inf], jnp.float32)))
    np.testing.assert_allclose(got, [np.nan, 1.0, -1.0], rtol=2e-7)


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 6, width=32))
def test_derivatives_to_third_order_are_those_of_tanh(x):
    mine, theirs, at = tanh, jnp.tanh, jnp.float32(x)
    for _ in range(3):
        mine, theirs = jax.grad(mine), jax.grad(theirs)
        np.testing.assert_allclose(mine(at), theirs(at), rtol=1e-4, atol=2e-6)


def test_forward_over_reverse_and_vmap():
    x = jnp.linspace(-3, 3, 7)
    both = jax.vmap(lambda y: jax.jvp(jax.grad(tanh), (y,), (jnp.ones_like(y),))[1])(x)
    expected = -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)
    np.testing.assert_allclose(both, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_other_dtypes_are_left_to_jax(dtype):
    x = jnp.linspace(-4, 4, 33, dtype=dtype)
    np.testing.assert_array_equal(tanh(x), jnp.tanh(x))


def test_double_precision_is_double():
    with jax.enable_x64(True):
        x = jnp.linspace(-4, 4, 33, dtype=jnp.float64)
        np.testing.assert_array_equal(tanh(x), jnp.tanh(x))
