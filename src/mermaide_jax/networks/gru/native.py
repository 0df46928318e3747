"""The recurrence's loops on CPUs in C (`gru.c`), called by XLA while a program runs.

XLA on CPUs makes of a recurrence a loop of small operations, each of which writes arrays that the
next one reads, and multiplies a single vector by weights at a third of the rate that their reading
allows. Here a loop is one call: the weights are laid out once in the order in which they are read,
sums stay in registers, and what follows from them is computed before they leave the cache.

The source is compiled for the machine when it is first needed (a second or two, once a process),
and only where there is a C compiler; everywhere else the loops are those of XLA.
"""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mermaide_jax._jax.batching import fold_batch, unfold_batch
from mermaide_jax._jax.caching import memoize
from mermaide_jax._jax.compile_c import compile_c

__all__ = ["Prepared", "cell", "prepare", "run", "unsupported_reason"]

_SOURCE = Path(__file__).with_name("gru.c")
_HANDLERS = (
    "gru_cell",
    "gru_state_step",
    "gru_forward_step",
    "gru_forward_tangent_step",
    "gru_backward_step",
    "gru_backward_tangent_step",
)


@memoize
def _vector_width() -> int:
    """Compiles the source, tells XLA of its functions, and says how many numbers a vector has."""
    library = compile_c(_SOURCE, ("-fno-math-errno", f"-I{jax.ffi.include_dir()}"))
    for name in _HANDLERS:
        capsule = jax.ffi.pycapsule(getattr(library, name))
        jax.ffi.register_ffi_target(_target(name), capsule, platform="cpu")
    return library.vector_width()


def _target(handler: str) -> str:
    return f"mermaide_jax.{handler}"


@memoize
def _cannot_compile() -> str | None:
    """Why the source cannot be used here, in words; None if it can."""
    try:
        _vector_width()
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


def unsupported_reason(hidden: int, dtype: Any) -> str | None:
    """Tells what the loops take and do not get here, in words; None if they can run.

    Args:
      hidden: units.
      dtype: of the arrays.

    Example:
      >>> unsupported_reason(64, jnp.float16)
      'float32 arrays only'
    """
    if jax.default_backend() != "cpu":
        return "CPUs only"
    if dtype != jnp.float32:
        return "float32 arrays only"
    if reason := _cannot_compile():
        return f"a working C compiler ({reason})"
    width = _vector_width()
    return f"a multiple of {width} units only" if hidden % width else None


def run(
    name: str, step: Any, constants: Any, initial: jax.Array, inputs: Any
) -> tuple[jax.Array, Any]:
    """Takes all steps of a loop of `mermaide_jax.networks.gru.gru`.

    Args:
      name: of the function of a step, by which C has the loop.
      step: ``(constants, carry, inputs) -> (carry, outputs)``, what C computes; called for the
        shapes of the outputs alone.
      constants: arrays of one or two axes.
      initial: carry, ``[..., H]``.
      inputs: arrays ``[T, ..., X]``, with the batch axes of ``initial``.

    Returns:
      The last carry, and the outputs of all steps.

    Example:
      >>> able = unsupported_reason(16, jnp.float32) is None  # on CPUs with a C compiler
      >>> weights, inputs = [jnp.zeros((16, 16))] * 3 + [jnp.zeros(16)], [jnp.zeros((2, 16))] * 3
      >>> step = lambda weights, hidden, projected: (hidden, hidden)  # of the same shapes
      >>> states = lambda: run("_state_step", step, weights, jnp.ones(16), inputs)[1]
      >>> not able or states()[:, 0].tolist() == [0.5, 0.25]
      True
    """
    batch, streams = initial.shape[:-1], math.prod(initial.shape[:-1])
    inputs = jax.tree.map(lambda x: x.reshape(1, len(x), streams, x.shape[-1]), inputs)
    constants = jax.tree.map(lambda x: x[None], constants)
    call = _for_members(functools.partial(_call_loop, f"gru{name}", step))
    final, outputs = call(constants, initial.reshape(1, streams, -1), inputs)
    outputs = jax.tree.map(lambda x: x.reshape(x.shape[1], *batch, x.shape[-1]), outputs)
    return final.reshape(initial.shape), outputs


def _call_loop(
    handler: str, step: Any, constants: Any, initial: jax.Array, inputs: Any
) -> tuple[Any, Any]:
    steps = jax.tree.leaves(inputs)[0].shape[1]

    def like_one_step(constants: Any, initial: jax.Array, inputs: Any) -> tuple[Any, Any]:
        weights = jax.tree.map(lambda x: x[0], constants)
        first = jax.tree.map(lambda x: x[:, 0], inputs)
        final, outputs = jax.vmap(functools.partial(step, weights))(initial, first)
        return final, jax.tree.map(
            lambda x: jnp.broadcast_to(x[:, None], (len(x), steps, *x.shape[1:])), outputs
        )

    shapes = jax.eval_shape(like_one_step, constants, initial, inputs)
    return _call(handler, shapes, constants, initial, inputs)


def _call(handler: str, shapes: Any, *operands: Any) -> Any:
    """Calls C. Shapes are those of a computation in JAX, as on a mesh they say more than sizes."""
    _vector_width()  # at the latest now XLA has to know of it
    leaves, tree = jax.tree.flatten(shapes)
    results = jax.ffi.ffi_call(_target(handler), leaves)(*jax.tree.leaves(operands))
    return jax.tree.unflatten(tree, results)


class Prepared(NamedTuple):
    """The weights of a layer as C reads them, for many steps one by one.

    Attributes:
      into: ``W_k``, ``[3 H I]`` in the order in which they are read.
      bias: ``b_k`` side by side, ``[3 H]``.
      kernels: ``U_k``, ``[3 H H]`` like ``into``.
      inner_bias: ``d``, ``[H]``.
    """

    into: jax.Array
    bias: jax.Array
    kernels: jax.Array
    inner_bias: jax.Array


def prepare(into: Any, bias: Any, kernels: Any, inner_bias: jax.Array) -> Prepared:
    """Lays out weights.

    Args:
      into: input kernels ``W_k``, each ``[I, H]``.
      bias: ``b_k``, each ``[H]``.
      kernels: ``U_k``, each ``[H, H]``.
      inner_bias: ``d``, ``[H]``.

    Example:
      >>> able = unsupported_reason(16, jnp.float32) is None  # on CPUs with a C compiler
      >>> into, vector, square = (jnp.zeros(shape) for shape in ((2, 16), 16, (16, 16)))
      >>> zero = [into] * 3, [vector] * 3, [square] * 3, vector
      >>> not able or prepare(*zero).kernels.shape == (3 * 16 * 16,)
      True
    """
    return Prepared(_packed(into), jnp.concatenate(bias), _packed(kernels), inner_bias)


def _packed(matrices: Any) -> jax.Array:
    """Three matrices ``[K, H]`` side by side, three vectors of columns after the other."""
    side_by_side = jnp.concatenate(matrices, axis=-1)
    return side_by_side.reshape(len(side_by_side), -1, 3 * _vector_width()).swapaxes(0, 1).ravel()


def cell(prepared: Prepared, hidden: jax.Array, inputs: jax.Array) -> tuple[jax.Array, ...]:
    """Takes one step from inputs that are not projected yet, in one call.

    Args:
      prepared: the weights.
      hidden: ``h_{t-1}``, ``[..., H]``.
      inputs: ``x_t``, ``[..., I]``.

    Returns:
      ``h_t``, and ``h_{t-1}``, ``r``, ``z``, ``q``, ``n``, each ``[..., H]``.

    Example:
      >>> able = unsupported_reason(16, jnp.float32) is None  # on CPUs with a C compiler
      >>> into, vector, square = (jnp.zeros(shape) for shape in ((2, 16), 16, (16, 16)))
      >>> zero = [into] * 3, [vector] * 3, [square] * 3, vector
      >>> half = lambda: cell(prepare(*zero), jnp.ones(16), jnp.ones(2))[0]
      >>> not able or half().tolist() == [0.5] * 16
      True
    """
    constants = jax.tree.map(lambda x: x[None], prepared)
    streams = math.prod(hidden.shape[:-1])
    rows = [x.reshape(1, 1, streams, x.shape[-1]) for x in (inputs, hidden)]
    return tuple(x.reshape(hidden.shape) for x in _for_members(_call_cell)(constants, *rows))


def _call_cell(prepared: Prepared, inputs: jax.Array, hidden: jax.Array) -> list[jax.Array]:
    made_of_all = lambda *x: x[-1] + sum(jnp.sum(y) for y in jax.tree.leaves(x))  # noqa: E731
    like = jax.eval_shape(made_of_all, prepared, inputs, hidden)
    return _call("gru_cell", [like] * 6, prepared, inputs, hidden)


def _for_members(call: Callable[..., Any]) -> Any:
    """A call on members that any number of `jax.vmap` makes more.

    Its first argument are constants ``[G, ...]``, of which each leaf has ``G = 1``, or as many as
    there are members or groups of members that follow each other; the others, and its results, are
    ``[M, ...]``.
    """
    folded = jax.custom_batching.custom_vmap(call)

    @folded.def_vmap
    def _(size: int, batched: Any, constants: Any, *members: Any) -> Any:
        fold = functools.partial(fold_batch, size, 0)

        def fold_constant(array: jax.Array, own: bool) -> jax.Array:
            return array if not own and array.shape[0] == 1 else fold(array, own)

        constants = jax.tree.map(fold_constant, constants, batched[0])
        members = jax.tree.map(fold, members, tuple(batched[1:]))
        results = folded(constants, *members)
        results = jax.tree.map(functools.partial(unfold_batch, size, 0), results)
        return results, jax.tree.map(lambda _: True, results)

    return folded
