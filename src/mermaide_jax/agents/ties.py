"""The greatest of several values, ties broken at random, and the law of that choice."""

import chex
import jax
import jax.numpy as jnp


def random_argmax(key: chex.PRNGKey, values: jax.Array) -> jax.Array:
    """Finds the index of the greatest value; ties are broken uniformly at random.

    Every maximal entry draws 31 random bits and the greatest draw wins, so an entry that is not
    maximal is never chosen and the bias between tied entries is below ``A**2 / 2**31``.

    Args:
      key: typed key, consumed.
      values: ``[A]`` float; NaN is not allowed.

    Returns:
      int32 scalar.

    Example:
      >>> int(random_argmax(jax.random.key(0), jnp.array([0.1, 0.9, 0.3])))
      1
    """
    return argmax_of_bits(jax.random.bits(key, values.shape, jnp.uint32), values)


def argmax_of_bits(bits: jax.Array, values: jax.Array) -> jax.Array:
    """Does what `random_argmax` does, given its draw, ``bits``: ``[A]`` uint32.

    Example:
      >>> int(argmax_of_bits(jnp.array([7, 5, 9], jnp.uint32), jnp.array([0.9, 0.9, 0.3])))
      0
    """
    priority = jnp.where(_greatest(values), bits | jnp.uint32(1), jnp.uint32(0))
    return jnp.argmax(priority).astype(jnp.int32)


def argmax_probabilities(values: jax.Array) -> jax.Array:
    """Gives the law of `random_argmax`: uniform over the greatest of ``values``, ``[A]``.

    Example:
      >>> argmax_probabilities(jnp.array([0.9, 0.9, 0.3])).tolist()
      [0.5, 0.5, 0.0]
    """
    tied = _greatest(values).astype(jnp.float32)
    return tied / jnp.sum(tied)


def _greatest(values: jax.Array) -> jax.Array:
    """Which of ``values`` are the greatest, ``[A]`` bool; at least one is.

    A compiler may compute ``values`` once for the maximum and once for the comparison, rounded
    otherwise, so that none equals the maximum: the arm of `jnp.argmax` counts in any case.
    """
    greatest = jnp.arange(values.shape[0]) == jnp.argmax(values)
    return greatest | (values == jnp.max(values))
