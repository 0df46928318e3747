"""Blocks of agents as programs of an NVIDIA GPU, by Mosaic: one agent a thread, all in registers.

The program of a block is that of `mermaide_jax.simulation.pallas`. What not every Mosaic knows is
said in other operations.

`jax.experimental.pallas.mosaic_gpu.force_gpu_interpret_mode` (JAX 0.12) runs the same program on
any device, slowly, for tests.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from mermaide_jax._jax.operations import replace_operations

BLOCK_SIZE = 128
"""Agents of a program: the threads of a warpgroup."""


def run_blocks(
    program: Callable[..., None],
    operands: Sequence[jax.Array],
    split: Sequence[bool],
    outputs: Sequence[jax.ShapeDtypeStruct],
) -> Sequence[jax.Array]:
    """Runs a program for each block of agents.

    Args:
      program: of references to its parts of the operands and outputs.
      operands: arrays.
      split: which of them have the agents as their last axis; each program has the rest whole.
      outputs: shapes and dtypes, with agents last.
    """

    def body(*refs: Any) -> None:
        mine = pl.ds(lax.axis_index("block") * BLOCK_SIZE, BLOCK_SIZE)
        parts = (*split, *(True for _ in outputs))
        pairs = zip(refs, parts, strict=True)
        program(*(ref.at[..., mine] if part else ref for ref, part in pairs))

    kernel = plgpu.kernel(
        body,
        out_type=list(outputs),
        grid=(outputs[0].shape[-1] // BLOCK_SIZE,),
        grid_names=("block",),
        compiler_params=plgpu.CompilerParams(lowering_semantics=plgpu.LoweringSemantics.Lane),
    )
    return kernel(*operands)


def stage(function: Callable) -> Callable:
    """``function`` of arrays, in operations that Mosaic knows.

    Example:
      >>> float(stage(jnp.floor)(jnp.float32(2.5)))
      2.0
    """
    return replace_operations(function, {"sqrt": _sqrt, "floor": _floor, "select_n": _select})


def row(values: jax.Array) -> jax.Array:
    """A row with an entry for each thread, though all be equal.

    Example:
      >>> jax.eval_shape(row, jnp.zeros(BLOCK_SIZE)).shape
      (128,)
    """
    layout = plgpu.Layout.WG_STRIDED(values.shape, vec_size=1)
    return plgpu.layout_cast(values, layout)


def _sqrt(x: jax.Array) -> jax.Array:
    return x * lax.rsqrt(jnp.maximum(x, np.float32(np.finfo(np.float32).tiny)))


def _floor(x: jax.Array) -> jax.Array:
    """Of what is not negative and below 2^31: counts, here."""
    return x.astype(jnp.int32).astype(jnp.float32)


def _select(which: jax.Array, *cases: jax.Array) -> jax.Array:
    return lax.select_n(jnp.broadcast_to(which, cases[0].shape), *cases)
