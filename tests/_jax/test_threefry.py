"""Unrolled keys draw what JAX's own keys draw, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import random
from streams import keys

from mermaide_jax._jax.threefry import unrolled

pytestmark = pytest.mark.exact

DRAWS = {
    "bits": lambda key: random.bits(key, (3, 5)),
    "8 bits": lambda key: random.bits(key, (9,), jnp.uint8),
    "16 bits": lambda key: random.bits(key, (), jnp.uint16),
    "uniform": lambda key: random.uniform(key, (7,)),
    "normal": lambda key: random.normal(key),
    "integers": lambda key: random.randint(key, (6,), -3, 11),
    "categorical": lambda key: random.categorical(key, jnp.arange(5.0)),
    "permutation": lambda key: random.permutation(key, 15),
    "split": lambda key: random.key_data(random.split(key, (2, 3))),
    "fold in": lambda key: random.key_data(random.fold_in(key, 9)),
    "bits of a split": lambda key: random.bits(random.split(key, 3)[1], (4,)),
}


@pytest.mark.parametrize("name", DRAWS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_draws_are_those_of_jax(name, seed):
    draw, key = DRAWS[name], random.key(seed)
    expected = jax.jit(draw)(key)
    np.testing.assert_array_equal(jax.jit(lambda k: draw(unrolled(k)))(key), expected)
    np.testing.assert_array_equal(draw(unrolled(key)), expected)


@pytest.mark.parametrize("name", DRAWS)
def test_batches_of_keys_draw_as_one_after_the_other(name):
    many = keys(0, 4)
    batched = jax.vmap(DRAWS[name])(unrolled(many))
    np.testing.assert_array_equal(batched, jnp.stack([DRAWS[name](key) for key in many]))


def test_double_words(x64):
    draw = lambda key: random.bits(key, (5,), jnp.uint64)  # noqa: E731
    np.testing.assert_array_equal(draw(unrolled(random.key(3))), draw(random.key(3)))


def test_other_ciphers_and_other_devices_keep_their_keys(monkeypatch):
    other = random.key(0, impl="rbg")
    assert unrolled(other) is other
    own = random.key(0)
    assert random.key_impl(unrolled(own)) != random.key_impl(own)
    with jax.threefry_partitionable(False):
        assert unrolled(own) is own
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert unrolled(own) is own
