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
SUPPORT = (HESSIAN, CENTRE)

OPTIMIZERS = {
    "sgd": lambda: optax.sgd(RATE),
    "momentum": lambda: optax.sgd(RATE, momentum=0.8),
    "nesterov": lambda: optax.sgd(RATE, momentum=0.8, nesterov=True),
    "adam": lambda: optax.adam(RATE, eps_root=1e-8),
    "decay": lambda: optax.adamw(RATE, eps_root=1e-8, weight_decay=0.3),
}


def quadratic(theta, support):
    hessian, centre = support
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
    value, jacobian = jax.jit(lambda *x: (adapt(*x), jax.jacobian(adapt)(*x)))(START, SUPPORT)
    np.testing.assert_allclose(value, CENTRE + power @ (START - CENTRE), rtol=1e-12)
    np.testing.assert_allclose(jacobian, power, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimiser_and_its_derivative(name, num_steps, x64):
    adapt = inner_loop(quadratic, OPTIMIZERS[name](), num_steps)
    value, jacobian = jax.jit(lambda *x: (adapt(*x), jax.jacobian(adapt)(*x)))(START, SUPPORT)
    np.testing.assert_allclose(value, numpy_steps(name, START, num_steps), rtol=1e-9)
    np.testing.assert_allclose(jacobian, numpy_jacobian(name, num_steps), rtol=0, atol=1e-7)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_first_order_takes_the_same_steps_and_drops_the_hessian(num_steps, x64):
    adapt = inner_loop(quadratic, optax.sgd(RATE), num_steps, first_order=True)
    value, jacobian = jax.jit(lambda *x: (adapt(*x), jax.jacobian(adapt)(*x)))(START, SUPPORT)
    np.testing.assert_allclose(value, numpy_steps("sgd", START, num_steps), rtol=1e-12)
    np.testing.assert_array_equal(jacobian, np.eye(3))


@pytest.mark.parametrize("name", ["sgd", "decay"])
def test_no_steps_change_nothing(name):
    theta = jnp.asarray(START, jnp.float32)
    adapt = inner_loop(quadratic, OPTIMIZERS[name](), 0)
    np.testing.assert_array_equal(adapt(theta, SUPPORT), theta)
    jacobian = jax.jacobian(adapt)(theta, SUPPORT)
    np.testing.assert_array_equal(jacobian, np.eye(3))


def test_the_optimiser_starts_afresh_in_every_call(x64):
    once, thrice = (inner_loop(quadratic, OPTIMIZERS["momentum"](), n) for n in (1, 3))
    theta = jnp.asarray(START)
    for _ in range(3):
        theta = once(theta, SUPPORT)
    np.testing.assert_allclose(theta, numpy_steps_restarted(3), rtol=1e-12)
    assert np.abs(theta - thrice(START, SUPPORT)).max() > 1e-3


def numpy_steps_restarted(times):
    theta = START
    for _ in range(times):
        theta = numpy_steps("momentum", theta, 1)
    return theta


PARAMS = {"policy": {"w": 1.5, "b": -0.5}, "world_model": {"w": 0.7, "b": 2.0}}


def coupled(params, support=None):
    """``1/2 sum_k (policy_k - world_model_k)^2``, so that each part's step depends on the other."""
    del support
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
    adapted = inner_loop(coupled, OPTIMIZERS[name](), num_steps, adapts=adapts)(params, None)
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
        jacobian = jax.jacobian(adapt)(params, None)
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
    support = (hessian, centre)
    batched = jax.jit(jax.vmap(adapt, (0, None)))(starts, support)
    for start, expected in zip(starts, batched, strict=True):
        eager = adapt(jnp.asarray(start), support)
        assert eager.dtype == expected.dtype == jnp.float32
        np.testing.assert_allclose(eager, expected, rtol=1e-5, atol=1e-6)


def test_linear_regression(x64):
    """Nothing here knows of bandits: one step of least squares on inputs and labels."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=8)
    params = {"slope": jnp.zeros(3), "offset": jnp.ones(())}

    def squared_error(params, support):
        x, y = support
        return jnp.mean((x @ params["slope"] + params["offset"] - y) ** 2)

    adapted = inner_loop(squared_error, optax.sgd(RATE))(params, (x, y))
    np.testing.assert_allclose(adapted["slope"], -RATE * 2 * x.T @ (1 - y) / 8, rtol=1e-12)
    np.testing.assert_allclose(adapted["offset"], 1 - RATE * 2 * np.mean(1 - y), rtol=1e-12)


@pytest.mark.parametrize("num_steps", [-1, 1.5, True])
def test_impossible_numbers_of_steps_are_refused(num_steps):
    with pytest.raises(ConfigError, match=r"^num_steps: got .*, expected an integer >= 0$"):
        inner_loop(quadratic, optax.sgd(RATE), num_steps)


def stream(number):
    """Minibatches: a pair of arrays with leading axis ``number``, each of another quadratic."""
    rng = np.random.default_rng(2)
    roots = rng.normal(size=(number, 3, 3))
    return roots @ roots.swapaxes(1, 2) / 3 + np.eye(3), rng.normal(size=(number, 3))


@pytest.mark.parametrize("options", [{}, {"first_order": True}, {"reference": True}])
@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_minibatches_equal_a_hand_loop(num_steps, name, options, x64):
    """Step ``j`` sees the ``j``-th of the stream and no other; so do the derivatives."""
    optimizer, support = OPTIMIZERS[name](), stream(num_steps)
    adapt = inner_loop(quadratic, optimizer, num_steps, minibatches=True, **options)

    def by_hand(theta, support):
        state = optimizer.init(theta)
        for hessian, centre in zip(*support, strict=True):
            gradient = (hessian + hessian.T) / 2 @ (theta - centre)
            if options.get("first_order"):
                gradient = jax.lax.stop_gradient(gradient)
            updates, state = optimizer.update(gradient, state, theta)
            theta = optax.apply_updates(theta, updates)
        return theta

    theta = jnp.asarray(START)
    ours, expected = (
        jax.jit(lambda t, s, f=f: (f(t, s), jax.jacrev(f, (0, 1))(t, s)))(theta, support)
        for f in (adapt, by_hand)
    )
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    if num_steps == 4 and not options:  # every minibatch counts
        assert (np.abs(ours[1][1][1]).max((0, 2)) > 1e-4).all()


def test_minibatches_are_mapped_over_tasks_as_anything_else():
    adapt = inner_loop(quadratic, optax.sgd(RATE), 3, minibatches=True)
    tasks = jax.tree.map(lambda x: np.float32(np.stack([x, x[::-1]])), stream(3))
    theta = jnp.asarray(START, jnp.float32)
    both = jax.vmap(adapt, (None, 0))(theta, tasks)
    for task in range(2):
        alone = adapt(theta, jax.tree.map(lambda x, t=task: x[t], tasks))
        np.testing.assert_allclose(both[task], alone, rtol=1e-5)
    assert np.abs(both[0] - both[1]).max() > 1e-3


@pytest.mark.parametrize("num_steps", [0, 1, 3])
@pytest.mark.parametrize("length", [2, 4])
def test_a_stream_of_another_length_is_refused(num_steps, length):
    adapt = inner_loop(quadratic, optax.sgd(RATE), num_steps, minibatches=True)
    expected = (
        rf"^support: got \({length}, 3, 3\), "
        f"expected a leading axis of num_steps, {num_steps}, in every leaf$"
    )
    with pytest.raises(ConfigError, match=expected):
        adapt(jnp.asarray(START), stream(length))
    mixed = (stream(num_steps)[0], 1.0)
    with pytest.raises(ConfigError, match=rf"^support: got \(\), expected .* {num_steps}, in ever"):
        adapt(jnp.asarray(START), mixed)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_an_optimiser_that_goes_by_the_value(num_steps, x64):
    """Polyak's step ``(L - L_min) / |g|^2``, in value and derivative."""
    adapt = inner_loop(
        quadratic, optax.polyak_sgd(max_learning_rate=10.0), num_steps, pass_loss=True
    )

    def by_hand(theta):
        for _ in range(num_steps):
            gradient = HESSIAN @ (theta - CENTRE)
            theta = theta - quadratic(theta, SUPPORT) / (gradient @ gradient) * gradient
        return theta

    value, jacobian = jax.jit(lambda t: (adapt(t, SUPPORT), jax.jacobian(adapt)(t, SUPPORT)))(START)
    np.testing.assert_allclose(value, by_hand(START), rtol=1e-9)
    columns = [by_hand(START + e) - by_hand(START - e) for e in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(jacobian, np.stack(columns, 1) / 2e-6, rtol=0, atol=1e-7)


@pytest.mark.parametrize("minibatches", [False, True])
def test_an_optimiser_that_searches_along_a_line(minibatches, x64):
    """L-BFGS is at the minimum of a quadratic after a few steps, where SGD is not."""
    num_steps = 12
    support = jax.tree.map(lambda x: np.stack([x] * num_steps), SUPPORT) if minibatches else SUPPORT
    searches = {"lbfgs": (optax.lbfgs(), True), "sgd": (optax.sgd(0.01), False)}
    ends = {}
    for name, (optimizer, search) in searches.items():
        adapt = inner_loop(
            quadratic, optimizer, num_steps, minibatches=minibatches, pass_loss=search
        )
        ends[name] = jax.jit(adapt)(jnp.asarray(START), support)
    np.testing.assert_allclose(ends["lbfgs"], CENTRE, atol=1e-6)
    assert np.abs(ends["sgd"] - CENTRE).max() > 1e-2
    # One call is the optimiser's own loop.
    optimizer, theta = optax.lbfgs(), jnp.asarray(START)
    state, of_theta = optimizer.init(theta), lambda t: quadratic(t, SUPPORT)
    for _ in range(num_steps):
        value, gradient = jax.value_and_grad(of_theta)(theta)
        updates, state = optimizer.update(
            gradient, state, theta, value=value, grad=gradient, value_fn=of_theta
        )
        theta = optax.apply_updates(theta, updates)
    np.testing.assert_allclose(ends["lbfgs"], np.asarray(theta), rtol=1e-9)
