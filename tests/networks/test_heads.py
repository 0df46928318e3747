"""Networks against plain numpy loops and against Flax's own cell."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from streams import assert_same

from mermaide_jax.networks.heads import GRULayer, GRUStack, MLPHead, RecurrentHead

INPUTS, HIDDEN, OUTPUTS, STEPS = 5, 4, 3, 6
LAYER: Any = GRULayer(HIDDEN)
STACK: Any = GRUStack(HIDDEN, 2)
HEADS = {"gru": RecurrentHead(OUTPUTS, HIDDEN, 2), "mlp": MLPHead(OUTPUTS, HIDDEN)}
ROUNDING = 1e-5


def randomised(params, seed=1):
    """Every leaf drawn anew, so that biases and read-outs that start at zero count."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), params)


def random_params(module, carry, inputs):
    shapes = jax.eval_shape(module.init, jax.random.key(0), carry, inputs)["params"]
    return randomised(shapes)


def sequence(seed=2, *shape):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=shape or (STEPS, INPUTS)), jnp.float32)


@functools.cache
def layer():
    hidden = sequence(3, HIDDEN)
    return random_params(LAYER, hidden, sequence()[0]), hidden


@functools.cache
def head(name):
    module = HEADS[name]
    return module, {"params": random_params(module, module.initial_carry(), sequence()[0])}


def numpy_gru(params, hidden, inputs):
    """Cho et al. (2014), one gate and one step after the other, in double precision."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params["cell"])
    hidden, out = np.asarray(hidden, np.float64), []
    for x in np.asarray(inputs, np.float64):
        of_input = {g: x @ params[f"i{g}"]["kernel"] + params[f"i{g}"]["bias"] for g in "rzn"}
        of_hidden = {g: hidden @ params[f"h{g}"]["kernel"] for g in "rzn"}
        reset, update = (expit(of_input[g] + of_hidden[g]) for g in "rz")
        candidate = np.tanh(of_input["n"] + reset * (of_hidden["n"] + params["hn"]["bias"]))
        hidden = (1 - update) * candidate + update * hidden
        out.append(hidden)
    return np.array(out)


def stepped(module, variables, carry, inputs):
    step, out = jax.jit(module.apply), []
    for x in inputs:
        carry, y = step(variables, carry, x)
        out.append(y)
    return jnp.stack(out)


def test_layer_equals_a_numpy_loop():
    params, hidden = layer()
    out = LAYER.apply({"params": params}, hidden, sequence(), method="unroll")
    np.testing.assert_allclose(out, numpy_gru(params, hidden, sequence()), atol=ROUNDING)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_the_reference_path_unrolls_alike(shape):
    """Flax's cell stepped by a scan, for any batch axes between time and features."""
    params, hidden = layer()
    inputs = sequence(5, STEPS, *shape, INPUTS)
    plain = GRULayer(HIDDEN, "reference")
    ours, theirs = (
        jax.jit(lambda m=m: m.apply({"params": params}, hidden, inputs, method="unroll"))()
        for m in (LAYER, plain)
    )
    assert ours.shape == (STEPS, *shape, HIDDEN)
    assert_same(ours, theirs, ROUNDING)


def test_layer_unrolls_as_it_steps():
    params, hidden = layer()
    unrolled = LAYER.apply({"params": params}, hidden, sequence(), method="unroll")
    for x, expected in zip(sequence(), unrolled, strict=True):
        hidden = LAYER.apply({"params": params}, hidden, x)
        np.testing.assert_allclose(hidden, expected, atol=ROUNDING)


def test_stack_reads_the_layer_below_and_starts_at_zero():
    params = random_params(STACK, STACK.initial_carry(), sequence()[0])
    below = numpy_gru(params["layers_0"], np.zeros(HIDDEN), sequence())
    expected = numpy_gru(params["layers_1"], np.zeros(HIDDEN), below)
    out = STACK.apply({"params": params}, sequence(), method="unroll")
    np.testing.assert_allclose(out, expected, atol=ROUNDING)
    np.testing.assert_allclose(
        stepped(STACK, {"params": params}, STACK.initial_carry(), sequence()), out, atol=ROUNDING
    )
    carry, out = STACK.apply({"params": params}, STACK.initial_carry(), sequence()[0])
    np.testing.assert_allclose(carry[0], below[0], atol=ROUNDING)
    np.testing.assert_array_equal(carry[1], out)


def test_recurrent_head_is_a_linear_reading_of_the_stack():
    module, variables = head("gru")
    params = variables["params"]
    hidden = STACK.apply({"params": params["body"]}, sequence(), method="unroll")
    expected = np.asarray(hidden) @ params["head"]["kernel"] + params["head"]["bias"]
    out = module.apply(variables, sequence(), method="unroll")
    np.testing.assert_allclose(out, expected, atol=ROUNDING)


def test_mlp_head_equals_numpy():
    module, variables = head("mlp")
    body, top = (jax.tree.map(np.asarray, variables["params"][n]) for n in ("body", "head"))
    hidden = np.asarray(sequence()) @ body["kernel"] + body["bias"]
    assert (hidden < 0).any() and (hidden > 0).any()
    expected = np.where(hidden > 0, hidden, 0) @ top["kernel"] + top["bias"]
    out = module.apply(variables, sequence(), method="unroll")
    np.testing.assert_allclose(out, expected, atol=ROUNDING)


@pytest.mark.parametrize("name", HEADS)
def test_heads_unroll_as_they_step(name):
    module, variables = head(name)
    unrolled = module.apply(variables, sequence(), method="unroll")
    single = stepped(module, variables, module.initial_carry(), sequence())
    assert unrolled.shape == (STEPS, OUTPUTS)
    np.testing.assert_allclose(single, unrolled, atol=ROUNDING)


@pytest.mark.parametrize("name", HEADS)
def test_only_the_recurrent_head_remembers(name):
    module, variables = head(name)
    other = sequence().at[0].add(1.0)
    first, second = (module.apply(variables, x, method="unroll") for x in (sequence(), other))
    assert not np.allclose(first[0], second[0])
    assert np.array_equal(first[1:], second[1:]) == (name == "mlp")
    future = module.apply(variables, sequence().at[-1].add(1.0), method="unroll")
    np.testing.assert_array_equal(future[:-1], first[:-1])


@pytest.mark.parametrize("name", HEADS)
def test_jit_equals_eager_and_vmap_equals_loop(name):
    module, variables = head(name)
    unroll = lambda x: module.apply(variables, x, method="unroll")  # noqa: E731
    many = sequence(4, 3, STEPS, INPUTS)
    batched = jax.jit(jax.vmap(unroll))(many)
    for x, expected in zip(many, batched, strict=True):
        assert_same(unroll(x), expected, ROUNDING)


def test_recurrent_gates_start_orthogonal_and_different():
    params = jax.jit(LAYER.init)(jax.random.key(0), jnp.zeros(HIDDEN), sequence()[0])["params"]
    gates = [np.asarray(params["cell"][name]["kernel"]) for name in ("hr", "hz", "hn")]
    for gate in gates:
        np.testing.assert_allclose(gate @ gate.T, np.eye(HIDDEN), atol=ROUNDING)
    for i in range(3):
        assert np.abs(gates[i] - gates[i - 1]).max() > 0.1


@pytest.mark.parametrize("name", HEADS)
def test_every_output_is_as_likely_before_training(name):
    module = HEADS[name]
    params = jax.jit(module.init)(jax.random.key(0), module.initial_carry(), sequence()[0])
    out = module.apply(params, 10 * sequence(), method="unroll")
    np.testing.assert_array_equal(out, np.zeros((STEPS, OUTPUTS)))
    # Yet the read-out learns from the first step on: what it reads is not zero.
    total = lambda p: module.apply(p, sequence(), method="unroll")[:, 0].sum()  # noqa: E731
    grads = jax.jit(jax.grad(total))(params)
    assert np.abs(grads["params"]["head"]["kernel"]).max() > 1e-3


def test_published_sizes():
    """Two layers of 128 units: shapes and number of params, counted by hand."""
    module, num_inputs = RecurrentHead(num_outputs=10), 21
    carry = jax.eval_shape(module.initial_carry)
    assert [h.shape for h in carry] == [(128,), (128,)]
    params = jax.eval_shape(module.init, jax.random.key(0), carry, jnp.zeros(num_inputs))["params"]
    assert jax.tree.map(lambda x: x.shape, params) == {
        "body": {
            f"layers_{i}": {
                "cell": {
                    "ir": {"kernel": (size, 128), "bias": (128,)},
                    "iz": {"kernel": (size, 128), "bias": (128,)},
                    "in": {"kernel": (size, 128), "bias": (128,)},
                    "hr": {"kernel": (128, 128)},
                    "hz": {"kernel": (128, 128)},
                    "hn": {"kernel": (128, 128), "bias": (128,)},
                }
            }
            for i, size in enumerate((num_inputs, 128))
        },
        "head": {"kernel": (128, 10), "bias": (10,)},
    }
    # Three gates with a bias each and the candidate's second one, twice; then the read-out.
    by_hand = 3 * 128 * (21 + 128 + 1) + 128 + 3 * 128 * (128 + 128 + 1) + 128 + 129 * 10
    assert sum(x.size for x in jax.tree.leaves(params)) == by_hand


@pytest.mark.parametrize("name", HEADS)
def test_params_are_single_precision_unless_made_double(name, x64):
    module = HEADS[name]
    inputs = sequence()
    carry = module.initial_carry()
    params = jax.eval_shape(module.init, jax.random.key(0), carry, inputs[0])
    assert {leaf.dtype for leaf in jax.tree.leaves((params, carry))} == {jnp.dtype("float32")}
    unroll = lambda p: module.apply(p, inputs, method="unroll")  # noqa: E731
    assert jax.eval_shape(unroll, params).dtype == jnp.float32
    double = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float64), params)
    assert jax.eval_shape(unroll, double).dtype == jnp.float64


def test_double_precision_equals_numpy_to_the_last_digits(x64):
    params, hidden = (jax.tree.map(lambda x: x.astype(jnp.float64), part) for part in layer())
    inputs = sequence().astype(jnp.float64)
    out = LAYER.apply({"params": params}, hidden.astype(jnp.float32), inputs, method="unroll")
    expected = numpy_gru(params, hidden, inputs)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-13)
