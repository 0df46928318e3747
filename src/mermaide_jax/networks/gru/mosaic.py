"""A recurrence over time as one kernel of an NVIDIA GPU, by Mosaic, on Hopper's tensor cores.

One program of the grid runs all steps of `STREAMS` streams. Its warpgroups share the units: each
holds the state of `UNITS` of them in registers and computes these columns of every product. What is
multiplied passes through shared memory, where the weights lie as long as the program runs.

`jax.experimental.pallas.mosaic_gpu.force_gpu_interpret_mode` (JAX 0.12) runs the same program on
any device, slowly, for tests.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

__all__ = ["STREAMS", "UNITS", "bytes_needed", "persistent_scan"]

STREAMS = 64
"""Streams of one program: the rows that an instruction of Hopper's tensor cores takes."""
UNITS = 32
"""Units of one warpgroup: 128 bytes of float32, which lie side by side in shared memory."""

_TILE = (STREAMS, UNITS)

Step = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


def bytes_needed(hidden: int, itemsize: int) -> int:
    """Shared memory of a program: three matrices, the operand of a product, and small things.

    Example:
      >>> bytes_needed(64, itemsize=2), bytes_needed(128, itemsize=2)
      (35328, 117248)
    """
    return hidden * (3 * hidden + STREAMS) * itemsize + 2560


def persistent_scan(
    step: Step,
    constants: Any,
    initial: jax.Array,
    inputs: Any,
    *,
    reverse: bool = False,
) -> tuple[jax.Array, Any]:
    """Runs ``jax.lax.scan(partial(step, dot, constants), ...)`` of ``G`` groups as one kernel.

    Not differentiable in reverse mode: give it to rules of custom derivatives.

    Args:
      step: ``(dot, constants, carry, inputs) -> (carry, outputs)``, elementwise but for
        ``dot(rows, matrix)``, of streams ``[..., H]``.
      constants: matrices ``[G, H, H]``, whose dtype is that of the products' operands (bfloat16, or
        float32 for TF32), and vectors ``[G, H]``; ``H`` is a multiple of `UNITS`.
      initial: carry, ``[G, N, H]``, float32.
      inputs: arrays ``[T, G, N, H]``, ``T >= 1``; outputs are of this form too.
      reverse: whether time runs backwards.

    Returns:
      The last carry, and the outputs of all steps.
    """
    groups, streams, hidden = initial.shape
    blocks, pieces = math.ceil(streams / STREAMS), hidden // UNITS
    pad = ((0, 0), (0, blocks * STREAMS - streams), (0, 0))
    initial = jnp.pad(initial, pad)
    inputs = jax.tree.map(lambda x: jnp.pad(x, ((0, 0), *pad)), inputs)
    matrices, constants = _split_constants(constants)
    outputs = _like_outputs(step, constants, initial, inputs)
    operands, operands_tree = jax.tree.flatten((constants, initial, inputs))
    results, results_tree = jax.tree.flatten((initial, outputs))

    def body(weights: Any, *refs: Any) -> None:
        operand_refs = jax.tree.unflatten(operands_tree, refs[: len(operands)])
        refs = refs[len(operands) :]
        result_refs = jax.tree.unflatten(results_tree, refs[: len(results)])
        program = _Program(pieces, *refs[len(results) :])
        program.load(weights)
        program.run(step, operand_refs, result_refs, reverse)

    kernel = plgpu.kernel(
        body,
        out_type=[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in results],
        scratch_types=_scratch(pieces, matrices),
        grid=(groups, blocks),
        grid_names=("group", "block"),
        num_threads=pieces,
        thread_name="piece",
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
    )
    final, outputs = jax.tree.unflatten(results_tree, kernel(matrices, *operands))
    return final[:, :streams], jax.tree.map(lambda x: x[:, :, :streams], outputs)


def _split_constants(constants: Any) -> tuple[jax.Array, Any]:
    """All matrices as tiles ``[G, M P P, UNITS, UNITS]``, and the constants with their numbers.

    A tile is the part of a matrix that leads from some units (its second axis, last in memory, as
    tensor cores want TF32) to others. Vectors become rows of `STREAMS` equal ones.
    """
    leaves, tree = jax.tree.flatten(constants)
    matrices = [x for x in leaves if x.ndim == 3]
    groups, hidden, _ = matrices[0].shape
    split = (groups, hidden // UNITS, UNITS, hidden // UNITS, UNITS)
    tiles = [x.mT.reshape(split).swapaxes(2, 3) for x in matrices]
    number = iter(range(len(matrices)))
    row = lambda x: jnp.broadcast_to(x[:, None], (groups, STREAMS, hidden))  # noqa: E731
    rest = [_Matrix(next(number)) if x.ndim == 3 else row(x) for x in leaves]
    return jnp.stack(tiles, 1).reshape(groups, -1, UNITS, UNITS), jax.tree.unflatten(tree, rest)


@jax.tree_util.register_static
class _Matrix(int):
    """The number of a matrix, which stands for it."""


def _like_outputs(step: Step, constants: Any, initial: jax.Array, inputs: Any) -> Any:
    """Shapes and dtypes of the outputs of all steps."""

    def first(constants: Any, carry: jax.Array, inputs: Any) -> Any:
        constants = jax.tree.map(lambda x: x[0, :1], constants)
        of_one = jax.tree.map(lambda x: x[0, 0], inputs)
        return step(lambda rows, _: rows, constants, carry[0], of_one)[1]

    length, groups = jax.tree.leaves(inputs)[0].shape[:2]
    like = lambda x: jax.ShapeDtypeStruct((length, groups, *x.shape), x.dtype)  # noqa: E731
    return jax.tree.map(like, jax.eval_shape(first, constants, initial, inputs))


def _scratch(pieces: int, matrices: jax.Array) -> list[Any]:
    """Shared memory: the weights, what is multiplied by them, and where warpgroups wait."""
    line = UNITS * matrices.dtype.itemsize
    transforms: Any = plgpu  # abstract by their types, though not in fact
    lie = (transforms.TilingTransform((8, UNITS)), transforms.SwizzleTransform(line))
    return [
        plgpu.SMEM(matrices.shape[1:], matrices.dtype, transforms=lie),
        plgpu.SMEM((pieces, STREAMS, UNITS), matrices.dtype, transforms=lie),
        plgpu.Barrier(),
        plgpu.Barrier(num_arrivals=pieces),
    ]


class _Program:
    """What one warpgroup does."""

    def __init__(self, pieces: int, matrices: Any, operand: Any, loaded: Any, met: Any) -> None:
        self.pieces, self.matrices, self.operand = pieces, matrices, operand
        self.loaded, self.met = loaded, met
        self.group, self.block, self.piece = map(lax.axis_index, ("group", "block", "piece"))
        self.multiplied: Any = None

    def load(self, weights: Any) -> None:
        """Has the weights copied into shared memory."""

        @pl.when(self.piece == 0)
        def _() -> None:
            plgpu.copy_gmem_to_smem(weights.at[self.group], self.matrices, self.loaded)
            plgpu.barrier_wait(self.loaded)

        self.meet()

    def run(self, step: Step, operands: Any, results: Any, reverse: bool) -> None:
        """All steps."""
        constants, initial, inputs = operands
        final, outputs = results
        length = jax.tree.leaves(inputs)[0].shape[0]
        constants = jax.tree.map(lambda ref: self.read(ref, 0), constants)

        def body(count: jax.Array, carry: Any) -> Any:
            time = length - 1 - count if reverse else count
            read = lambda ref: self.read(ref.at[time], self.block)  # noqa: E731
            carry, out = step(self.dot, constants, carry, jax.tree.map(read, inputs))
            write = lambda ref, value: self.write(ref.at[time], value)  # noqa: E731
            jax.tree.map(write, outputs, out)
            return carry

        self.write(final, lax.fori_loop(0, length, body, self.read(initial, self.block)))

    def dot(self, rows: jax.Array, matrix: int) -> jax.Array:
        """This warpgroup's columns of a product."""
        if rows is not self.multiplied:  # else it lies there from the product before
            self.meet()  # all have read what lay there
            self.operand[self.piece] = rows.astype(self.operand.dtype)
            plgpu.commit_smem()
            self.meet()
            self.multiplied = rows

        def product(total: Any) -> jax.Array:
            first = (matrix * self.pieces + self.piece) * self.pieces
            for piece in range(self.pieces):
                plgpu.wgmma(total, self.operand.at[piece], self.matrices.at[first + piece].T)
            return total[...]

        return pl.run_scoped(product, plgpu.ACC(_TILE, jnp.float32))

    def meet(self) -> None:
        """Waits for the other warpgroups."""
        plgpu.barrier_arrive(self.met)
        plgpu.barrier_wait(self.met)

    def mine(self, ref: Any, block: Any) -> Any:
        """Of ``[G, N, H]``: these streams and units."""
        rows, columns = pl.ds(block * STREAMS, STREAMS), pl.ds(self.piece * UNITS, UNITS)
        return ref.at[self.group, rows, columns]

    def read(self, ref: Any, block: Any) -> jax.Array:
        """From the memory of the device."""
        whole = () if jax.__version_info__ >= (0, 12) else ((),)
        load = functools.partial(plgpu.load, self.mine(ref, block), *whole)
        return load(layout=plgpu.Layout.WGMMA, optimized=False)

    def write(self, ref: Any, value: jax.Array) -> None:
        """Into the memory of the device."""
        self.mine(ref, self.block)[...] = value
