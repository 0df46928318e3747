"""Meta-SGD: learned rates against closed forms, finite differences, and where they must end."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from mermaide_jax.errors import ConfigError
from mermaide_jax.meta import (
    MetaSGDParams,
    init_meta_sgd,
    inner_loop,
    maml_gradient,
    meta_gradient,
    meta_sgd,
    sgd_with_rates,
    with_inner_rate,
)
from mermaide_jax.meta.meta_sgd import RATE_SCALE

RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(2, 3)), "b": RNG.normal(size=2)}
SUPPORT, QUERY = ((RNG.normal(size=(5, 3)), RNG.normal(size=(5, 2))) for _ in range(2))
PER = [False, True]


def loss(params, data):
    inputs, labels = data
    return jnp.mean((jnp.tanh(inputs @ params["w"].T + params["b"]) - labels) ** 2)


def rates(per_parameter, seed=1):
    """Rates of each leaf or parameter, all different."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: rng.uniform(0.1, 1.0, x.shape if per_parameter else ()), PARAMS)


def meta_params(per_parameter):
    """In double precision, with the logarithms of `rates`."""
    return MetaSGDParams(
        PARAMS, jax.tree.map(lambda r: np.log(r) / RATE_SCALE, rates(per_parameter))
    )


def bounded(gradient, longest):
    """The gradient as the step takes it, of all leaves together."""
    length = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(gradient)))
    factor = 1.0 if longest is None else 1 / np.sqrt(1 + (length / longest) ** 2)
    return jax.tree.map(lambda g: g * factor, gradient)


@pytest.mark.parametrize("longest", [None, 10.0, 0.05])
@pytest.mark.parametrize("per_parameter", PER)
@pytest.mark.parametrize("num_steps", [1, 3])
def test_steps_are_those_of_the_closed_form(num_steps, per_parameter, longest, x64):
    """``theta - rate * g / sqrt(1 + |g|^2 / G^2)``, each leaf or parameter at its own rate."""
    adapt = meta_sgd(loss, num_steps, longest_gradient=longest)
    adapted, expected = adapt(meta_params(per_parameter), SUPPORT), PARAMS
    for _ in range(num_steps):
        gradient = bounded(jax.grad(loss)(expected, SUPPORT), longest)
        expected = jax.tree.map(lambda p, r, g: p - r * g, expected, rates(per_parameter), gradient)
    for name in PARAMS:
        np.testing.assert_allclose(adapted[name], expected[name], rtol=1e-10)
        assert np.abs(adapted[name] - PARAMS[name]).max() > 1e-4


def test_a_bounded_step_has_a_greatest_length(x64):
    """Whatever the gradient, its length stays below ``G``; short ones are left as they are."""
    zeros = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    optimizer = sgd_with_rates(zeros, longest_gradient=2.0)
    for size in (0.0, 1e-3, 1.0, 1e3, 1e12):
        gradient = {"a": jnp.full(3, 0.6 * size), "b": jnp.full(1, -0.8 * size)}
        step, _ = optimizer.update(gradient, optimizer.init(gradient))
        length = np.linalg.norm(ravel_pytree(step)[0])
        whole = np.linalg.norm(ravel_pytree(gradient)[0])
        np.testing.assert_allclose(length, whole / np.sqrt(1 + whole**2 / 4), rtol=1e-12)
        assert length <= 2.0
        total = lambda g: sum(x.sum() for x in jax.tree.leaves(optimizer.update(g, ())[0]))  # noqa: E731
        derivative = jax.grad(total)
        assert np.isfinite(ravel_pytree(derivative(gradient))[0]).all()


@pytest.mark.parametrize("longest", [None, 0.2])
@pytest.mark.parametrize("num_steps", [1, 2])
@pytest.mark.parametrize("per_parameter", PER)
def test_gradient_in_params_and_rates_equals_finite_differences(
    per_parameter, num_steps, longest, x64
):
    adapt = meta_sgd(loss, num_steps, longest_gradient=longest)
    flat, unravel = ravel_pytree(meta_params(per_parameter))
    flat = np.asarray(flat)
    assert flat.size == 8 + (8 if per_parameter else 2)
    of_flat = jax.jit(lambda x: loss(adapt(unravel(x), SUPPORT), QUERY))
    numeric = [(of_flat(flat + e) - of_flat(flat - e)) / 2e-5 for e in 1e-5 * np.eye(flat.size)]
    gradient = jax.jit(meta_gradient(adapt, loss))(unravel(jnp.asarray(flat)), SUPPORT, QUERY)[1]
    assert isinstance(gradient, MetaSGDParams)
    np.testing.assert_allclose(ravel_pytree(gradient)[0], numeric, rtol=0, atol=1e-8)
    assert all(np.abs(leaf).min() > 1e-6 for leaf in jax.tree.leaves(gradient.log_rates))


def test_first_order_drops_the_hessian_alone(x64):
    """The gradient in the rates stays; that in the params is the plain one after adaptation."""
    first = functools.partial(inner_loop, first_order=True)
    adapt = meta_sgd(loss, make_inner_loop=first)
    meta = meta_params(True)
    gradient = meta_gradient(adapt, loss)(meta, SUPPORT, QUERY)[1]
    plain = jax.grad(loss)(adapt(meta, SUPPORT), QUERY)
    inner = jax.grad(loss)(PARAMS, SUPPORT)
    for name in PARAMS:
        np.testing.assert_allclose(gradient.params[name], plain[name], rtol=1e-10)
        of_rate = -RATE_SCALE * rates(True)[name] * inner[name] * plain[name]
        np.testing.assert_allclose(gradient.log_rates[name], of_rate, rtol=1e-9)


@pytest.mark.parametrize("per_parameter", PER)
def test_all_rates_start_alike_and_equal_plain_sgd(per_parameter):
    params = jax.tree.map(jnp.float32, PARAMS)
    meta = init_meta_sgd(params, 0.3, per_parameter=per_parameter)
    for name, leaf in params.items():
        assert meta.log_rates[name].shape == (leaf.shape if per_parameter else ())
        assert meta.log_rates[name].dtype == jnp.float32
    assert meta.params is params
    expected = inner_loop(loss, optax.sgd(0.3), 2)(params, SUPPORT)
    adapted = meta_sgd(loss, 2)(meta, SUPPORT)
    # Another rate in their place, known or traced.
    other = jax.jit(lambda rate: meta_sgd(loss, 2)(with_inner_rate(meta, rate), SUPPORT))
    faster = inner_loop(loss, optax.sgd(0.7), 2)(params, SUPPORT)
    for name in PARAMS:
        np.testing.assert_allclose(adapted[name], expected[name], rtol=1e-5)
        np.testing.assert_allclose(other(0.7)[name], faster[name], rtol=1e-5)


@pytest.mark.parametrize("longest", [None, 1.0])
@pytest.mark.parametrize("per_parameter", PER)
def test_a_rate_of_zero_does_not_adapt(per_parameter, longest):
    params = jax.tree.map(jnp.float32, PARAMS)
    meta = with_inner_rate(init_meta_sgd(params, 0.3, per_parameter=per_parameter), 0.0)
    adapt = meta_sgd(loss, 3, longest_gradient=longest)
    gradient = meta_gradient(adapt, loss)(meta, SUPPORT, QUERY)[1]
    plain = jax.grad(loss)(params, QUERY)
    for name in PARAMS:
        np.testing.assert_array_equal(adapt(meta, SUPPORT)[name], params[name])
        np.testing.assert_allclose(gradient.params[name], plain[name], rtol=1e-5)
        np.testing.assert_array_equal(gradient.log_rates[name], 0.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_that_no_logarithm_holds_are_refused(rate):
    with pytest.raises(ConfigError, match=rf"^rate: got {rate}, expected a finite number > 0$"):
        init_meta_sgd(PARAMS, rate)


def test_the_learned_rate_is_newtons(x64):
    """One step ends at the centre from anywhere if each rate is one over its curvature."""
    curvature = {"flat": 0.5, "steep": 4.0}

    def quadratic(params, centres):
        return sum(0.5 * h * (params[n] - centres[n]) ** 2 for n, h in curvature.items())

    rng = np.random.default_rng(3)
    centres = {name: rng.normal(size=16) for name in curvature}
    meta = init_meta_sgd({name: jnp.float64(0.3) for name in curvature}, 0.2)
    meta = jax.tree.map(jnp.float64, meta)
    adapt, optimizer = meta_sgd(quadratic), optax.adam(0.03)

    def update(carry, _):
        meta, state = carry
        gradient = maml_gradient(
            adapt, quadratic, lambda adapted, own: own, lambda data: data, meta, centres, centres
        )[1]
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(meta, updates), state), None

    (meta, _), _ = jax.jit(lambda c: jax.lax.scan(update, c, length=1000))(
        (meta, optimizer.init(meta))
    )
    for name, h in curvature.items():
        np.testing.assert_allclose(np.exp(RATE_SCALE * meta.log_rates[name]), 1 / h, rtol=1e-2)
