"""Members of a batch in any grouping give what they give alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax._jax import batching
from mermaide_jax._jax.batching import (
    map_batches,
    members_in_cache,
    merge_blocks,
    split_blocks,
    sum_over_blocks,
)

pytestmark = pytest.mark.exact


@pytest.mark.parametrize("size", [None, 1, 2, 3, 5, 9])
def test_groups_do_not_matter(size):
    xs, ys = jnp.arange(10.0).reshape(5, 2), jnp.arange(5.0)
    function = lambda x, y: {"sum": jnp.sum(x) * y, "same": x}  # noqa: E731
    out = jax.jit(lambda *a: map_batches(function, size, *a))(xs, ys)
    np.testing.assert_array_equal(out["sum"], xs.sum(1) * ys)
    np.testing.assert_array_equal(out["same"], xs)


@pytest.mark.parametrize("size", [None, 1, 4])
def test_one_member_is_not_batched(size):
    xs = jnp.arange(6.0).reshape(1, 2, 3)

    def function(x):
        assert x.shape == (2, 3)
        return x @ x.T, jnp.float32(7)

    mapped = lambda xs: map_batches(function, size, xs)  # noqa: E731
    square, constant = jax.jit(mapped)(xs)
    np.testing.assert_allclose(square, xs @ xs.swapaxes(1, 2))
    np.testing.assert_array_equal(constant, [7.0])
    (product,) = (eqn for eqn in jax.make_jaxpr(mapped)(xs).eqns if "dot" in eqn.primitive.name)
    aval: Any = product.outvars[0].aval
    assert aval.shape == (2, 2)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_blocks_sum_to_the_whole(size):
    xs = jnp.arange(12.0).reshape(6, 2)
    blocks = split_blocks({"x": xs}, size)
    assert blocks["x"].shape == (6 // size, size, 2)
    np.testing.assert_array_equal(merge_blocks(blocks)["x"], xs)
    total = jax.jit(lambda b: sum_over_blocks(lambda block: jnp.sum(block["x"] ** 2, 0), b))(blocks)
    np.testing.assert_allclose(total, np.sum(np.square(xs), 0))


def test_as_many_members_as_fit(monkeypatch):
    weights = {"w": jnp.zeros((8, 100)), "b": jnp.zeros((8, 25))}  # 500 bytes each
    for room, expected in ((10_000, None), (4000, None), (1999, 3), (100, 1)):
        monkeypatch.setattr(batching, "CACHE_BYTES", room)
        assert members_in_cache(weights) == expected
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert members_in_cache(weights) is None
