"""What the matrix products of one meta-step cost at least: counted FLOPs over the measured rate.

A product of ``[rows, i]`` and ``[i, o]`` is ``2 rows i o`` FLOPs. With ``I`` inputs and ``O``
outputs a network of ``L`` GRU layers of ``H`` units does, for each row (a step of an episode)

    F = 2 (3 H I + (L - 1) 3 H^2 + L 3 H^2 + H O)      forward: projections, recurrence, read-out
    W = F                                              weight gradients
    D = F - 2 (3 H I)                                  errors back to all but the first inputs

and a meta-step over ``R = N E T`` rows

    sampling          2 F     before and after adaptation
    inner gradient    F + W + D
    outer gradient    F + W + D
    Hessian-vector    F + W + 4 D     second order only: with H the Hessian of the inner loss and
                      v the outer gradient, the tangent of the forward pass is x V (F) and x' W
                      (D), that of the errors is e' W^T and e V^T (2 D), and that of the weight
                      gradients is x^T e' (W) and x'^T e (D; the first inputs have no tangent)

Everything else (gates, softmax, agents, optimiser) is left out, and so are the forward passes that
a replay of the samples would repeat if the sampler kept its gates: `Flops.least` leaves them out,
`Flops.total` counts them.
"""

from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np

from benchmarks.workloads.meta_workload import MetaWorkload
from mermaide_jax import errors
from mermaide_jax.throughput.timing import Run, compile_program

Library = Literal["numpy", "jax", "torch"]


class Flops(NamedTuple):
    """FLOPs of the matrix products of one meta-step, by part."""

    sampling: int
    inner: int
    hessian_vector: int
    outer: int
    replay: int
    """The forward passes in ``inner`` and ``outer``, which repeat those of ``sampling``."""

    @property
    def total(self) -> int:
        """With the forward passes of the two losses."""
        return self.sampling + self.inner + self.hessian_vector + self.outer

    @property
    def least(self) -> int:
        """Without them: the sampler keeps what the backward passes need."""
        return self.total - self.replay


def meta_step_flops(work: MetaWorkload) -> Flops:
    """Counts the matrix products of one meta-step; the formula stands at the top of the module.

    One-hot inputs count as dense. Adaptation moves every parameter by one step of SGD.
    """
    gates = 3 * work.features
    rows = work.num_tasks * work.episodes * work.horizon
    first = sum(2 * gates * inputs for inputs in work.inputs.values())
    upper = 2 * gates * work.features * (2 * work.num_layers - 1)
    read_out = sum(2 * work.features * outputs for outputs in work.outputs.values())
    back = rows * (len(work.inputs) * upper + read_out)
    forward = rows * first + back
    gradient = 2 * forward + back
    second = 2 * forward + 4 * back if work.order == "second" else 0
    return Flops(2 * forward, gradient, second, gradient, 2 * forward)


def gemm(*, library: Library = "numpy", size: int = 1024, products: int = 4) -> Run:
    """Contender: square float32 products, whose rate is the machine's for matrix products.

    Its facts hold ``flops``, those of one run. The best of the libraries is the machine's rate.

    Args:
      library: numpy (whatever BLAS it was built with), jax or torch.
      size: rows and columns.
      products: products in one run, each on the result of the one before.

    Raises:
      ConfigError: an option out of its range.
    """
    errors.check_choice("library", library, get_args(Library))
    errors.check_at_least("size", size, 1)
    errors.check_at_least("products", products, 1)
    rng = np.random.default_rng(0)
    matrix = np.linalg.qr(rng.normal(size=(size, size)))[0].astype(np.float32)
    flops = {"flops": products * 2 * size**3}

    def chain(x: Any) -> Any:
        product = x
        for _ in range(products):
            product = product @ x
        return product[0, 0]

    if library == "jax":
        x = jnp.asarray(matrix)
        program = compile_program(chain, x)
        return Run(lambda: float(program.call(x)), **program.facts | flops)
    if library == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        torch.set_num_threads(1)
        matrix = torch.from_numpy(matrix)
    return Run(lambda: float(chain(matrix)), **flops)
