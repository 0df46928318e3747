"""The recurrence with derivatives by hand, against Flax's cell, stepped and differentiated."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from streams import assert_same

from benchmarks.guard.counting import count_traced
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.gru.gru import (
    Gates,
    GRUWeights,
    affine,
    gru_states,
    step_gru,
    unroll_gru,
)

pytestmark = pytest.mark.exact

STEPS, INPUTS, HIDDEN = 5, 3, 4
DRAWS = {"single": (jnp.float32, 2e-5), "double": (jnp.float64, 1e-12)}


def reference(params, inputs, initial):
    """One step after the other, as Flax defines them."""
    cell = nn.GRUCell(HIDDEN, param_dtype=inputs.dtype, parent=None)
    return jax.lax.scan(lambda h, x: cell.apply({"params": params}, h, x), initial, inputs)[1]


def in_place(params, inputs, initial):
    return unroll_gru(params, inputs, initial, "in_place")


def from_record(params, inputs, initial):
    """Steps taken one by one, and what is made of them knowing their activations alone."""
    activations = jax.lax.scan(lambda h, x: step_gru(params, h, x), initial, inputs)[1]
    return unroll_gru(params, inputs, initial, activations=activations)


def draw(seed, shape, dtype):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def arguments(batch=(2,), dtype=jnp.float32, seed=0):
    shapes = jax.eval_shape(
        nn.GRUCell(HIDDEN).init, jax.random.key(0), jnp.zeros(HIDDEN), jnp.zeros(INPUTS)
    )["params"]
    leaves, treedef = jax.tree.flatten(shapes)
    params = treedef.unflatten([draw(seed * 100 + i, x.shape, dtype) for i, x in enumerate(leaves)])
    return (
        params,
        draw(seed + 1, (STEPS, *batch, INPUTS), dtype),
        draw(seed + 2, (*batch, HIDDEN), dtype),
    )


def loss(unroll, weights, arguments):
    """Not linear in the states, so that second derivatives see the cotangents move."""
    return jnp.sum(jnp.sin(unroll(*arguments) * weights))


def derivatives(unroll, weights, arguments, direction):
    """Value, gradient, and the Hessian-vector product in both modes."""
    of = functools.partial(loss, unroll, weights)
    value, gradient = jax.value_and_grad(of)(arguments)
    forward = jax.jvp(jax.grad(of), (arguments,), (direction,))[1]

    def along(arguments):
        parts = jax.tree.map(jnp.vdot, jax.grad(of)(arguments), direction)
        return sum(jax.tree.leaves(parts))

    return value, gradient, forward, jax.grad(along)(arguments)


@pytest.mark.parametrize("precision", DRAWS)
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("unrolled", [unroll_gru, in_place, from_record])
def test_value_gradient_and_hessian_equal_those_of_the_stepped_cell(
    unrolled, batch, precision, x64
):
    dtype, tolerance = DRAWS[precision]
    point, direction = arguments(batch, dtype), arguments(batch, dtype, seed=7)
    weights = draw(3, (STEPS, *batch, HIDDEN), dtype)
    ours, theirs = (
        jax.jit(functools.partial(derivatives, unroll))(weights, point, direction)
        for unroll in (unrolled, reference)
    )
    for mine, expected in zip(ours, theirs, strict=True):
        mine, expected = ravel_pytree(mine)[0], ravel_pytree(expected)[0]
        assert mine.dtype == expected.dtype == dtype
        scale = np.abs(expected).max()
        np.testing.assert_allclose(mine, expected, rtol=0, atol=tolerance * scale)
    np.testing.assert_allclose(  # both modes of the same product
        ravel_pytree(ours[2])[0], ravel_pytree(ours[3])[0], rtol=0, atol=tolerance * scale
    )


@pytest.mark.parametrize("unrolled", [unroll_gru, in_place, from_record])
def test_third_derivatives_too(unrolled, x64):
    """Nothing in the rules hides a dependence: the Hessian has the right derivative as well."""
    weights = draw(3, (STEPS, HIDDEN), jnp.float64)
    point, direction = arguments((), jnp.float64), arguments((), jnp.float64, seed=7)

    def third(unroll, arguments):
        of = functools.partial(loss, unroll, weights)
        curvature = lambda a: sum(  # noqa: E731
            jax.tree.leaves(
                jax.tree.map(jnp.vdot, jax.jvp(jax.grad(of), (a,), (direction,))[1], direction)
            )
        )
        return ravel_pytree(jax.grad(curvature)(arguments))[0]

    ours, theirs = (jax.jit(functools.partial(third, u))(point) for u in (unrolled, reference))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max())


@pytest.mark.parametrize("unrolled", [unroll_gru, in_place, from_record])
def test_weights_of_their_own_under_vmap(unrolled):
    """Every member of a batch of cells has the gradient it would have alone."""
    members = [arguments((2,), seed=s) for s in (0, 20)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *members)
    weights = draw(3, (STEPS, 2, HIDDEN), jnp.float32)
    gradient = jax.grad(functools.partial(loss, unrolled, weights))
    batched = jax.jit(jax.vmap(gradient))(stacked)
    for i, member in enumerate(members):
        assert_same(jax.jit(gradient)(member), jax.tree.map(lambda x, i=i: x[i], batched), 1e-5)


def test_with_a_record_no_step_is_taken_anew():
    """The activations is believed: the inputs and the initial state have no say in the value."""
    params, inputs, initial = arguments()
    step = lambda h, x: step_gru(params, h, x)  # noqa: E731
    stepped, activations = (
        reference(params, inputs, initial),
        jax.lax.scan(step, initial, inputs)[1],
    )
    for told in (inputs, jnp.zeros_like(inputs)):
        np.testing.assert_allclose(
            unroll_gru(params, told, initial, activations=activations),
            np.asarray(stepped),
            rtol=1e-5,
            atol=1e-6,
        )
    weights = draw(3, (STEPS, 2, HIDDEN), jnp.float32)
    recalled = lambda *a: unroll_gru(*a, activations=activations)  # noqa: E731
    of = functools.partial(loss, recalled, weights)
    linearised = lambda a: jax.linearize(jax.grad(of), a)[1](a)  # noqa: E731
    for function, loops in ((of, 0), (jax.grad(of), 1), (linearised, 3)):
        jaxpr = jax.make_jaxpr(function)((params, inputs, initial)).jaxpr
        assert sum(e.primitive.name == "scan" for e in every_equation(jaxpr)) == loops


def test_a_record_of_other_shapes_is_refused():
    params, inputs, initial = arguments()
    activations = jax.lax.scan(lambda h, x: step_gru(params, h, x), initial, inputs)[1]
    with pytest.raises(ConfigError, match="activations"):
        unroll_gru(params, inputs[:3], initial, activations=activations)


def test_twice_in_reverse_mode_the_work_grows_with_the_steps_and_no_faster():
    def work(steps, unroll):
        params, inputs, initial = arguments()
        inputs = jnp.concatenate([inputs] * steps)[:steps]
        of = lambda p: jnp.sum(jnp.sin(unroll(p, inputs, initial)))  # noqa: E731
        squares = lambda p: sum(jnp.vdot(x, x) for x in jax.tree.leaves(jax.grad(of)(p)))  # noqa: E731
        return count_traced(jax.grad(squares), params).elements

    assert work(64, unroll_gru) < 2.2 * work(32, unroll_gru)
    assert work(64, in_place) > 2.2 * work(32, in_place)  # as its docstring says


@pytest.mark.parametrize("implementation", ["auto", "in_place"])
def test_on_a_mesh_as_without(implementation):
    params, inputs, initial = arguments()
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("streams",))
    spec = jax.sharding.PartitionSpec
    of = lambda p, x, h: unroll_gru(p, x, h, implementation)  # noqa: E731
    split = (spec(), spec(None, "streams"), spec("streams"))
    shared = jax.shard_map(of, mesh=mesh, in_specs=split, out_specs=spec(None, "streams"))
    np.testing.assert_allclose(
        jax.jit(shared)(params, inputs, initial), of(params, inputs, initial), rtol=1e-5, atol=1e-6
    )


def test_members_of_a_batch_are_not_copied_transposed():
    """Time stays where it is under `jax.vmap`: no array of all members and steps is turned."""
    params, inputs, initial = (
        jnp.stack([x, x, x]) if i else x for i, x in enumerate(arguments(()))
    )
    weights = draw(3, (STEPS, HIDDEN), jnp.float32)
    one = lambda p, x, h: loss(in_place, weights, (p, x, h))  # noqa: E731
    curved = lambda p, x, h: jax.jvp(lambda q: jax.grad(one)(q, x, h), (p,), (p,))[1]  # noqa: E731
    jaxpr = jax.make_jaxpr(jax.vmap(curved, (None, 0, 0)))(params, inputs, initial).jaxpr
    turned: list[Any] = [e for e in every_equation(jaxpr) if e.primitive.name == "transpose"]
    assert all(e.params["permutation"][0] == 0 for e in turned if e.invars[0].aval.ndim > 2)


def test_a_longer_sequence_begins_with_the_shorter_and_one_step_is_enough():
    params, inputs, initial = arguments()
    whole = unroll_gru(params, inputs, initial)
    for length in (1, 3):
        begun = unroll_gru(params, inputs[:length], initial)
        np.testing.assert_allclose(begun, whole[:length], rtol=1e-5, atol=1e-7)


def test_dtypes_are_promoted_and_the_initial_state_is_broadcast(x64):
    params, inputs, _ = arguments()
    shared = draw(2, (HIDDEN,), jnp.float32)
    out = unroll_gru(params, inputs.astype(jnp.float64), shared)
    assert out.dtype == jnp.float64 and out.shape == (STEPS, 2, HIDDEN)
    expected = unroll_gru(params, inputs, jnp.broadcast_to(shared, (2, HIDDEN)))
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_projected_inputs_may_come_from_anywhere():
    """The lower function serves cells whose inputs are projected elsewhere."""
    params, inputs, initial = arguments()
    kernels = Gates(*(params[name]["kernel"] for name in ("hr", "hz", "hn")))
    projected = Gates(
        *(inputs @ params[n]["kernel"] + params[n]["bias"] for n in ("ir", "iz", "in"))
    )
    weights = GRUWeights(kernels, params["hn"]["bias"])
    assert_same(gru_states(weights, projected, initial), unroll_gru(params, inputs, initial), 1e-6)


def test_affine_has_the_derivatives_of_a_product(x64):
    x, w, b = (draw(i, s, jnp.float64) for i, s in enumerate([(4, 2, 3), (3, 5), (5,)]))
    v = tuple(draw(10 + i, y.shape, jnp.float64) for i, y in enumerate((x, w, b)))
    plain = lambda x, w, b: x @ w + b  # noqa: E731

    def both(layer):
        of = lambda *a: jnp.sum(jnp.sin(layer(*a)))  # noqa: E731
        gradient = jax.grad(of, argnums=(0, 1, 2))
        return of(x, w, b), gradient(x, w, b), jax.jvp(gradient, (x, w, b), v)[1]

    ours, theirs = both(affine), both(plain)
    for mine, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-12, atol=1e-12)


def test_the_derivatives_cost_one_product_a_step_and_no_more():
    """Every loop holds the recurrent products alone: weights' gradients are outside, in bulk."""
    params, inputs, initial = arguments()
    weights = draw(3, (STEPS, 2, HIDDEN), jnp.float32)
    of = functools.partial(loss, unroll_gru, weights)
    hvp = lambda a: jax.jvp(jax.grad(of), (a,), (a,))[1]  # noqa: E731
    linearised = lambda a: jax.linearize(jax.grad(of), a)[1](a)  # noqa: E731
    for function, loops in ((jax.grad(of), 2), (hvp, 4), (linearised, 4)):
        jaxpr = jax.make_jaxpr(function)((params, inputs, initial)).jaxpr
        scans = [e for e in every_equation(jaxpr) if e.primitive.name == "scan"]
        assert len(scans) == loops
        for scan in scans:
            inside = every_equation(scan.params["jaxpr"].jaxpr)
            products = [e for e in inside if e.primitive.name == "dot_general"]
            sizes = [2 * HIDDEN * np.prod(e.outvars[0].aval.shape) for e in products]
            flops = sum(
                2 * np.prod(e.outvars[0].aval.shape) * e.invars[1].aval.shape[0] for e in products
            )
            assert sizes and flops == 2 * 2 * HIDDEN * 3 * HIDDEN


def every_equation(jaxpr):
    """Of a program and of those within it, but for the bodies of scans; each once."""
    for equation in jaxpr.eqns:
        yield equation
        if equation.primitive.name == "scan":
            continue
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)  # a closed program has an open one
            if hasattr(inner, "eqns"):
                yield from every_equation(inner)
