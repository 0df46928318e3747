"""Streams on devices: the same values wherever they run, and arrays that nobody else holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same, keys

from mermaide_jax.training.streams import copy_to_host, over_streams, place_streams, stream_mesh


@pytest.mark.parametrize(("number", "devices"), [(1, 1), (2, 2), (3, 1), (4, 2), (5, 1), (10, 2)])
def test_as_many_devices_as_divide_the_streams(number, devices):
    assert stream_mesh(number).devices.size == devices


def function(key, tree, factor):
    """Of one stream; a matrix product, a draw and a static axis."""
    noise = jax.random.normal(key, (3,))
    return {"a": tree["a"] @ tree["a"] * factor, "n": tree["n"] + 1}, noise


def arguments(number):
    rng = np.random.default_rng(0)
    tree = {
        "a": jnp.asarray(rng.normal(size=(number, 3, 3)), jnp.float32),
        "n": jnp.arange(number, dtype=jnp.int32),
    }
    return keys(1, number), tree, jnp.linspace(1.0, 2.0, number)


@pytest.mark.parametrize("side_by_side", [1, 2, 3, None])
@pytest.mark.parametrize("number", [1, 3, 6])
def test_equals_vmap_and_a_loop(number, side_by_side):
    mapped = over_streams(function, number, side_by_side=side_by_side)(*arguments(number))
    assert_same(mapped, jax.jit(jax.vmap(function))(*arguments(number)), 1e-5)
    for stream in range(number):
        own = jax.tree.map(lambda x, n=stream: x[n], (mapped, arguments(number)))
        assert_same(own[0], jax.jit(function)(*own[1]), 1e-5)


def test_half_of_the_streams_lie_on_each_device():
    placed = place_streams(arguments(6)[1], 6)
    for leaf in (*jax.tree.leaves(placed), *over_streams(function, 6)(*arguments(6))[0].values()):
        assert [shard.data.shape[0] for shard in leaf.addressable_shards] == [3, 3]
        assert {shard.device for shard in leaf.addressable_shards} == set(jax.devices())


def test_what_is_donated_was_copied_before():
    """The placed copy is given away; the arrays that it was made of are whole."""
    number = 2
    step = over_streams(lambda x: x + 1.0, number, donate=(0,))
    for mine in (np.ones((number, 4), np.float32), place_streams(jnp.ones((number, 4)), number)):
        copy = place_streams(mine, number, copy=True)
        for _ in range(2):
            copy = step(copy)
        np.testing.assert_array_equal(copy, 3.0)
        np.testing.assert_array_equal(mine, 1.0)


def test_copies_on_the_host_share_nothing():
    state = {"x": jnp.ones((2, 3)), "n": jnp.arange(2), "key": jax.random.split(jax.random.key(0))}
    step = over_streams(lambda s: s | {"x": s["x"] + 1.0, "n": s["n"] + 1}, 2, donate=(0,))
    placed = place_streams(state, 2, copy=True)
    kept = copy_to_host(placed)
    assert isinstance(kept["x"], np.ndarray) and isinstance(kept["n"], np.ndarray)
    step(placed)
    np.testing.assert_array_equal(kept["x"], 1.0)
    np.testing.assert_array_equal(kept["n"], [0, 1])
    own, former = (jax.random.key_data(tree["key"]) for tree in (kept, state))
    np.testing.assert_array_equal(own, former)
    assert jax.random.key_impl(kept["key"]) == jax.random.key_impl(state["key"])
