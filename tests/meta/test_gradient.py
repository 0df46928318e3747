"""The gradient with a forward-mode Hessian, against JAX's own gradient in everything it does."""

import jax
import jax.numpy as jnp
import numpy as np
from streams import assert_same

from mermaide_jax.meta import hessian_aware_grad

PARAMS = {"a": jnp.arange(3.0) / 3, "b": jnp.asarray(0.3)}
POINTS = jnp.arange(3.0) + 1.0


def loss(params, points, count, scale=1.0):
    """Not separable, with integer data and data that matter to the Hessian."""
    inside = jnp.sum(jnp.sin(params["a"] * points) ** 3) * jnp.tanh(params["b"] * scale)
    return inside + count * params["b"] ** 2 * jnp.sum(params["a"])


def of_gradient(gradient_of):
    """A function of the gradient, differentiable in params, data and what is closed over."""

    def value(params, points, scale):
        gradient = gradient_of(lambda p, x, n: loss(p, x, n, scale))(params, points, 3)
        return jnp.sum(gradient["a"] ** 2 * points) + gradient["b"] ** 3

    return value


def test_values_and_second_derivatives_in_params_data_and_closures(x64):
    double = jax.tree.map(lambda x: x.astype(jnp.float64), (PARAMS, POINTS, jnp.asarray(0.7)))
    ours, theirs = (
        jax.jit(jax.value_and_grad(of_gradient(g), argnums=(0, 1, 2)))(*double)
        for g in (hessian_aware_grad, jax.grad)
    )
    assert_same(ours, theirs, 1e-12)
    assert all(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(theirs))


def test_it_differentiates_again(x64):
    """A third derivative: through the linearised gradient itself."""
    double = jax.tree.map(lambda x: x.astype(jnp.float64), PARAMS)
    points = POINTS.astype(jnp.float64)

    def third(gradient_of):
        inner = jax.grad(lambda p: of_gradient(gradient_of)(p, points, 1.0))
        total = lambda p: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(inner(p)))  # noqa: E731
        return jax.jit(jax.grad(total))(double)

    assert_same(third(hessian_aware_grad), third(jax.grad), 1e-9)


def test_eager_equals_jit_and_vmap_equals_loop():
    gradient = jax.grad(of_gradient(hessian_aware_grad))
    many = jnp.stack([POINTS, POINTS + 1.0])
    batched = jax.jit(jax.vmap(gradient, (None, 0, None)))(PARAMS, many, 1.0)
    for i, points in enumerate(many):
        mine = jax.tree.map(lambda x, i=i: x[i], batched)
        for alone in (gradient(PARAMS, points, 1.0), jax.jit(gradient)(PARAMS, points, 1.0)):
            np.testing.assert_allclose(alone["a"], mine["a"], rtol=1e-4)
            np.testing.assert_allclose(alone["b"], mine["b"], rtol=1e-4)


def test_leaves_that_do_not_depend_on_the_data_count_once_under_vmap(x64):
    """The gradient in y does not see the points, so that its batch is one value for all."""
    loss = lambda p, s: jnp.sum(jnp.sin(p["x"] * s) + p["y"] ** 2 * p["x"])  # noqa: E731
    params = {"x": jnp.arange(3.0) / 3, "y": jnp.full(3, 0.3)}
    points = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))

    def total(gradient_of):
        each = jax.vmap(gradient_of(loss), (None, 0))
        squares = lambda p: sum(jnp.sum(g**2) for g in jax.tree.leaves(each(p, points)))  # noqa: E731
        return jax.grad(squares)(params)

    assert_same(total(hessian_aware_grad), total(jax.grad), 1e-12)


def test_the_tangent_pass_costs_two_gradients():
    """Products in the whole: one gradient (three a layer) and its tangent (twice that)."""
    weights, points = jnp.ones((4, 4)), jnp.ones((5, 4))
    loss = lambda w, x: jnp.sum(jnp.tanh(x @ w))  # noqa: E731

    def products(function):
        text = str(jax.make_jaxpr(function)(weights))
        return text.count("dot_general")

    gradient = products(lambda w: jax.grad(loss)(w, points))
    pulled = products(lambda w: jax.vjp(lambda w: hessian_aware_grad(loss)(w, points), w)[1](w))
    assert gradient == 2  # nothing asks for the gradient in the points
    assert pulled <= 3 * gradient + 2  # data are differentiated too, until XLA drops what is unused
