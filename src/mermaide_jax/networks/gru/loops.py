"""How the time loops of `mermaide_jax.networks.gru.gru` are run: by XLA, in C, or by one kernel.

A `Loop` runs a step function over time. `choose_loop` picks one from what the caller asked for, the
device and the sizes; the steps, and so the mathematics, are the same ones for each.
"""

import dataclasses
import functools
import importlib
import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from mermaide_jax._jax.batching import fold_batch, unfold_batch
from mermaide_jax.errors import check_choice, refuse
from mermaide_jax.networks.gru import native
from mermaide_jax.networks.gru.pallas import persistent_scan

__all__ = ["Implementation", "Loop", "Precision", "choose_loop"]

Implementation = Literal["auto", "scan", "in_place", "native", "pallas", "fastest"]
"""``"scan"``: `jax.lax.scan`. ``"in_place"``: a loop that slices time where it is, for members of a
`jax.vmap` with weights or gradients of their own; to be differentiated once in reverse mode, and in
forward mode over that (twice in reverse mode costs ``T^2``). ``"native"``: a loop in C on CPUs with
a C compiler (`mermaide_jax.networks.gru.native`), float32 alone; to be differentiated like that,
and no further. ``"pallas"``: one kernel for all steps, interpreted on CPUs (slowly). ``"auto"``:
the scan; the kernel has not been measured on a GPU or TPU yet. ``"fastest"``: for what is
differentiated in reverse mode once: ``"native"`` where it can run and there are enough units,
``"in_place"`` on other CPUs, else as ``"auto"``."""

Precision = Literal["default", "full", "tf32", "bf16"]
"""Of the operands of the recurrent products; sums are in the arrays' own dtype. ``"default"``: what
JAX takes on the device (``jax_default_matmul_precision``; else float32 on CPUs, TF32 on NVIDIA
GPUs); ``"full"``: the dtype of the arrays."""

Device = Literal["scan", "in_place", "native", "interpreter", "gpu", "tpu"]
Dot = Callable[[jax.Array, jax.Array], jax.Array]
Step = Callable[[Dot, Any, Any, Any], tuple[Any, Any]]

_NATIVE_UNITS = 64
"""Fewer are not worth the second that a compiler takes."""
_VMEM_BYTES = 8 * 2**20
"""For blocks: half of what the TPUs of least VMEM have."""
_SHARED_BYTES = 227 * 1024
"""What a block may have on Hopper, should the device not say."""
_HOPPER = "9.0"
_INTERPRETED_BLOCK = 16


@dataclasses.dataclass(frozen=True)
class Loop:
    """Runs steps over time; static, and equal if its fields are.

    Attributes:
      device: ``"scan"``, ``"in_place"``: any device, by a loop of XLA; ``"native"``: CPUs, in C;
        else for whom the kernel is made: ``"gpu"``, ``"tpu"``, or ``"interpreter"`` (that of a TPU,
        interpreted on any device).
      precision: of the operands of the recurrent products.
      block: streams of one program; chosen by their number if None, and not on GPUs.
      chunk: steps of one program; chosen by the memory of the device if None, and not on GPUs.
    """

    device: Device = "scan"
    precision: Precision = "default"
    block: int | None = None
    chunk: int | None = None

    @property
    def is_kernel(self) -> bool:
        """Whether all steps are one kernel of Pallas."""
        return self.device not in ("scan", "in_place", "native")

    def __call__(
        self, step: Step, constants: Any, initial: jax.Array, inputs: Any, reverse: bool = False
    ) -> tuple[jax.Array, Any]:
        """All steps, and what `jax.lax.scan` returns.

        Args:
          step: ``(dot, constants, carry, inputs) -> (carry, outputs)``; every matrix product in it
            is ``dot(rows, matrix)``.
          constants: the same arrays for all steps.
          initial: carry, ``[..., H]``.
          inputs: arrays ``[T, ..., X]``, with the batch axes of ``initial``.
          reverse: whether time runs backwards.
        """
        run = functools.partial(step, self._dot)
        if self.precision == "bf16":  # once, not at every step; matrices enter products alone
            constants = jax.tree.map(
                lambda x: x.astype(jnp.bfloat16) if x.ndim == 2 else x, constants
            )
        empty = 0 in jax.tree.leaves(inputs)[0].shape
        if self.device == "native" and not empty:
            # The name of a step is that of its loop in C, which knows the direction of time.
            return native.run(step.__name__, run, constants, initial, inputs)
        if not self.is_kernel or empty:
            loop = _in_place if self.device == "in_place" else jax.lax.scan
            return loop(functools.partial(run, constants), initial, inputs, reverse=reverse)
        batch, streams = initial.shape[:-1], math.prod(initial.shape[:-1])
        inputs = jax.tree.map(lambda x: x.reshape(len(x), 1, streams, x.shape[-1]), inputs)
        constants = jax.tree.map(lambda x: x[None], constants)
        kernel = _foldable(functools.partial(self._kernel, step, reverse))
        final, outputs = kernel(constants, initial.reshape(1, streams, -1), inputs)
        outputs = jax.tree.map(lambda x: x.reshape(len(x), *batch, x.shape[-1]), outputs)
        return final.reshape(initial.shape), outputs

    def _kernel(
        self, step: Step, reverse: bool, constants: Any, initial: jax.Array, inputs: Any
    ) -> tuple[jax.Array, Any]:
        """One kernel for ``G`` sets of constants with ``N`` streams each; see `_foldable`."""
        if self.device == "gpu":
            return _mosaic().persistent_scan(step, constants, initial, inputs, reverse=reverse)
        block = self.block or self._streams(initial.shape[1])
        run = functools.partial(
            persistent_scan,
            functools.partial(step, self._dot),
            block=block,
            chunk=self.chunk or self._steps(inputs, block),
            reverse=reverse,
            interpret=self.device == "interpreter",
        )
        return jax.vmap(run, in_axes=(0, 0, 1), out_axes=(0, 1))(constants, initial, inputs)

    def _streams(self, number: int) -> int:
        tpu = self.device == "tpu"
        return min(128, 8 * math.ceil(number / 8)) if tpu else _INTERPRETED_BLOCK

    def _steps(self, inputs: Any, block: int) -> int | None:
        """Steps a program: all, but on a TPU only what VMEM holds, inputs and outputs twice."""
        if self.device != "tpu":
            return None
        widths = [leaf.shape[-1] * leaf.dtype.itemsize for leaf in jax.tree.leaves(inputs)]
        # No loop has more outputs than inputs, but for the first one, which has six for three.
        arrays = sum(widths) + max(sum(widths), 6 * max(widths))
        return max(1, _VMEM_BYTES // (2 * block * arrays))

    def _dot(self, rows: jax.Array, matrix: jax.Array) -> jax.Array:
        if self.precision == "bf16":
            rows, dtype = rows.astype(jnp.bfloat16), rows.dtype
            return jnp.dot(rows, matrix.astype(jnp.bfloat16), preferred_element_type=dtype)
        if self.precision == "full":
            return jnp.dot(rows, matrix, precision="highest")
        if self.precision == "tf32":  # operands are rounded as a GPU rounds them
            rows, matrix = (jax.lax.reduce_precision(x, 8, 10) for x in (rows, matrix))
        return rows @ matrix


def _in_place(step: Any, initial: jax.Array, inputs: Any, *, reverse: bool) -> tuple[Any, Any]:
    """`jax.lax.scan`, but time stays where it is.

    Under `jax.vmap` a scan moves the batch axis behind time, while the products before and after it
    (by weights of each member) have it first: every array would be copied transposed, twice. To
    slice time in place costs a loop a little, and the rest nothing.
    """
    horizon = jax.tree.leaves(inputs)[0].shape[0]
    if not horizon:
        return jax.lax.scan(step, initial, inputs, reverse=reverse)
    # Of a step that nobody takes: so they also vary over the axes of a mesh as the outputs do.
    first = step(initial, jax.tree.map(lambda x: x[0], inputs))[1]
    outputs = jax.tree.map(lambda x: jnp.zeros_like(x, shape=(horizon, *x.shape)), first)

    def body(index: jax.Array, state: Any) -> Any:
        carry, outputs = state
        time = horizon - 1 - index if reverse else index
        at = lambda x: jax.lax.dynamic_index_in_dim(x, time, keepdims=False)  # noqa: E731
        put = lambda x, new: jax.lax.dynamic_update_index_in_dim(x, new, time, 0)  # noqa: E731
        carry, output = step(carry, jax.tree.map(at, inputs))
        return carry, jax.tree.map(put, outputs, output)

    return jax.lax.fori_loop(0, horizon, body, (initial, outputs))


def _foldable(kernel: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Any:
    """A kernel that any number of `jax.vmap` makes larger, with no axis of the grid for each.

    Constants are ``[G, ...]``, states ``[G, N, X]``, inputs and outputs ``[T, G, N, X]``. Streams
    that share the constants fill blocks together; else there are more sets of constants.
    """
    folded = jax.custom_batching.custom_vmap(kernel)

    @folded.def_vmap
    def _(size: int, batched: Any, constants: Any, initial: jax.Array, inputs: Any) -> Any:
        own = any(jax.tree.leaves(batched[0]))
        axis = 0 if own else 1  # of the states, to grow; one more where time leads
        fold = functools.partial(fold_batch, size)
        if own:
            constants = jax.tree.map(functools.partial(fold, 0), constants, batched[0])
        initial = fold(axis, initial, batched[1])
        inputs = jax.tree.map(functools.partial(fold, axis + 1), inputs, batched[2])
        final, outputs = folded(constants, initial, inputs)
        unfold = functools.partial(unfold_batch, size)
        out = unfold(axis, final), jax.tree.map(functools.partial(unfold, axis + 1), outputs)
        return out, jax.tree.map(lambda _: True, out)

    return folded


def _mosaic() -> Any:
    """The module of the kernel for GPUs, imported for those that have one alone."""
    return importlib.import_module("mermaide_jax.networks.gru.mosaic")


def choose_loop(
    implementation: Implementation, precision: Precision, hidden: int, dtype: Any
) -> Loop:
    """Chooses the loop for a recurrence of ``hidden`` units.

    Args:
      implementation: what the caller asks for.
      precision: of the operands of the recurrent products.
      hidden: width of the state.
      dtype: of the arrays.

    Raises:
      ConfigError: if a name is unknown, or if the kernel or the loop in C is asked for where it
        does not take these sizes.

    Example:
      >>> choose_loop("scan", "default", 4, jnp.float32).device
      'scan'
    """
    check_choice("implementation", implementation, get_args(Implementation))
    check_choice("precision", precision, get_args(Precision))
    if implementation == "fastest":
        implementation = _fastest(precision, hidden, dtype)
    if implementation == "native":
        if unsupported_reason := _unsupported_native(precision, hidden, dtype):
            refuse(
                "implementation",
                implementation,
                f"'in_place' or 'auto', as it takes {unsupported_reason}",
            )
        return Loop("native", precision)
    if implementation != "pallas":
        return Loop("in_place" if implementation == "in_place" else "scan", precision)
    kernels: dict[str, Device] = {"cpu": "interpreter", "tpu": "tpu"}
    device = kernels.get(jax.default_backend(), "gpu")
    unsupported_reason = _unsupported(device, precision, hidden, dtype)
    if unsupported_reason:
        refuse(
            "implementation",
            implementation,
            f"'scan' or 'auto', as the kernel takes {unsupported_reason}",
        )
    return Loop(device, precision)


def _fastest(precision: Precision, hidden: int, dtype: Any) -> Implementation:
    if jax.default_backend() != "cpu":
        return "auto"
    enough = hidden >= _NATIVE_UNITS
    return "native" if enough and not _unsupported_native(precision, hidden, dtype) else "in_place"


def _unsupported_native(precision: Precision, hidden: int, dtype: Any) -> str | None:
    if precision not in ("default", "full"):
        return "'default' or 'full' precision only"
    return native.unsupported_reason(hidden, dtype)


def _unsupported(device: str, precision: Precision, hidden: int, dtype: Any) -> str | None:
    """What the kernel takes and does not get on a device, in words; None if it can run."""
    if device == "interpreter":
        return None
    if dtype != jnp.float32:
        return "float32 arrays only"
    if device == "tpu":
        return _unsupported_on_tpu(precision, hidden)
    return _unsupported_on_gpu(precision, hidden)


def _unsupported_on_gpu(precision: Precision, hidden: int) -> str | None:
    said = jax.config.jax_default_matmul_precision  # pyright: ignore[reportAttributeAccessIssue]
    if precision == "full" or (precision == "default" and said in ("highest", "float32")):
        # Products of float32 are not for tensor cores.
        return "'default' (unless JAX's own is 'highest'), 'tf32' or 'bf16' precision only"
    try:
        mosaic = _mosaic()
    except ImportError:
        return "a JAX that has Pallas' Mosaic GPU backend only"
    device = jax.devices()[0]
    if getattr(device, "compute_capability", _HOPPER) != _HOPPER:
        return "a GPU of compute capability 9.0 (Hopper) only"
    if hidden % mosaic.UNITS:
        return f"a multiple of {mosaic.UNITS} units only"
    needed = mosaic.bytes_needed(hidden, 2 if precision == "bf16" else 4)
    if needed > getattr(device, "shared_memory_per_block_optin", _SHARED_BYTES):
        return f"a device with {needed} bytes of shared memory a block only"
    return None


def _unsupported_on_tpu(precision: Precision, hidden: int) -> str | None:
    if hidden % 128:
        return "a multiple of 128 units only"
    # Twice, as all blocks are: 1,024 units in bfloat16 would take 12 MiB.
    if 2 * 3 * hidden * hidden * (2 if precision == "bf16" else 4) > _VMEM_BYTES // 2:
        return "weights of 2 MiB at most"
    return "'default', 'full' or 'bf16' precision only" if precision == "tf32" else None
