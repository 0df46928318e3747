"""Two GRU layers over whole sequences in straightforward JAX: Flax's cells in one scan."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import meta_workload, problem
from benchmarks.workloads.ours import Part, differentiated
from mermaide_jax.throughput.timing import Run, compile_program


class _Cells(nn.Module):
    """One step of two cells, each reading the one below."""

    features: int

    @nn.compact
    def __call__(self, carry, inputs):
        hidden = []
        for before in carry:
            after, inputs = nn.GRUCell(self.features)(before, inputs)
            hidden.append(after)
        return tuple(hidden), inputs


def flax_cells(
    part: Part, batch: int = 15, horizon: int = 200, inputs: int = 31, features: int = 128
) -> Run:
    """``vmap`` over sequences of a scan over steps; arguments as of `ours.gru`."""
    cells = _Cells(features)
    sequence = jnp.asarray(
        problem.generator(1).standard_normal((batch, horizon, inputs), np.float32)
    )
    carry = (jnp.zeros(features),) * 2
    layers = problem.gru_layers(inputs, features)
    params = {
        f"GRUCell_{number}": meta_workload.cell_of(
            layer["input"], layer["bias"], layer["recurrent"], layer["candidate_bias"]
        )
        for number, layer in enumerate(jax.tree.map(jnp.asarray, layers))
    }

    def loss(params, sequence):
        step: Any = functools.partial(cells.apply, {"params": params})
        unroll: Any = lambda inputs: jax.lax.scan(step, carry, inputs)[1]  # noqa: E731
        return jnp.mean(jnp.square(jax.vmap(unroll)(sequence)))

    program = compile_program(differentiated(loss, part), params, sequence)
    return Run(lambda: float(program.call(params, sequence)), **program.facts)
