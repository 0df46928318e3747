"""`jax.jit` with options of XLA's compiler, wherever they can be given."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

WIDE_VECTORS = (("xla_cpu_prefer_vector_width", 512),)
"""The widest vectors of the processor."""

LITTLE_MEMORY = (("xla_cpu_scheduler_type", "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"),)
"""Operations in the order in which results are read soon after they were written, in place of the
order that would keep several cores busy."""

RIGHT_PRODUCTS = (("xla_cpu_experimental_ynn_fusion_type", ""),)
"""No fusion of matrix products with what follows them, which JAX before 0.12 gets wrong on CPUs for
two products of which one is summed after a multiplication. For a program that such a fusion
changes; none of the library's is one, see tests/test_miscompiled.py."""

Options = tuple[tuple[str, Any], ...]


class CpuJit:
    """``jax.jit(function)``, compiled with options where they hold.

    They do on CPUs, if this version of XLA knows them, and if ``function`` is not called while
    another one is traced: then that one is compiled, in its own way.

    Attributes:
      plain: without the options.
      tuned: with them.
      options: the options, name and value.
    """

    def __init__(self, function: Callable[..., Any], options: Options, **settings: Any) -> None:
        """See `jax.jit` for ``settings``."""
        self.options = options
        self.plain: Any = jax.jit(function, **settings)
        self.tuned: Any = jax.jit(function, compiler_options=dict(options), **settings)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What ``function`` returns."""
        return self._choose(args, kwargs)(*args, **kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """As ``jax.jit(function).lower``."""
        return self._choose(args, kwargs).lower(*args, **kwargs)

    def _choose(self, *inputs: Any) -> Any:
        on_cpu = jax.default_backend() == "cpu"  # elsewhere nothing more is asked, nor run
        holds = on_cpu and not _under_trace(inputs) and _known(self.options)
        return self.tuned if holds else self.plain


def _under_trace(inputs: Any) -> bool:
    probe = jax.lax.neg(np.float32(0))  # traced even where all the inputs are constants
    return any(isinstance(leaf, Tracer) for leaf in (*jax.tree.leaves(inputs), probe))


@functools.cache
def _known(options: Options) -> bool:
    try:
        jax.jit(lambda: 0, compiler_options=dict(options))()
    except jax.errors.JaxRuntimeError:
        return False
    return True
