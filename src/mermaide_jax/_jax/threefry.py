"""The cipher of JAX's random numbers, elementwise, and keys that draw by it on CPUs."""

import functools
import math
from collections.abc import Hashable

import chex
import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_JAX_NAME = "threefry2x32"

WordPair = tuple[jax.Array, jax.Array]


def threefry2x32(key: WordPair, counter: WordPair, rounds: int = 20) -> WordPair:
    """The threefry-2x32 block cipher, elementwise; 20 rounds are those of `jax.random`.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). They found 13
    rounds enough to pass BigCrush, and recommend 20.

    Args:
      key: two uint32 words, of shapes that broadcast against the counter's.
      counter: two uint32 words.
      rounds: number of rounds.

    Returns:
      Two uint32 words.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    left, right = counter[0] + keys[0], counter[1] + keys[1]
    for index in range(rounds):
        turn = _ROTATIONS[(index // 4) % 2][index % 4]
        left = left + right
        right = (right << jnp.uint32(turn)) | (right >> jnp.uint32(32 - turn))
        right = left ^ right
        if index % 4 == 3:
            passed = index // 4 + 1
            left = left + keys[passed % 3]
            right = right + keys[(passed + 1) % 3] + jnp.uint32(passed)
    return left, right


def unrolled(key: chex.PRNGKey) -> chex.PRNGKey:
    """The same keys, with the same splits and draws, which XLA computes sooner on a CPU.

    JAX's own code for CPUs is a loop of five turns, each of a dozen small kernels that copy what
    they carry. Where the step of a game draws for a hundred episodes side by side, that is a third
    of the time of playing; unrolled, XLA fuses it.

    Args:
      key: typed keys of any shape, consumed. Keys of other ciphers, or where the backend is not a
        CPU, come back as they are.
    """
    if jax.random.key_impl(key) != _JAX_NAME or jax.default_backend() != "cpu":
        return key
    if not getattr(jax.config, "jax_threefry_partitionable", True):
        return key  # JAX then draws otherwise
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_unrolled_impl())


@functools.cache
def _unrolled_impl() -> Hashable:
    return define_prng_impl(
        key_shape=(2,),
        seed=lambda seed: jax.random.key_data(jax.random.key(seed, impl=_JAX_NAME)),
        split=lambda key, shape: jnp.stack(_words(key, shape), axis=-1),
        random_bits=_random_bits,
        fold_in=_fold_in,
        name="threefry2x32_unrolled",
        tag="fru",
    )


def _words(key: jax.Array, shape: tuple[int, ...]) -> WordPair:
    """Two words for each place of an array, whose counter is its number, in 64 bits."""
    place = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
    return threefry2x32((key[0], key[1]), (jnp.zeros_like(place), place))


def _random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    first, second = _words(key, shape)
    dtype = jnp.dtype(f"uint{bit_width}")
    if bit_width == 64:
        return (first.astype(dtype) << jnp.asarray(32, dtype)) | second.astype(dtype)
    return (first ^ second).astype(dtype)


def _fold_in(key: jax.Array, data: chex.Numeric) -> jax.Array:
    number = jnp.asarray(data).astype(jnp.uint32)
    return jnp.stack(threefry2x32((key[0], key[1]), (jnp.zeros_like(number), number)))
