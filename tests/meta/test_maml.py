"""Meta-gradients against closed forms and against central finite differences."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from mermaide_jax.meta import inner_loop, maml_gradient, maml_loss, meta_gradient

RATE = 0.05
RNG = np.random.default_rng(0)


def positive():
    root = RNG.normal(size=(3, 3))
    return root @ root.T + np.eye(3)


THETA = RNG.normal(size=3)
ADAPTATION = (positive(), RNG.normal(size=3))
EVALUATION = (positive(), RNG.normal(size=3))


def quadratic(theta, data):
    hessian, centre = data
    return 0.5 * (theta - centre) @ hessian @ (theta - centre)


def closed_form(num_steps, first_order=False):
    """``L`` and ``(I - alpha H)^j H' (theta_j - c')``."""
    (inner, centre), (outer, goal) = ADAPTATION, EVALUATION
    power = np.linalg.matrix_power(np.eye(3) - RATE * inner, num_steps)
    error = centre + power @ (THETA - centre) - goal
    gradient = outer @ error
    return 0.5 * error @ gradient, gradient if first_order else power @ gradient


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_value_and_gradient_on_a_quadratic(num_steps, first_order, x64):
    adapt = inner_loop(quadratic, optax.sgd(RATE), num_steps, first_order=first_order)
    loss = jax.jit(jax.value_and_grad(maml_loss(adapt, quadratic)))
    value, gradient = loss(THETA, ADAPTATION, EVALUATION)
    expected_value, expected = closed_form(num_steps, first_order)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11)


def mlp_loss(params, data):
    inputs, labels = data
    for weight, bias in params[:-1]:
        inputs = jnp.tanh(inputs @ weight + bias)
    weight, bias = params[-1]
    return jnp.mean(jnp.square((inputs @ weight + bias)[:, 0] - labels))


def mlp_params(sizes=(2, 3, 1)):
    rng = np.random.default_rng(1)
    return [(rng.normal(size=(i, o)), rng.normal(size=o)) for i, o in itertools.pairwise(sizes)]


def regression_data(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, 2)), rng.normal(size=5)


def mlp_maml(optimizer, num_steps, first_order=False):
    adapt = inner_loop(mlp_loss, optimizer, num_steps, first_order=first_order)
    return adapt, maml_loss(adapt, mlp_loss)


@pytest.mark.parametrize(
    ("optimizer", "num_steps"),
    [(optax.sgd(0.1), 1), (optax.adam(0.1, eps_root=1e-6), 2)],
    ids=["sgd", "adam"],
)
def test_gradient_equals_finite_differences_on_a_network(optimizer, num_steps, x64):
    _, loss = mlp_maml(optimizer, num_steps)
    params, data = mlp_params(), (regression_data(2), regression_data(3))
    flat, unravel = ravel_pytree(params)
    flat = np.asarray(flat)
    of_flat = jax.jit(lambda x: loss(unravel(x), *data))
    step = 1e-5 * np.eye(flat.size)
    numeric = [(of_flat(flat + e) - of_flat(flat - e)) / 2e-5 for e in step]
    gradient = jax.jit(jax.grad(of_flat))(flat)
    assert np.linalg.norm(gradient - np.array(numeric)) < 1e-6 * np.linalg.norm(gradient)


def test_first_order_is_the_plain_gradient_at_the_adapted_params(x64):
    params, support, query = mlp_params(), regression_data(2), regression_data(3)
    gradients = {}
    for first_order in (False, True):
        adapt, loss = mlp_maml(optax.sgd(0.1), 2, first_order)
        gradients[first_order] = ravel_pytree(jax.jit(jax.grad(loss))(params, support, query))[0]
    adapted = jax.jit(adapt)(params, support)
    plain = ravel_pytree(jax.grad(mlp_loss)(adapted, query))[0]
    np.testing.assert_allclose(gradients[True], plain, rtol=1e-12)
    difference = np.linalg.norm(gradients[False] - plain)
    assert difference > 0.1 * np.linalg.norm(plain)


def test_vmap_over_tasks_equals_a_loop():
    _, loss = mlp_maml(optax.sgd(0.1), 1)
    single = jnp.float32
    params = jax.tree.map(single, mlp_params())
    tasks = [
        jax.tree.map(single, (regression_data(2 + i), regression_data(9 + i))) for i in range(3)
    ]
    gradient = jax.jit(jax.grad(loss))
    expected = [ravel_pytree(gradient(params, *task))[0] for task in tasks]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *tasks)

    def mean_loss(params, support, query):
        return jnp.mean(jax.vmap(functools.partial(loss, params))(support, query))

    batched = ravel_pytree(jax.jit(jax.grad(mean_loss))(params, *stacked))[0]
    np.testing.assert_allclose(batched, np.mean(expected, axis=0), rtol=1e-4, atol=1e-6)


def test_meta_training_finds_the_params_that_adapt_best(x64):
    """Quadratics with the same Hessian: the best start is the mean of the centres."""
    hessian, centres = ADAPTATION[0], np.random.default_rng(1).normal(size=(6, 3))
    loss = maml_loss(inner_loop(quadratic, optax.sgd(RATE)), quadratic)

    def mean_loss(theta):
        return jnp.mean(jax.vmap(lambda c: loss(theta, (hessian, c), (hessian, c)))(centres))

    # The objective is quadratic in theta, so one Newton step from anywhere ends at its minimum.
    hessian_of, gradient_of = jax.jit(jax.hessian(mean_loss)), jax.jit(jax.grad(mean_loss))
    newton = THETA - np.linalg.solve(hessian_of(THETA), gradient_of(THETA))
    np.testing.assert_allclose(newton, centres.mean(0), rtol=1e-9)


# --- the gradient for given data ------------------------------------------------------------------


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_meta_gradient_on_a_quadratic(num_steps, first_order, x64):
    adapt = inner_loop(quadratic, optax.sgd(RATE), num_steps, first_order=first_order)
    value, gradient = jax.jit(meta_gradient(adapt, quadratic))(THETA, ADAPTATION, EVALUATION)
    expected_value, expected = closed_form(num_steps, first_order)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11)


@pytest.mark.parametrize("minibatches", [False, True])
def test_meta_gradient_equals_finite_differences(minibatches, x64):
    """On a network, of params of any structure; also through a stream of minibatches."""
    support = [regression_data(2), regression_data(4)]
    support = jax.tree.map(lambda *x: np.stack(x), *support) if minibatches else support[0]
    adapt = inner_loop(mlp_loss, optax.sgd(0.1), 2, minibatches=minibatches)
    query = regression_data(3)
    flat, unravel = ravel_pytree(mlp_params())
    flat = np.asarray(flat)
    of_flat = jax.jit(lambda x: mlp_loss(adapt(unravel(x), support), query))
    numeric = [(of_flat(flat + e) - of_flat(flat - e)) / 2e-5 for e in 1e-5 * np.eye(flat.size)]
    value, gradient = jax.jit(meta_gradient(adapt, mlp_loss))(mlp_params(), support, query)
    assert jax.tree.structure(gradient) == jax.tree.structure(mlp_params())
    np.testing.assert_allclose(value, of_flat(flat), rtol=1e-12)
    gradient = ravel_pytree(gradient)[0]
    assert np.linalg.norm(gradient - np.array(numeric)) < 1e-6 * np.linalg.norm(gradient)


def test_meta_gradient_hands_on_what_else_the_loss_gives(x64):
    def with_error(params, data):
        return mlp_loss(params, data), {"first": params[0][1]}

    adapt = inner_loop(mlp_loss, optax.sgd(0.1))
    data = regression_data(2), regression_data(3)
    (value, aux), gradient = meta_gradient(adapt, with_error, has_aux=True)(mlp_params(), *data)
    expected, plain = meta_gradient(adapt, mlp_loss)(mlp_params(), *data)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(aux["first"], adapt(mlp_params(), data[0])[0][1], rtol=1e-12)
    np.testing.assert_allclose(ravel_pytree(gradient)[0], ravel_pytree(plain)[0], rtol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_one_adapt_serves_every_form(first_order, x64):
    """`maml_loss`, `meta_gradient` and `maml_gradient` give the same numbers for the same data."""
    adapt, loss = mlp_maml(optax.sgd(0.1), 2, first_order)
    params, number = mlp_params(), 3
    stack = lambda first: jax.tree.map(  # noqa: E731
        lambda *x: np.stack(x), *[regression_data(first + i) for i in range(number)]
    )
    support, query = stack(2), stack(9)
    mapped = lambda f: jax.jit(jax.vmap(f, (None, 0, 0)))(params, support, query)  # noqa: E731
    values, gradients = mapped(meta_gradient(adapt, mlp_loss))
    np.testing.assert_allclose(mapped(loss), values, rtol=1e-12)
    mean_value, mean_gradient, played = jax.jit(
        lambda p: maml_gradient(
            adapt, mlp_loss, lambda adapted, query: query, lambda data: data, p, support, query
        )
    )(params)
    np.testing.assert_allclose(mean_value, np.mean(values), rtol=1e-12)
    for one, other in zip(jax.tree.leaves(mean_gradient), jax.tree.leaves(gradients), strict=True):
        np.testing.assert_allclose(one, other.mean(0), rtol=1e-9, atol=1e-14)
    np.testing.assert_array_equal(played[0], query[0])
