"""Hints to XLA:CPU: what to compile as one kernel, and where not to fuse.

XLA:CPU fuses a producer into *every* consumer, so that a chain with several outputs is computed
once per output. A call that is not inlined has its operands and results in memory (in the first
cache, here), which stops that: `stage`. And a whole loop that is compiled into one kernel costs no
dispatch for each small operation of each iteration: `one_kernel`. Both are attributes of a call:
a compiler that does not know them computes the same.
"""

import functools
from collections.abc import Callable

import jax

try:
    from jax.experimental.xla_metadata import set_xla_metadata
except ImportError:  # an experimental module: without it all is right, and slower
    set_xla_metadata = None

_HINTS = ("inlineable", "xla_cpu_small_call")


def _hinted(function: Callable, **hints: str) -> Callable:
    if set_xla_metadata is None:
        return function
    hint = set_xla_metadata

    @functools.wraps(function)
    def unhinted(*args):
        # The hints are for this call, not for the operations within it.
        with hint(**dict.fromkeys(_HINTS)):
            return function(*args)

    inner = jax.jit(unhinted)

    @functools.wraps(function)
    def call(*args):
        with hint(**hints):
            return inner(*args)

    return call


def stage(function: Callable) -> Callable:
    """Makes the results of a function of arrays materialise once.

    Example:
      >>> float(stage(lambda x: x + 1)(jnp.float32(1)))
      2.0
    """
    return _hinted(function, inlineable="false")


def one_kernel(function: Callable) -> Callable:
    """Makes a function of arrays one kernel on CPUs, loops and branches included.

    Example:
      >>> float(one_kernel(lambda x: x + 1)(jnp.float32(1)))
      2.0
    """
    return _hinted(function, inlineable="false", xla_cpu_small_call="true")


def plain(function: Callable) -> Callable:
    """Gives ``function`` itself: for compilers that need no hint.

    Example:
      >>> plain(abs) is abs
      True
    """
    return function
