"""What the checks need of pytrees: compare, describe, copy, and lay samples side by side."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

TOLERANCE = 1e-5
"""By how much floats that should be equal may differ, relative to the greater of 1 and their size:
compiled and batched programs round otherwise."""


def is_key(leaf: Any) -> bool:
    """Tells whether a leaf is a typed key.

    Example:
      >>> is_key(jax.random.key(0)), is_key(jnp.zeros(2))
      (True, False)
    """
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def copy(tree: Any) -> Any:
    """Copies the containers of a tree, the values as they are; keys count as unused.

    Example:
      >>> tree = {"x": jnp.ones(2)}
      >>> copy(tree) is tree, copy(tree)["x"] is tree["x"]
      (False, True)
    """
    return jax.tree.map(lambda x: jax.random.clone(x) if is_key(x) else x, tree)


def take(tree: Any, index: int) -> Any:
    """Takes one sample of several that lie side by side.

    Example:
      >>> take({"x": jnp.arange(3.0)}, 2)
      {'x': Array(2., dtype=float32)}
    """
    return jax.tree.map(lambda x: _map(lambda a: a[index], x), tree)


def repeat(tree: Any, number: int) -> Any:
    """Lays the same sample side by side, ``number`` times.

    Example:
      >>> repeat({"x": jnp.ones(2)}, 3)["x"].shape
      (3, 2)
    """
    return jax.tree.map(lambda x: _map(lambda a: np.stack([a] * number), x), tree)


def stack(trees: Sequence[Any]) -> Any:
    """Lays samples side by side.

    Example:
      >>> stack([jnp.ones(2), jnp.zeros(2)]).shape
      (2, 2)
    """
    return jax.tree.map(lambda *xs: _map(lambda *arrays: np.stack(arrays), *xs), *trees)


def _map(function: Callable[..., np.ndarray], *leaves: Any) -> jax.Array:
    """What numpy makes of leaves, without a program to be compiled for it."""
    if not is_key(leaves[0]):
        return jnp.asarray(function(*map(np.asarray, leaves)))
    data = [np.asarray(jax.random.key_data(leaf)) for leaf in leaves]
    return jax.random.wrap_key_data(
        jnp.asarray(function(*data)), impl=jax.random.key_impl(leaves[0])
    )


def describe(tree: Any, weak: bool = False) -> str:
    """Describes structure, shapes and dtypes in short.

    Args:
      tree: of arrays, or of what `jax.eval_shape` gives.
      weak: whether to tell weak types.

    Example:
      >>> describe({"counts": jnp.zeros(4), "time": jnp.int32(0)})
      "{'counts': float32[4], 'time': int32[]}"
    """
    return repr(jax.tree.map(lambda leaf: _Shown(leaf, weak), tree))


class _Shown:
    """A leaf that prints as its dtype and shape."""

    def __init__(self, leaf: Any, weak: bool) -> None:
        dtype = getattr(leaf, "dtype", type(leaf).__name__)
        shape = ",".join(map(str, np.shape(leaf)))
        is_weak = weak and getattr(leaf, "weak_type", False)
        self._text = f"{'weak ' if is_weak else ''}{dtype}[{shape}]"

    def __repr__(self) -> str:
        return self._text


def difference(left: Any, right: Any, tolerance: float = TOLERANCE) -> str | None:
    """Tells where two trees differ, in words; None if they do not.

    Integers must be equal, floats within the tolerance, NaN equals NaN.

    Example:
      >>> difference(jnp.ones(2), jnp.ones(2)) is None
      True
      >>> difference({"x": jnp.int32(1)}, {"x": jnp.int32(2)})
      "1 and 2 in ['x']"
    """
    if describe(left) != describe(right):
        return f"{describe(left)} and {describe(right)}"
    pairs = zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True)
    for (path, a), b in pairs:
        a, b = (np.asarray(jax.random.key_data(x) if is_key(x) else x) for x in (a, b))
        exact = not np.issubdtype(a.dtype, np.inexact)
        if not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=not exact):
            return f"{a} and {b}" + (f" in {jax.tree_util.keystr(path)}" if path else "")
        if exact and not np.array_equal(a, b):
            return f"{a} and {b}" + (f" in {jax.tree_util.keystr(path)}" if path else "")
    return None


def forms(tree: Any) -> Any:
    """Gives the `jax.ShapeDtypeStruct` of every leaf.

    Example:
      >>> forms(jnp.zeros(2)).shape
      (2,)
    """
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype), tree)
