"""Words, uniforms and normals as functions of counters, against jax and numpy."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from mermaide_jax.simulation import counters

pytestmark = pytest.mark.exact

words = st.integers(0, 2**32 - 1)


def random_words(seed, *shape):
    return np.random.default_rng(seed).integers(0, 2**32, shape, dtype=np.uint32)


def numpy_threefry(key, counter, rounds):
    """From the paper's pseudo-code, on Python integers."""
    mask, rotations = 2**32 - 1, [13, 15, 26, 6, 17, 29, 16, 24]
    keys = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    x = [(c + k) & mask for c, k in zip(counter, keys[:2], strict=True)]
    for r in range(rounds):
        x[0] = (x[0] + x[1]) & mask
        turn = rotations[r % 8]
        x[1] = ((x[1] << turn | x[1] >> (32 - turn)) & mask) ^ x[0]
        if r % 4 == 3:
            s = r // 4 + 1
            x = [(x[0] + keys[s % 3]) & mask, (x[1] + keys[(s + 1) % 3] + s) & mask]
    return tuple(x)


def pair_of(words):
    first, second = words
    return jnp.uint32(first), jnp.uint32(second)


def test_twenty_rounds_are_those_of_jax():
    key, counter = random_words(0, 2), random_words(1, 2, 1000)
    ours = counters.threefry2x32(pair_of(key), pair_of(counter))
    theirs = jax.extend.random.threefry_2x32(jnp.asarray(key), jnp.asarray(counter).reshape(-1))
    np.testing.assert_array_equal(jnp.concatenate(ours), theirs)


@hypothesis.given(st.tuples(words, words), st.tuples(words, words), st.sampled_from([13, 20]))
def test_threefry_is_the_published_one(key, counter, rounds):
    ours = counters.threefry2x32(pair_of(key), pair_of(counter), rounds)
    assert tuple(map(int, ours)) == numpy_threefry(key, counter, rounds)


@hypothesis.given(words, st.integers(1, 128))
def test_below_is_the_exact_product(word, bound):
    assert int(counters.below(jnp.uint32(word), jnp.int32(bound))) == word * bound >> 32


def test_uniforms_lie_in_the_half_open_interval():
    ends = counters.uniform(jnp.asarray([0, 2**32 - 1], jnp.uint32))
    np.testing.assert_array_equal(ends, np.asarray([0, 1 - 2.0**-24], np.float32))
    drawn = counters.uniform(jnp.asarray(random_words(2, 100_000)))
    assert scipy.stats.kstest(drawn, "uniform").pvalue > 1e-3


def test_normals_have_the_law_they_should():
    pair = jax.jit(counters.normal_pair)(tuple(jnp.asarray(random_words(3, 2, 400_000))))
    for normal in (np.asarray(x, np.float64) for x in pair):
        assert scipy.stats.kstest(normal, "norm").pvalue > 1e-3
        for power, moment in [(1, 0), (2, 1), (3, 0), (4, 3), (6, 15)]:
            spread = np.std(normal**power) / np.sqrt(len(normal))
            assert abs(np.mean(normal**power) - moment) < 4 * spread
    assert abs(np.corrcoef(*pair)[0, 1]) < 4 / np.sqrt(400_000)
    assert abs(np.corrcoef(*np.square(pair))[0, 1]) < 4 / np.sqrt(400_000)


def test_normals_follow_box_and_muller_to_float32():
    drawn = random_words(4, 2, 20_000)
    drawn[:, :4] = [[0, 2**32 - 1, 0, 2**32 - 1], [0, 2**32 - 1, 2**32 - 1, 0]]
    pair = counters.normal_pair(pair_of(drawn))
    u = ((drawn[0] >> 1) + 0.5) / 2.0**31
    angle = drawn[1].view(np.int32) * np.pi / 2.0**32
    sign = 1.0 - 2.0 * (drawn[1] & 1)
    radius = np.sqrt(-2 * np.log(np.minimum(u, 1)))
    np.testing.assert_allclose(pair[0], radius * np.cos(angle) * sign, rtol=0, atol=4e-4)
    usual = u < 0.999
    np.testing.assert_allclose(pair[0][usual], (radius * np.cos(angle) * sign)[usual], atol=3e-6)
    np.testing.assert_allclose(pair[1][usual], (radius * np.sin(angle))[usual], atol=3e-6)
    assert 6.4 < np.max(pair) < 6.7


def test_roots_and_reciprocals_of_counts():
    n = np.unique(np.r_[1:5000, np.geomspace(5000, 2**22, 5000)].astype(np.int64)).astype(
        np.float32
    )
    np.testing.assert_allclose(counters.inverse_sqrt(jnp.asarray(n)), n.astype(float) ** -0.5, 3e-7)
    np.testing.assert_allclose(counters.reciprocal(jnp.asarray(n)), 1 / n.astype(float), 3e-7)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_streams_do_not_depend_on_how_many_there_are(impl):
    few = counters.stream_keys(jax.random.key(5, impl=impl), 2)
    many = counters.stream_keys(jax.random.key(5, impl=impl), 6)
    np.testing.assert_array_equal(few, many[:2])
    assert len(np.unique(many)) == 12
