"""Random numbers as pure functions of counters: threefry words, uniforms and normals.

Every draw is a function of (key, stream, agent, step) alone, so it does not depend on how many
agents or steps there are, nor on how they are cut into blocks. All is written elementwise, so
that a compiler fuses it into the loop that uses it.
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from mermaide_jax._jax.threefry import WordPair, threefry2x32

# Minimax polynomials in ascending powers, relative error below 2e-7:
# log(1 + m) / m for sqrt(1/2) - 1 <= m <= sqrt(2) - 1; sin(x) / x and cos(x) as polynomials in x^2
# for |x| <= pi / 2.
_LOG = (
    *(0.9999999453106883, -0.5000036512438543, 0.3333505892260716, -0.2496990898837632),
    *(0.19900166119784382, -0.17250831390136032, 0.16222575792758875, -0.10106884092404193),
)
_SIN = (
    *(0.9999999946860059, -0.16666656684005698, 0.008333025138945006, -0.0001980741872599107),
    2.6019030649071326e-06,
)
_COS = (
    *(0.9999999534666586, -0.49999905347061946, 0.04166358469281117, -0.0013853704306318508),
    2.3153931620420534e-05,
)


def stream_keys(key: chex.PRNGKey, number: int) -> jax.Array:
    """Makes keys of independent streams, ``[number, 2]`` uint32; the first are those of fewer.

    Args:
      key: typed key of any implementation, consumed.
      number: number of streams.

    Example:
      >>> few, more = (stream_keys(jax.random.key(0), number) for number in (2, 5))
      >>> bool((few == more[:2]).all())
      True
    """
    base = jax.random.bits(key, (2,), jnp.uint32)
    stream = jnp.arange(number, dtype=jnp.uint32)
    return jnp.stack(threefry2x32((base[0], base[1]), (stream, jnp.zeros_like(stream))), -1)


def uniform(word: jax.Array) -> jax.Array:
    """Makes of a word a uniform multiple of 2^-24 in [0, 1), float32, from its upper 24 bits.

    Example:
      >>> float(uniform(jnp.uint32(2**31)))
      0.5
    """
    return (word >> jnp.uint32(8)).astype(jnp.int32).astype(jnp.float32) * np.float32(2.0**-24)


def below(word: jax.Array, bound: jax.Array) -> jax.Array:
    """Computes ``floor(word * bound / 2^32)``: uniform on ``0..bound-1``, up to ``bound / 2^32``.

    Args:
      word: uint32.
      bound: int32, from 1 to 65535.

    Example:
      >>> int(below(jnp.uint32(2**31), jnp.int32(10)))
      5
    """
    bound = bound.astype(jnp.uint32)
    carry = ((word & jnp.uint32(0xFFFF)) * bound) >> jnp.uint32(16)
    return (((word >> jnp.uint32(16)) * bound + carry) >> jnp.uint32(16)).astype(jnp.int32)


def normal_pair(words: WordPair) -> tuple[jax.Array, jax.Array]:
    """Makes of two words two independent standard normals, float32, by Box and Muller (1958).

    ``sqrt(-2 log u) * (cos x, sin x)``: ``u`` in steps of 2^-31 near 0, so that values reach 6.6;
    ``x`` in [-pi/2, pi/2), whose cosine takes its sign from one more bit. The elementary functions
    are polynomials, absolute error below 1e-6.

    Example:
      >>> [bool(jnp.isfinite(x)) for x in normal_pair((jnp.uint32(1), jnp.uint32(2)))]
      [True, True]
    """
    half = (words[0] >> jnp.uint32(1)).astype(jnp.int32).astype(jnp.float32) + np.float32(0.5)
    radius = lax.sqrt(_log(half * np.float32(2.0**-31)) * np.float32(-2))
    signed = lax.bitcast_convert_type(words[1], jnp.int32)
    angle = signed.astype(jnp.float32) * np.float32(np.pi * 2.0**-32)
    square = angle * angle
    cosine = lax.bitcast_convert_type(_polynomial(_COS, square), jnp.int32)
    cosine = lax.bitcast_convert_type(cosine ^ (signed << jnp.int32(31)), jnp.float32)
    return radius * cosine, radius * (angle * _polynomial(_SIN, square))


def inverse_sqrt(x: jax.Array) -> jax.Array:
    """Computes ``1 / sqrt(x)`` for normal ``x > 0``, within 2 units of the last place.

    An initial guess from the exponent, then three steps of Newton's method.

    Example:
      >>> round(float(inverse_sqrt(jnp.float32(4.0))), 5)
      0.5
    """
    guess = np.int32(0x5F3759DF) - (lax.bitcast_convert_type(x, jnp.int32) >> jnp.int32(1))
    y, minus_half = lax.bitcast_convert_type(guess, jnp.float32), x * np.float32(-0.5)
    for _ in range(3):
        y = y * (minus_half * (y * y) + np.float32(1.5))
    return y


def reciprocal(x: jax.Array) -> jax.Array:
    """Computes ``1 / x`` for normal ``x > 0``, within 2 units of the last place; no division.

    Example:
      >>> round(float(reciprocal(jnp.float32(4.0))), 5)
      0.25
    """
    guess = np.int32(0x7EF311C7) - lax.bitcast_convert_type(x, jnp.int32)
    y = lax.bitcast_convert_type(guess, jnp.float32)
    for _ in range(3):
        y = y * (np.float32(2) - x * y)
    return y


def _polynomial(coefficients: Sequence[float], x: jax.Array) -> jax.Array:
    """Horner's rule; coefficients in ascending powers."""
    value = jnp.full_like(x, np.float32(coefficients[-1]))
    for coefficient in coefficients[-2::-1]:
        value = value * x + np.float32(coefficient)
    return value


def _log(x: jax.Array) -> jax.Array:
    """Natural logarithm of a normal ``x > 0``."""
    bits = lax.bitcast_convert_type(x, jnp.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> jnp.int32(23)
    m = lax.bitcast_convert_type(bits - (exponent << jnp.int32(23)), jnp.float32) - np.float32(1)
    return _polynomial(_LOG, m) * m + exponent.astype(jnp.float32) * np.float32(np.log(2))
