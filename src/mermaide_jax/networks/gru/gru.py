"""The recurrence of gated recurrent units over known sequences, with derivatives by hand.

One GRU layer (Cho et al., 2014; the form of cuDNN and of Flax's ``nn.GRUCell``), with the inputs
projected beforehand, ``p_k = W_k x_t + b_k`` for the gates ``k`` in ``r, z, n``:

    s_k = h_{t-1} U_k                 r = sigmoid(p_r + s_r)        z = sigmoid(p_z + s_z)
    q = s_n + d                       n = tanh(p_n + r q)           h_t = n + z (h_{t-1} - n)

Everything else follows from the step's Jacobian. With

    c = (1 - z)(1 - n^2)    C_r = c q r (1 - r)    C_z = (h_{t-1} - n) z (1 - z)    C_n = c r

perturbations and cotangents obey two linear recurrences that are each other's transpose:

    tangent   y_t     = y_{t-1} z_t + sum_k C_k (y_{t-1} U_k) + b_t
    adjoint   x_{t-1} = x_t z_t     + sum_k (C_k x_t) U_k^T   + g_{t-1}

so a step of either costs one product a gate, and nothing else of the network enters the loops:
``C``, the weight gradient ``dU_k = sum_t h_{t-1}^T (C_k x_t)`` and the injections ``b_t`` are bulk
operations over all steps at once. The adjoint has a tangent rule of its own, so that a
Hessian-vector product in forward mode over this gradient runs the same two loops once more, and two
products for each weight.

Gates are kept in arrays of their own, not side by side: XLA's CPU code for ``tanh`` of a slice is
several times slower than for ``tanh`` of a whole array. Their cotangents stand side by side.

Each of the four loops (forward, adjoint and the tangents of both) is one step function, which
`mermaide_jax.networks.gru.loops` runs as a loop of XLA, in C or as one kernel.
"""

import functools
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from mermaide_jax._jax.operations import replace_operations
from mermaide_jax.errors import refuse
from mermaide_jax.networks.gru import native
from mermaide_jax.networks.gru.loops import Dot, Implementation, Loop, Precision, choose_loop
from mermaide_jax.networks.gru.native import Prepared

T = TypeVar("T")


class Gates(NamedTuple, Generic[T]):
    """One array, or one array of weights, for each gate of a layer."""

    reset: T
    update: T
    candidate: T


class GRUWeights(NamedTuple):
    """The recurrent weights of one layer.

    Attributes:
      kernels: ``U_k``, each ``[H, H]``.
      bias: ``d``, ``[H]``: the bias that the reset gate multiplies.
    """

    kernels: Gates[jax.Array]
    bias: jax.Array


class GRUActivations(NamedTuple):
    """What a step's Jacobian is made of, each ``[..., H]``; of whole sequences with ``[T]`` first.

    Attributes:
      previous: ``h_{t-1}``.
      reset: ``r``.
      update: ``z``.
      inner: ``q``.
      candidate: ``n``.
    """

    previous: jax.Array
    reset: jax.Array
    update: jax.Array
    inner: jax.Array
    candidate: jax.Array


def prepare_gru(params: Any, implementation: Implementation = "auto") -> Prepared | None:
    """Prepares what `step_gru` can go by in place of the params, once for many steps.

    Args:
      params: of a Flax ``nn.GRUCell``.
      implementation: as of `gru_states`.

    Returns:
      The weights as loops in C read them; None if the steps are not made in C.

    Raises:
      ConfigError: as `gru_states` does.

    Example:
      >>> from flax import linen as nn
      >>> cell, hidden = nn.GRUCell(4), jnp.zeros(4)
      >>> params = cell.init(jax.random.key(0), hidden, jnp.ones(3))["params"]
      >>> prepare_gru(params, "scan") is None  # nothing to prepare but for loops in C
      True
    """
    kernels, biases, recurrent = _weights(params)
    dtype = jnp.result_type(*jax.tree.leaves(params))
    loop = choose_loop(implementation, "default", recurrent.bias.shape[-1], dtype)
    if loop.device != "native":
        return None
    return native.prepare(kernels, biases, *recurrent)


def step_gru(
    params: Any, hidden: jax.Array, inputs: jax.Array, prepared: Prepared | None = None
) -> tuple[jax.Array, GRUActivations]:
    """Takes one step of a Flax ``nn.GRUCell``, and keeps the activations that `unroll_gru` takes.

    Args:
      params: the cell's params.
      hidden: ``h_{t-1}``, ``[..., H]``.
      inputs: ``x_t``, ``[..., I]``.
      prepared: of the same params, by `prepare_gru`; then the step is one call of C (in float32; in
        other dtypes it makes no difference).

    Returns:
      ``h_t``, and the activations.

    Example:
      >>> from flax import linen as nn
      >>> cell, hidden = nn.GRUCell(4), jnp.zeros(4)
      >>> params = cell.init(jax.random.key(0), hidden, jnp.ones(3))["params"]
      >>> following, _ = step_gru(params, hidden, jnp.ones(3))
      >>> bool(jnp.allclose(following, cell.apply({"params": params}, hidden, jnp.ones(3))[0]))
      True
    """
    if prepared is not None and jnp.result_type(hidden, inputs) == jnp.float32:
        rows = (x.astype(jnp.float32) for x in (hidden, inputs))
        following, *activations = native.cell(prepared, *rows)
        return following, GRUActivations(*activations)
    kernels, biases, recurrent = _weights(params)
    projected = Gates(*(inputs @ k + b for k, b in zip(kernels, biases, strict=True)))
    return _forward_step(jnp.matmul, recurrent, hidden, projected)[1]


def unroll_gru(
    params: Any,
    inputs: jax.Array,
    initial: jax.Array,
    implementation: Implementation = "auto",
    precision: Precision = "default",
    activations: GRUActivations | None = None,
) -> jax.Array:
    """Runs a Flax ``nn.GRUCell`` over known sequences: ``h_1 .. h_T``.

    The same values and gradients as stepping the cell by `jax.lax.scan`, several times cheaper to
    differentiate, above all twice; the equations are at the top of the module.

    Args:
      params: the cell's params, as ``nn.GRUCell`` names them (``ir``, ``iz``, ``in``, ``hr``,
        ``hz``, ``hn``).
      inputs: ``[T, ..., I]``, time first, then any batch axes.
      initial: ``[..., H]`` hidden state before the first step.
      implementation: of the time loops; see `gru_states`.
      precision: of the recurrent products' operands; see `gru_states`.
      activations: of the same steps, if they were taken before; see `gru_states`.

    Returns:
      ``[T, ..., H]``.

    Raises:
      ConfigError: as `gru_states` does.

    Example:
      >>> from flax import linen as nn
      >>> cell, hidden = nn.GRUCell(4), jnp.zeros(4)
      >>> params = cell.init(jax.random.key(0), hidden, jnp.ones(3))["params"]
      >>> unroll_gru(params, jnp.ones((5, 3)), hidden).shape
      (5, 4)
    """
    kernels, biases, recurrent = _weights(params)
    # One product for all gates is faster than three, above all for the gradient of its weights.
    kernel, bias = (jnp.concatenate(parts, axis=-1) for parts in (kernels, biases))
    projected = Gates(*jnp.split(affine(inputs, kernel, bias), 3, axis=-1))
    return gru_states(recurrent, projected, initial, implementation, precision, activations)


def _weights(params: Any) -> tuple[list[jax.Array], list[jax.Array], GRUWeights]:
    """``W_k``, ``b_k``, and the recurrent weights."""
    into = [params[name] for name in ("ir", "iz", "in")]
    kernels, biases = ([layer[part] for layer in into] for part in ("kernel", "bias"))
    recurrent = Gates(*(params[name]["kernel"] for name in ("hr", "hz", "hn")))
    return kernels, biases, GRUWeights(recurrent, params["hn"]["bias"])


@jax.custom_vjp
def affine(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """Computes ``x W + b``, with a weight gradient ``x^T g`` over all batch axes at once.

    JAX's own rule gives the transpose of ``g^T x``, for which XLA on CPU copies ``g`` transposed.

    Args:
      inputs: ``[..., I]``.
      kernel: ``[I, O]``.
      bias: ``[O]``.

    Returns:
      ``[..., O]``. To be differentiated in reverse mode first: its rule is a ``custom_vjp``, which
      forward mode alone refuses (forward over reverse is fine).

    Example:
      >>> affine(jnp.array([1.0, 2.0]), jnp.eye(2), jnp.array([0.5, 0.5])).tolist()
      [1.5, 2.5]
    """
    return inputs @ kernel + bias


def _affine_forward(inputs, kernel, bias):
    return inputs @ kernel + bias, (inputs, kernel)


def _affine_backward(residuals, cotangents):
    inputs, kernel = residuals
    of_bias = jnp.sum(cotangents.reshape(-1, cotangents.shape[-1]), axis=0)
    return cotangents @ kernel.T, _sum_of_products(inputs, cotangents), of_bias


affine.defvjp(_affine_forward, _affine_backward)


def gru_states(
    weights: GRUWeights,
    projected: Gates[jax.Array],
    initial: jax.Array,
    implementation: Implementation = "auto",
    precision: Precision = "default",
    activations: GRUActivations | None = None,
) -> jax.Array:
    """Computes the hidden states of one layer from projected inputs; equations at the module's top.

    Streams that share the weights are best given as batch axes: then weight gradients are one
    product over all steps and streams. Under `jax.vmap` over weights each member has its own.

    Args:
      weights: recurrent weights.
      projected: ``p_k``, each ``[T, ..., H]``; time first, then any batch axes.
      initial: ``[..., H]`` hidden state before the first step.
      implementation: ``"scan"``, ``"in_place"`` (under `jax.vmap`, if nothing is differentiated
        twice in reverse mode), ``"native"`` (in C, on CPUs), ``"pallas"`` (one kernel for all steps
        of a block of streams), ``"fastest"`` (of those, for what is differentiated in reverse mode
        once), or ``"auto"``: the scan, until the kernel has been measured on an accelerator.
      precision: of the operands of the recurrent products in the loops: ``"default"`` (JAX's own
        on the device), ``"full"``, ``"tf32"``, ``"bf16"``; their errors are in
        docs/explanation/accelerators.md.
      activations: what these very steps were made of, ``[T, ..., H]``, of whoever took them before
        (`step_gru`) with the same weights and inputs; then no step is taken anew, and derivatives
        are the same. Its shapes are checked, the rest is believed.

    Returns:
      ``[T, ..., H]``, in the promoted dtype of the arguments.

    Raises:
      ConfigError: for an unknown name, if ``"pallas"`` or ``"native"`` is asked for where it cannot
        run, or for activations of other shapes.

    Differentiable in reverse mode any number of times (in C or by the kernel: once), and in forward
    mode over reverse mode (``jax.jvp`` of ``jax.grad``); not in forward mode alone, which
    `jax.custom_vjp` does not offer.

    Example:
      >>> zeros = jnp.zeros((2, 3))  # T = 2 steps, H = 3 units
      >>> weights = GRUWeights(Gates(*[jnp.zeros((3, 3))] * 3), jnp.zeros(3))
      >>> gru_states(weights, Gates(zeros, zeros, zeros), jnp.ones(3)).tolist()
      [[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
    """
    dtype = jnp.result_type(*jax.tree.leaves((weights, projected, initial)))
    loop = choose_loop(implementation, precision, projected.reset.shape[-1], dtype)
    initial = jnp.broadcast_to(initial, projected.reset.shape[1:])
    if activations is not None and {x.shape for x in activations} != {projected.reset.shape}:
        shapes = [x.shape for x in activations]
        refuse("activations", shapes, f"arrays of the shape of the inputs, {projected.reset.shape}")
    arguments = (weights, projected, initial, jax.lax.stop_gradient(activations))
    return _sequence(loop, *jax.tree.map(lambda x: x.astype(dtype), arguments))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sequence(
    loop: Loop,
    weights: GRUWeights,
    projected: Gates,
    initial: jax.Array,
    activations: GRUActivations | None = None,
) -> jax.Array:
    if activations is not None:
        return _following(activations)
    # A kernel writes all of its outputs, so it is not to have any that nobody reads.
    return loop(_state_step, weights, initial, projected)[1]


def _sequence_forward(loop: Loop, weights, projected, initial, activations):
    states, steps = _forward(loop, weights, projected, initial, activations)
    return states, (weights.kernels, steps)


def _sequence_backward(loop: Loop, residuals, cotangents: jax.Array):
    kernels, steps = residuals
    at_initial, adjoints = _backward(loop, kernels, steps, cotangents)
    of_kernels = _sum_of_products(steps.previous, _side_by_side(adjoints.products))
    reset, update, _ = at_products = _one_by_one(adjoints.products)
    of_bias = jnp.sum(at_products.candidate, axis=range(cotangents.ndim - 1))
    at_inputs = Gates(reset, update, adjoints.candidate)
    return GRUWeights(_one_by_one(of_kernels), of_bias), at_inputs, at_initial, None


_sequence.defvjp(_sequence_forward, _sequence_backward)


class _Adjoint(NamedTuple):
    """Cotangents of one step.

    Attributes:
      state: ``x_t``, of the hidden state.
      products: ``C_k x_t``, of the products ``s_k`` (and of ``p_r``, ``p_z``); side by side,
        ``[..., 3H]``, or one by one for a kernel.
      candidate: ``c x_t``, of ``p_n``.
    """

    state: jax.Array
    products: Gates[jax.Array] | jax.Array
    candidate: jax.Array


def _side_by_side(gates: Gates[jax.Array] | jax.Array) -> jax.Array:
    """``[..., 3H]``."""
    return jnp.concatenate(gates, axis=-1) if isinstance(gates, Gates) else gates


def _one_by_one(gates: Gates[jax.Array] | jax.Array) -> Gates[jax.Array]:
    return gates if isinstance(gates, Gates) else Gates(*jnp.split(gates, 3, axis=-1))


def _attribute(step: GRUActivations, state: jax.Array) -> tuple[_Adjoint, jax.Array]:
    """The cotangents that ``x_t`` puts on all of one step, and ``x_t z_t``."""
    _, reset, update, inner, candidate = step
    at_candidate = state * (1.0 - update) * (1.0 - candidate * candidate)
    at_products = Gates(
        reset=at_candidate * inner * reset * (1.0 - reset),
        update=state * (step.previous - candidate) * update * (1.0 - update),
        candidate=at_candidate * reset,
    )
    return _Adjoint(state, at_products, at_candidate), state * update


# Not all compilers of kernels know the sum that derivatives are added up by.
_attribute_tangent = replace_operations(
    functools.partial(jax.jvp, _attribute), {"add_any": jnp.add}
)


def _sum_of_products(left: jax.Array, right: jax.Array) -> jax.Array:
    """``sum left^T right`` over all axes but the last, as one product."""
    left, right = (array.reshape(-1, array.shape[-1]) for array in (left, right))
    return left.T @ right


def _forward_step(dot: Dot, weights: GRUWeights, hidden: jax.Array, projected: Gates):
    products = Gates(*(dot(hidden, kernel) for kernel in weights.kernels))
    reset = jax.nn.sigmoid(projected.reset + products.reset)
    update = jax.nn.sigmoid(projected.update + products.update)
    inner = products.candidate + weights.bias
    candidate = jnp.tanh(projected.candidate + reset * inner)
    activations = GRUActivations(hidden, reset, update, inner, candidate)
    following = _following(activations)
    return following, (following, activations)


def _following(activations: GRUActivations) -> jax.Array:
    """``h_t``."""
    candidate = activations.candidate
    return candidate + activations.update * (activations.previous - candidate)


def _state_step(dot: Dot, weights: GRUWeights, hidden: jax.Array, projected: Gates):
    following, _ = _forward_step(dot, weights, hidden, projected)
    return following, following


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _forward(
    loop: Loop,
    weights: GRUWeights,
    projected: Gates,
    initial: jax.Array,
    activations: GRUActivations | None,
):
    """Hidden states ``[T, ..., H]`` and the activations of all steps, known or made here."""
    if activations is not None:
        return _following(activations), activations
    return loop(_forward_step, weights, initial, projected)[1]


def _forward_tangent_step(dot: Dot, weights, tangent: jax.Array, inputs):
    kernels, d_bias = weights
    step, d_projected, from_kernels = inputs
    previous, reset, update, inner, candidate = step
    products = Gates(*(dot(tangent, kernel) for kernel in kernels))
    products = jax.tree.map(jnp.add, products, from_kernels)
    d_reset = reset * (1.0 - reset) * (d_projected.reset + products.reset)
    d_update = update * (1.0 - update) * (d_projected.update + products.update)
    d_inner = products.candidate + d_bias
    d_candidate = (1.0 - candidate * candidate) * (
        d_projected.candidate + d_reset * inner + reset * d_inner
    )
    following = d_candidate + d_update * (previous - candidate)
    following += update * (tangent - d_candidate)
    return following, (following, GRUActivations(tangent, d_reset, d_update, d_inner, d_candidate))


def _unsplit(loop: Loop, step: Any, *arguments: Any, reverse: bool = False):
    """A loop over tangents that stays one loop when it is linearised.

    `jax.linearize` would take what does not depend on tangents out of it, into a loop of its own
    that writes fifteen arrays a step: more to write and read again than to compute.
    """
    run = functools.partial(loop, step, reverse=reverse)
    return jax.checkpoint(run, prevent_cse=False)(*arguments)


@_forward.defjvp
def _forward_tangent(loop: Loop, primals, tangents):
    # The record is the value of what follows from the rest, and so has no tangent of its own.
    weights, projected, initial, activations = primals
    d_weights, d_projected, d_initial, _ = tangents
    states, steps = _forward(loop, weights, projected, initial, activations)
    from_kernels = Gates(*(steps.previous @ kernel for kernel in d_weights.kernels))
    constants, inputs = (weights.kernels, d_weights.bias), (steps, d_projected, from_kernels)
    return (states, steps), _unsplit(loop, _forward_tangent_step, constants, d_initial, inputs)[1]


def _transposed(kernels: Gates) -> jax.Array:
    """``[3H, H]``, all ``U_k^T``."""
    return jnp.concatenate([kernel.T for kernel in kernels])


def _transposed_for(loop: Loop, kernels: Gates) -> Gates[jax.Array] | jax.Array:
    """All ``U_k^T``, made once, outside of the loops: one by one for a kernel."""
    return Gates(*(kernel.T for kernel in kernels)) if loop.is_kernel else _transposed(kernels)


def _through(dot: Dot, transposed: Gates | jax.Array, adjoint: _Adjoint):
    """``sum_k e_k U_k^T`` of the products' cotangents, and these as `_Adjoint` has them.

    On a CPU one long product is quicker than three, and what is side by side for it is needed so
    by the products over all steps, too.
    """
    if isinstance(transposed, Gates):
        reset, update, candidate = (dot(*x) for x in zip(adjoint.products, transposed, strict=True))
        return reset + update + candidate, adjoint
    products = _side_by_side(adjoint.products)
    return dot(products, transposed), adjoint._replace(products=products)


def _backward_step(dot: Dot, transposed: Gates | jax.Array, carry: jax.Array, inputs):
    step, cotangent = inputs
    adjoint, kept = _attribute(step, cotangent + carry)
    passed, adjoint = _through(dot, transposed, adjoint)
    return kept + passed, adjoint


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _backward(loop: Loop, kernels: Gates, steps: GRUActivations, cotangents: jax.Array):
    """What reaches ``h_0``, and the `_Adjoint` of every step."""
    transposed, last = _transposed_for(loop, kernels), jnp.zeros_like(cotangents[0])
    return loop(_backward_step, transposed, last, (steps, cotangents), reverse=True)


def _backward_tangent_step(dot: Dot, transposed: Gates | jax.Array, carry: jax.Array, inputs):
    primals, cotangent, *tangents, injection = inputs
    tangents = (*tangents, cotangent + carry)
    _, (adjoint, kept) = _attribute_tangent(primals, tangents)
    passed, adjoint = _through(dot, transposed, adjoint)
    return kept + injection + passed, adjoint


@_backward.defjvp
def _backward_tangent(loop: Loop, primals, tangents):
    kernels, steps, cotangents = primals
    d_kernels, d_steps, d_cotangents = tangents
    at_initial, adjoints = _backward(loop, kernels, steps, cotangents)
    injection = _side_by_side(adjoints.products) @ _transposed(d_kernels)
    transposed, last = _transposed_for(loop, kernels), jnp.zeros_like(at_initial)
    inputs = ((steps, adjoints.state), d_cotangents, d_steps, injection)
    d_out = _unsplit(loop, _backward_tangent_step, transposed, last, inputs, reverse=True)
    return (at_initial, adjoints), d_out
