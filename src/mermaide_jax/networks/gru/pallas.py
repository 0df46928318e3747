"""A recurrence over time as one kernel: `jax.lax.scan` in Pallas, with all that is reused in place.

A scan on an accelerator starts several kernels a step, and each reads the recurrent weights anew.
`persistent_scan` runs all steps in one: each program of the grid takes a block of streams, loads
the constants (the weights) once, carries the state from step to step, and touches the memory of the
device only for the inputs and outputs of each step. It is for TPUs; ``interpret=True`` runs the
same program anywhere, slowly, for tests. `mermaide_jax.networks.gru.mosaic` has that for NVIDIA's
GPUs.

Blocks lie in VMEM, so that long sequences come in chunks of steps, the second axis of the
grid; the state waits in its output block from one chunk to the next.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

__all__ = ["persistent_scan"]

Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def persistent_scan(
    step: Step,
    constants: Any,
    initial: Any,
    inputs: Any,
    *,
    block: int,
    chunk: int | None = None,
    reverse: bool = False,
    interpret: bool = False,
) -> tuple[Any, Any]:
    """Does ``jax.lax.scan(partial(step, constants), initial, inputs, reverse=...)`` in one kernel.

    Not differentiable in reverse mode: give it to rules of custom derivatives.

    Args:
      step: ``(constants, carry, inputs) -> (carry, outputs)``, of operations that Pallas lowers. It
        is called for ``block`` streams at a time and must treat each alone.
      constants: arrays of one or two axes, given whole to every step; vectors as ``[1, X]``.
      initial: carry, arrays ``[N, X]``.
      inputs: arrays ``[T, N, X]``, ``T >= 1``; outputs are of this form too.
      block: streams a program; ``N`` is padded with zeros to a multiple of it.
      chunk: steps a program; all of them if None.
      reverse: whether time runs backwards.
      interpret: whether the kernel is interpreted, on any device.

    Returns:
      The last carry, and the outputs of all steps.

    Example:
      >>> step = lambda weight, carry, x: (carry + weight * x, carry)
      >>> arguments = jnp.array([2.0]), jnp.zeros((2, 1)), jnp.ones((3, 2, 1))
      >>> final, before = persistent_scan(step, *arguments, block=2, interpret=True)
      >>> final[:, 0].tolist(), before[:, 0, 0].tolist()
      ([6.0, 6.0], [0.0, 2.0, 4.0])
    """
    num_steps, num_streams = jax.tree.leaves(inputs)[0].shape[:2]
    length = min(chunk or num_steps, num_steps)
    grid = (math.ceil(num_streams / block), math.ceil(num_steps / length))
    pad = grid[0] * block - num_streams
    constants = jax.tree.map(lambda x: x[None] if x.ndim == 1 else x, constants)
    initial = jax.tree.map(lambda x: jnp.pad(x, ((0, pad), (0, 0))), initial)
    inputs = jax.tree.map(lambda x: jnp.pad(x, ((0, 0), (0, pad), (0, 0))), inputs)
    outputs = jax.eval_shape(step, constants, *_first_block(initial, inputs, block))[1]
    outputs = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((num_steps, grid[0] * block, x.shape[-1]), x.dtype), outputs
    )
    blocks = _Blocks(grid, block, length, reverse)
    operands, out_shape = (constants, initial, inputs), (initial, outputs)
    leaves, tree = jax.tree.flatten(operands)
    out_leaves, out_tree = jax.tree.flatten(
        jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), out_shape)
    )

    def kernel(*refs: Any) -> None:
        operand_refs = jax.tree.unflatten(tree, refs[: len(leaves)])
        out_refs = jax.tree.unflatten(out_tree, refs[len(leaves) :])
        _run(step, *operand_refs, *out_refs, blocks=blocks, num_steps=num_steps)

    final, outputs = jax.tree.unflatten(
        out_tree,
        pl.pallas_call(
            kernel,
            grid=blocks.grid,
            in_specs=jax.tree.leaves(
                (
                    jax.tree.map(blocks.whole, constants),
                    jax.tree.map(blocks.of_state, initial),
                    jax.tree.map(blocks.of_steps, inputs),
                )
            ),
            out_specs=jax.tree.leaves(
                (jax.tree.map(blocks.of_state, initial), jax.tree.map(blocks.of_steps, outputs))
            ),
            out_shape=out_leaves,
            interpret=interpret,
            name="persistent_scan",
        )(*leaves),
    )
    final = jax.tree.map(lambda x: x[:num_streams], final)
    return final, jax.tree.map(lambda x: x[:, :num_streams], outputs)


def _first_block(initial: Any, inputs: Any, block: int) -> tuple[Any, Any]:
    return jax.tree.map(lambda x: x[:block], initial), jax.tree.map(lambda x: x[0, :block], inputs)


class _Blocks:
    """Which part of each array a program sees."""

    def __init__(self, grid: tuple[int, int], block: int, chunk: int, reverse: bool):
        self.block, self.chunk, self.num_chunks, self.reverse = block, chunk, grid[1], reverse
        self.grid = grid

    def time(self, place: jax.Array | int) -> jax.Array | int:
        """The chunk of steps that comes at a place of the grid's second axis."""
        return self.num_chunks - 1 - place if self.reverse else place

    def whole(self, array: jax.Array) -> pl.BlockSpec:
        return pl.BlockSpec(array.shape, lambda *_: (0,) * array.ndim)

    def of_state(self, array: Any) -> pl.BlockSpec:
        return pl.BlockSpec((self.block, array.shape[-1]), lambda stream, _: (stream, 0))

    def of_steps(self, array: Any) -> pl.BlockSpec:
        return pl.BlockSpec(
            (self.chunk, self.block, array.shape[-1]),
            lambda stream, place: (self.time(place), stream, 0),
        )


def _run(
    step: Step,
    constants: Any,
    initial: Any,
    inputs: Any,
    final: Any,
    outputs: Any,
    *,
    blocks: _Blocks,
    num_steps: int,
) -> None:
    """What one program does to its references."""
    length: Any = num_steps
    if blocks.num_chunks > 1:
        place = pl.program_id(1)
        length = jnp.minimum(blocks.chunk, num_steps - blocks.time(place) * blocks.chunk)
        pl.when(place == 0)(lambda: _write(final, _read(initial)))
    constants = _read(constants)

    def body(count: jax.Array, carry: Any) -> Any:
        now = length - 1 - count if blocks.reverse else count
        carry, out = step(constants, carry, jax.tree.map(lambda ref: ref[now], inputs))
        _write(outputs, out, now)
        return carry

    carry = _read(initial if blocks.num_chunks == 1 else final)
    _write(final, jax.lax.fori_loop(0, length, body, carry))


def _read(refs: Any) -> Any:
    return jax.tree.map(lambda ref: ref[...], refs)


def _write(refs: Any, values: Any, index: Any = ...) -> None:
    for ref, value in zip(jax.tree.leaves(refs), jax.tree.leaves(values), strict=True):
        ref[index] = value
