"""Inner loops against closed forms on a quadratic, for any optimiser, loss and params tree."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.meta import inner_loop

RATE = 0.1
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(3, 3))
HESSIAN = ROOT @ ROOT.T + np.eye(3)
CENTRE, START = RNG.normal(size=(2, 3))

OPTIMIZERS = {
    "sgd": lambda: optax.sgd(RATE),
    "momentum": lambda: optax.sgd(RATE, momentum=0.8),
    "nesterov": lambda: optax.sgd(RATE, momentum=0.8, nesterov=True),
    "adam": lambda: optax.adam(RATE, eps_root=1e-8),
    "decay": lambda: optax.adamw(RATE, eps_root=1e-8, weight_decay=0.3),
}


def quadratic(theta, hessian, centre):
    return 0.5 * (theta - centre) @ hessian @ (theta - centre)


def numpy_steps(name, theta, num_steps):
    """The textbook recursions, in double precision."""
    momentum, mean, square = np.zeros(3), np.zeros(3), np.zeros(3)
    for step in range(1, num_steps + 1):
        grad = HESSIAN @ (theta - CENTRE)
        momentum = 0.8 * momentum + grad
        mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad**2
        scaled = mean / (1 - 0.9**step)
        scaled = scaled / (np.sqrt(square / (1 - 0.999**step) + 1e-8) + 1e-8)
        theta = (
            theta
            - RATE
            * {
                "sgd": grad,
                "momentum": momentum,
                "nesterov": grad + 0.8 * momentum,
                "adam": scaled,
                "decay": scaled + 0.3 * theta,
            }[name]
        )
    return theta


def numpy_jacobian(name, num_steps, step=1e-6):
    columns = [
        numpy_steps(name, START + e, num_steps) - numpy_steps(name, START - e, num_steps)
        for e in step * np.eye(3)
    ]
    return np.stack(columns, axis=1) / (2 * step)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_sgd_on_a_quadratic(num_steps, x64):
    """``theta_j = c + (I - alpha H)^j (theta - c)``, and its Jacobian ``(I - alpha H)^j``."""
    adapt = inner_loop(quadratic, optax.sgd(RATE), num_steps)
    power = np.linalg.matrix_power(np.eye(3) - RATE * HESSIAN, num_steps)
    value, jacobian = jax.jit(lambda *x: (adapt(*x), jax.jacobian(adapt)(*x)))(
        START, HESSIAN, CENTRE
    )
    np.testing.assert_allclose(value, CENTRE + power @ (START - CENTRE), rtol=1e-12)
    np.testing.assert_allclose(jacobian, power, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimiser_and_its_derivative(name, num_steps, x64):
    adapt = inner_loop(quadratic, OPTIMIZERS[name](), num_steps)
    value, jacobian = jax.jit(lambda *x: (adapt(*x), jax.jacobian(adapt)(*x)))(
        START, HESSIAN, CENTRE
    )
    np.testing.assert_allclose(value, numpy_steps(name, START, num_steps), rtol=1e-9)
    np.testing.assert_allclose(jacobian, numpy_jacobian(name, num_steps), rtol=0, atol=1e-7)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_first_order_takes_the_same_steps_and_drops_the_hessian(num_steps, x64):
    adapt = inner_loop(quadratic, optax.sgd(RATE), num_steps, first_order=True)
    value, jacobian = jax.jit(lambda *x: (adapt(*x), jax.jacobian(adapt)(*x)))(
        START, HESSIAN, CENTRE
    )
    np.testing.assert_allclose(value, numpy_steps("sgd", START, num_steps), rtol=1e-12)
    np.testing.assert_array_equal(jacobian, np.eye(3))


@pytest.mark.parametrize("name", ["sgd", "decay"])
def test_no_steps_change_nothing(name):
    theta = jnp.asarray(START, jnp.float32)
    adapt = inner_loop(quadratic, OPTIMIZERS[name](), 0)
    np.testing.assert_array_equal(adapt(theta, HESSIAN, CENTRE), theta)
    jacobian = jax.jacobian(lambda x: adapt(x, HESSIAN, CENTRE))(theta)
    np.testing.assert_array_equal(jacobian, np.eye(3))


def test_the_optimiser_starts_afresh_in_every_call(x64):
    once, thrice = (inner_loop(quadratic, OPTIMIZERS["momentum"](), n) for n in (1, 3))
    theta = jnp.asarray(START)
    for _ in range(3):
        theta = once(theta, HESSIAN, CENTRE)
    np.testing.assert_allclose(theta, numpy_steps_restarted(3), rtol=1e-12)
    assert np.abs(theta - thrice(START, HESSIAN, CENTRE)).max() > 1e-3


def numpy_steps_restarted(times):
    theta = START
    for _ in range(times):
        theta = numpy_steps("momentum", theta, 1)
    return theta


PARAMS = {"policy": {"w": 1.5, "b": -0.5}, "world_model": {"w": 0.7, "b": 2.0}}


def coupled(params):
    """``1/2 sum_k (policy_k - world_model_k)^2``, so that each part's step depends on the other."""
    return 0.5 * sum((params["policy"][k] - params["world_model"][k]) ** 2 for k in "wb")


@pytest.mark.parametrize("num_steps", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "decay"])
@pytest.mark.parametrize(
    ("adapts", "held"),
    [
        ({"policy": True, "world_model": False}, {("world_model", "w"), ("world_model", "b")}),
        ({"policy": False, "world_model": True}, {("policy", "w"), ("policy", "b")}),
        ({"policy": True, "world_model": {"w": False, "b": True}}, {("world_model", "w")}),
        (False, {(part, name) for part in PARAMS for name in "wb"}),
        (True, set()),
    ],
)
def test_what_does_not_adapt_is_held(adapts, held, name, num_steps):
    params = jax.tree.map(jnp.float32, PARAMS)
    adapted = inner_loop(coupled, OPTIMIZERS[name](), num_steps, adapts=adapts)(params)
    for part, leaves in params.items():
        for leaf, value in leaves.items():
            assert (adapted[part][leaf] == value) == ((part, leaf) in held)
            assert adapted[part][leaf].dtype == jnp.float32


def test_gradients_flow_through_what_is_held(x64):
    """``p' = p - alpha (p - w)`` with ``w`` held: ``dp'/dw = alpha``, ``dp'/dp = 1 - alpha``."""
    params = jax.tree.map(jnp.float64, PARAMS)
    held = {"policy": True, "world_model": False}
    for num_steps in (1, 3):
        kept = (1 - RATE) ** num_steps
        adapt = inner_loop(coupled, optax.sgd(RATE), num_steps, adapts=held)
        jacobian = jax.jacobian(adapt)(params)
        of_policy, of_model = (jacobian[part]["w"] for part in ("policy", "world_model"))
        np.testing.assert_allclose(of_policy["policy"]["w"], kept, rtol=1e-12)
        np.testing.assert_allclose(of_policy["world_model"]["w"], 1 - kept, rtol=1e-12)
        assert of_model["world_model"]["w"] == 1.0 and of_model["policy"]["w"] == 0.0
        assert of_policy["policy"]["b"] == 0.0


@pytest.mark.parametrize("num_steps", [0, 1, 3])
def test_jit_equals_eager_and_vmap_equals_loop(num_steps):
    adapt = inner_loop(quadratic, OPTIMIZERS["momentum"](), num_steps)
    starts = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    hessian, centre = HESSIAN.astype(np.float32), CENTRE.astype(np.float32)
    batched = jax.jit(jax.vmap(adapt, (0, None, None)))(starts, hessian, centre)
    for start, expected in zip(starts, batched, strict=True):
        eager = adapt(jnp.asarray(start), hessian, centre)
        assert eager.dtype == expected.dtype == jnp.float32
        np.testing.assert_allclose(eager, expected, rtol=1e-5, atol=1e-6)


def test_linear_regression(x64):
    """Nothing here knows of bandits: one step of least squares on inputs and labels."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    params = {"slope": jnp.zeros(3), "offset": jnp.ones(())}

    def squared_error(params, x, y):
        return jnp.mean((x @ params["slope"] + params["offset"] - y) ** 2)

    adapted = inner_loop(squared_error, optax.sgd(RATE))(params, x, y)
    np.testing.assert_allclose(adapted["slope"], -RATE * 2 * x.T @ (1 - y) / 8, rtol=1e-12)
    np.testing.assert_allclose(adapted["offset"], 1 - RATE * 2 * np.mean(1 - y), rtol=1e-12)


@pytest.mark.parametrize("num_steps", [-1, 1.5, True])
def test_impossible_numbers_of_steps_are_refused(num_steps):
    with pytest.raises(ConfigError, match=r"^num_steps: got .*, expected an integer >= 0$"):
        inner_loop(quadratic, optax.sgd(RATE), num_steps)
