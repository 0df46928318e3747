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

Known products over all steps keep the gates side by side, in the order r, z, n; inside the loops
each gate has an array of its own, because XLA's CPU code for ``tanh`` of a slice of a product is
several times slower than for ``tanh`` of a whole array.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class GRUWeights(NamedTuple):
    """The recurrent weights of one layer.

    Attributes:
      kernel: ``[H, 3H]``, ``U_r, U_z, U_n`` side by side.
      bias: ``[H]``, ``d``: the bias that the reset gate multiplies.
    """

    kernel: jax.Array
    bias: jax.Array


def unroll_gru(params: Any, inputs: jax.Array, initial: jax.Array) -> jax.Array:
    """What a Flax ``nn.GRUCell`` says to known sequences, ``h_1 .. h_T``.

    The same values and gradients as stepping the cell by `jax.lax.scan`, several times cheaper to
    differentiate, above all twice; the equations are at the top of the module.

    Args:
      params: the cell's params, as ``nn.GRUCell`` names them (``ir``, ``iz``, ``in``, ``hr``,
        ``hz``, ``hn``).
      inputs: ``[T, ..., I]``, time first, then any batch axes.
      initial: ``[..., H]`` hidden state before the first step.

    Returns:
      ``[T, ..., H]``.
    """
    side_by_side = lambda part, names: jnp.concatenate(  # noqa: E731
        [params[name][part] for name in names], axis=-1
    )
    names = ("ir", "iz", "in")
    projected = affine(inputs, side_by_side("kernel", names), side_by_side("bias", names))
    kernel = side_by_side("kernel", ("hr", "hz", "hn"))
    return gru_states(GRUWeights(kernel, params["hn"]["bias"]), projected, initial)


@jax.custom_vjp
def affine(inputs: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """``x W + b`` of ``[..., I]``, ``[I, O]`` and ``[O]``.

    A dense layer whose weight gradient is ``x^T g`` over all batch axes at once. JAX's own rule
    gives the transpose of ``g^T x``, for which XLA on CPU copies ``g`` transposed.
    """
    return inputs @ kernel + bias


def _affine_forward(inputs, kernel, bias):
    return inputs @ kernel + bias, (inputs, kernel)


def _affine_backward(residuals, cotangents):
    inputs, kernel = residuals
    of_bias = jnp.sum(cotangents.reshape(-1, cotangents.shape[-1]), axis=0)
    return cotangents @ kernel.T, _sum_of_products(inputs, cotangents), of_bias


affine.defvjp(_affine_forward, _affine_backward)


def gru_states(weights: GRUWeights, projected: jax.Array, initial: jax.Array) -> jax.Array:
    """Hidden states of one layer from projected inputs; the equations are at the module's top.

    Streams that share the weights are best given as batch axes: then weight gradients are one
    product over all steps and streams. Under `jax.vmap` over weights each member has its own.

    Args:
      weights: recurrent weights.
      projected: ``[T, ..., 3H]``, ``p_r, p_z, p_n`` side by side; time first, then any batch axes.
      initial: ``[..., H]`` hidden state before the first step.

    Returns:
      ``[T, ..., H]``, in the promoted dtype of the arguments.

    Differentiable in reverse mode any number of times, and in forward mode over reverse mode
    (``jax.jvp`` of ``jax.grad``); not in forward mode alone, which `jax.custom_vjp` does not offer.
    """
    dtype = jnp.result_type(*weights, projected, initial)
    initial = jnp.broadcast_to(initial, (*projected.shape[1:-1], initial.shape[-1]))
    return _sequence(*jax.tree.map(lambda x: x.astype(dtype), (weights, projected, initial)))


@jax.custom_vjp
def _sequence(weights: GRUWeights, projected: jax.Array, initial: jax.Array) -> jax.Array:
    return _forward(weights, projected, initial)[0]


def _sequence_forward(weights: GRUWeights, projected: jax.Array, initial: jax.Array):
    states, steps = _forward(weights, projected, initial)
    return states, (weights.kernel, steps)


def _sequence_backward(residuals, cotangents: jax.Array):
    kernel, steps = residuals
    at_initial, adjoints = _backward(kernel, steps, cotangents)
    features = kernel.shape[0]
    of_kernel = _sum_of_products(steps.previous, adjoints.products)
    of_bias = jnp.sum(adjoints.products[..., -features:].reshape(-1, features), axis=0)
    return GRUWeights(of_kernel, of_bias), adjoints.projected, at_initial


_sequence.defvjp(_sequence_forward, _sequence_backward)


class _Step(NamedTuple):
    """What a step's Jacobian is made of: ``h_{t-1}, r, z, q, n``, each ``[..., H]``."""

    previous: jax.Array
    reset: jax.Array
    update: jax.Array
    inner: jax.Array
    candidate: jax.Array


class _Adjoint(NamedTuple):
    """Cotangents of one step.

    Attributes:
      state: ``[..., H]``, ``x_t``, of the hidden state.
      products: ``[..., 3H]``, ``C_k x_t``, of the products ``s_k``.
      projected: ``[..., 3H]``, of the projected inputs: the same but for ``c x_t`` in the last.
    """

    state: jax.Array
    products: jax.Array
    projected: jax.Array


def _attribute(step: _Step, state: jax.Array) -> tuple[_Adjoint, jax.Array]:
    """The cotangents that ``x_t`` puts on all of one step, and ``x_t z_t``."""
    _, reset, update, inner, candidate = step
    at_candidate = state * (1.0 - update) * (1.0 - candidate * candidate)
    at_reset = at_candidate * inner * reset * (1.0 - reset)
    at_update = state * (step.previous - candidate) * update * (1.0 - update)
    products = jnp.concatenate([at_reset, at_update, at_candidate * reset], axis=-1)
    projected = jnp.concatenate([at_reset, at_update, at_candidate], axis=-1)
    return _Adjoint(state, products, projected), state * update


def _sum_of_products(left: jax.Array, right: jax.Array) -> jax.Array:
    """``sum left^T right`` over all axes but the last, as one product."""
    left, right = (array.reshape(-1, array.shape[-1]) for array in (left, right))
    return left.T @ right


def _thirds(array: jax.Array) -> list[jax.Array]:
    return jnp.split(array, 3, axis=-1)


@jax.custom_jvp
def _forward(weights: GRUWeights, projected: jax.Array, initial: jax.Array):
    """Hidden states ``[T, ..., H]`` and the `_Step` of every step."""
    kernels = _thirds(weights.kernel)

    def step(hidden: jax.Array, inputs: list[jax.Array]):
        reset, update = (
            jax.nn.sigmoid(p + hidden @ kernel)
            for p, kernel in zip(inputs[:2], kernels[:2], strict=True)
        )
        inner = hidden @ kernels[2] + weights.bias
        candidate = jnp.tanh(inputs[2] + reset * inner)
        following = candidate + update * (hidden - candidate)
        return following, (following, _Step(hidden, reset, update, inner, candidate))

    return jax.lax.scan(step, initial, _thirds(projected))[1]


@_forward.defjvp
def _forward_tangent(primals, tangents):
    weights, projected, initial = primals
    d_weights, d_projected, d_initial = tangents
    states, steps = _forward(weights, projected, initial)
    kernels = _thirds(weights.kernel)
    from_kernel = steps.previous @ d_weights.kernel

    def step(tangent: jax.Array, inputs):
        step, d_projected, from_kernel = inputs
        previous, reset, update, inner, candidate = step
        d_products = [
            tangent @ kernel + known
            for kernel, known in zip(kernels, _thirds(from_kernel), strict=True)
        ]
        d_inputs = _thirds(d_projected)
        d_reset = reset * (1.0 - reset) * (d_inputs[0] + d_products[0])
        d_update = update * (1.0 - update) * (d_inputs[1] + d_products[1])
        d_inner = d_products[2] + d_weights.bias
        d_candidate = (1.0 - candidate * candidate) * (
            d_inputs[2] + d_reset * inner + reset * d_inner
        )
        following = d_candidate + d_update * (previous - candidate)
        following += update * (tangent - d_candidate)
        return following, (following, _Step(tangent, d_reset, d_update, d_inner, d_candidate))

    d_out = jax.lax.scan(step, d_initial, (steps, d_projected, from_kernel))[1]
    return (states, steps), d_out


def _transposed(kernel: jax.Array) -> jax.Array:
    """``[3H, H]``, all ``U_k^T``, made once: a product with a transposed array is slower on CPU."""
    return jnp.concatenate([third.T for third in _thirds(kernel)])


@jax.custom_jvp
def _backward(kernel: jax.Array, steps: _Step, cotangents: jax.Array):
    """What reaches ``h_0``, and the `_Adjoint` of every step."""
    transposed = _transposed(kernel)

    def step(carry: jax.Array, inputs):
        step, cotangent = inputs
        adjoint, kept = _attribute(step, cotangent + carry)
        return kept + adjoint.products @ transposed, adjoint

    return jax.lax.scan(step, jnp.zeros_like(cotangents[0]), (steps, cotangents), reverse=True)


@_backward.defjvp
def _backward_tangent(primals, tangents):
    kernel, steps, cotangents = primals
    d_kernel, d_steps, d_cotangents = tangents
    at_initial, adjoints = _backward(kernel, steps, cotangents)
    transposed = _transposed(kernel)
    from_kernel = adjoints.products @ d_kernel.T

    def step(carry: jax.Array, inputs):
        primals, cotangent, d_step, from_kernel = inputs
        _, (adjoint, kept) = jax.jvp(_attribute, primals, (d_step, cotangent + carry))
        return kept + from_kernel + adjoint.products @ transposed, adjoint

    inputs = ((steps, adjoints.state), d_cotangents, d_steps, from_kernel)
    d_out = jax.lax.scan(step, jnp.zeros_like(at_initial), inputs, reverse=True)
    return (at_initial, adjoints), d_out
