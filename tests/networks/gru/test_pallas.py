"""The recurrence's time loops as kernels, interpreted, against the same loops as scans."""

import functools
import re
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same

from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.gru.gru import (
    Gates,
    GRUWeights,
    _forward,
    _sequence,
    gru_states,
    unroll_gru,
)
from mermaide_jax.networks.gru.loops import Loop, choose_loop
from mermaide_jax.networks.gru.pallas import persistent_scan

pytestmark = pytest.mark.exact

SCAN = Loop("scan")
WHOLE = Loop("interpreter", block=4)
FULL = Loop("interpreter", "full", block=4)
CHUNKS = Loop("interpreter", block=8, chunk=2)


def problem(steps=5, batch=(6,), hidden=4, dtype=jnp.float32) -> tuple[Any, Any]:
    """Arguments of the recurrence and a direction, neither with any symmetry."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), dtype)

    def arguments():
        kernels = Gates(*(normal(hidden, hidden) / hidden**0.5 for _ in range(3)))
        projected = Gates(*(normal(steps, *batch, hidden) for _ in range(3)))
        return GRUWeights(kernels, normal(hidden)), projected, normal(*batch, hidden)

    return arguments(), arguments()


def everything(loop: Loop, arguments: Any, direction: Any) -> dict[str, Any]:
    """States, gradient of a curved loss, and the product of its Hessian with a direction."""

    def loss(*arguments):
        states: Any = _sequence(loop, *arguments)
        return jnp.sum(jnp.sin(3.0 * states))

    gradient = jax.grad(loss, argnums=(0, 1, 2))
    grads, product = jax.jvp(lambda *x: gradient(*x), arguments, direction)
    return {"states": _sequence(loop, *arguments), "grads": grads, "product": product}


@functools.cache
def by(loop: Loop, steps: int = 5, batch: tuple[int, ...] = (6,)) -> Any:
    return jax.jit(functools.partial(everything, loop))(*problem(steps, batch))


def assert_close(left: Any, right: Any, tolerance: float) -> None:
    """Each array to within ``tolerance`` of its largest entry."""
    scaled = jax.tree.map(lambda a, b: a / jnp.max(jnp.abs(b)), (left, right), (right, right))
    assert_same(*scaled, tolerance=tolerance)


@pytest.mark.parametrize("loop", [WHOLE, CHUNKS])
def test_values_gradients_and_hessian_products_are_those_of_the_scan(loop):
    # six streams are no multiple of a block, five steps none of a chunk
    assert_close(by(loop), by(SCAN), 1e-5)


def test_one_step_and_several_batch_axes():
    assert_close(by(WHOLE, 1, (2, 1)), by(SCAN, 1, (2, 1)), 1e-5)


def test_double_precision(x64):
    arguments = problem(steps=3, batch=(3,), dtype=jnp.float64)
    left, right = (
        jax.jit(functools.partial(everything, loop))(*arguments) for loop in (FULL, SCAN)
    )
    assert left["states"].dtype == jnp.float64
    assert_close(left, right, 1e-12)


def test_under_vmap_weights_are_own_or_shared():
    # the inner axis shares weights, so that its streams fill blocks together
    (weights, *_), _ = problem(steps=3)
    own = jax.tree.map(lambda x: jnp.stack([x, -x]), weights)
    arguments, direction = problem(steps=3, batch=(3,))
    arguments, direction = (
        (arguments[0], *jax.tree.map(lambda x: jnp.stack([x, 2 * x, -x]), arguments[1:])),
        (direction[0], *jax.tree.map(lambda x: jnp.stack([x, x, 3 * x]), direction[1:])),
    )

    def run(loop, weights):
        inner = jax.vmap(
            lambda rest, d_rest: everything(loop, (weights, *rest), (direction[0], *d_rest))
        )
        return inner(arguments[1:], direction[1:])

    left, right = (jax.jit(jax.vmap(functools.partial(run, one)))(own) for one in (CHUNKS, SCAN))
    assert_close(left, right, 1e-5)


def test_the_linear_map_of_the_gradient_is_the_same():
    (weights, projected, initial), (direction, *_) = problem(steps=3)

    def product(loop):
        def loss(weights):
            states: Any = _sequence(loop, weights, projected, initial)
            return jnp.sum(jnp.sin(3.0 * states))

        return jax.linearize(jax.grad(loss), weights)[1](direction)

    product = jax.jit(product, static_argnums=0)
    assert_close(product(WHOLE), product(SCAN), 1e-5)


# What docs/explanation/accelerators.md says of the errors, relative to the largest of each array.
@pytest.mark.parametrize(("precision", "most"), [("tf32", 2e-3), ("bf16", 2e-2)])
def test_low_precision_brings_small_errors(precision, most):
    found = by(Loop("interpreter", precision, block=8))
    assert_close(found, by(SCAN), most)
    with pytest.raises(AssertionError):
        assert_close(found, by(SCAN), most / 1e3)


def test_the_public_functions_take_the_choice():
    (weights, projected, initial), _ = problem(steps=3, batch=(2,))
    run = jax.jit(gru_states, static_argnums=(3, 4))
    kernel = run(weights, projected, initial, "pallas", "default")
    assert_close(kernel, run(weights, projected, initial, "auto", "default"), 1e-5)
    params = {"h" + gate: {"kernel": weights.kernels[i]} for i, gate in enumerate("rzn")}
    params |= {"i" + gate: {"kernel": jnp.eye(4), "bias": jnp.ones(4)} for gate in "rzn"}
    params["hn"]["bias"] = weights.bias
    unroll = jax.jit(unroll_gru, static_argnums=(3,))
    kernel, plain = (unroll(params, projected[0], initial, name) for name in ("pallas", "scan"))
    assert_close(kernel, plain, 1e-5)


def test_a_kernel_goes_by_a_record_too():
    (weights, projected, initial), _ = problem(steps=3, batch=(2,))
    activations = _forward(SCAN, weights, projected, initial, None)[1]

    def both(activations):
        def of(w):
            states = gru_states(w, projected, initial, "pallas", activations=activations)
            return jnp.sum(jnp.sin(states))

        gradient = jax.grad(of)
        return of(weights), gradient(weights), jax.jvp(gradient, (weights,), (weights,))[1]

    assert_close(jax.jit(both)(activations), jax.jit(both)(None), 1e-5)


def test_no_steps_and_no_streams():
    (weights, projected, initial), _ = problem(steps=3, batch=(2,))
    none = jax.tree.map(lambda x: x[:0], projected)
    assert gru_states(weights, none, initial, "pallas").shape == (0, 2, 4)
    none = jax.tree.map(lambda x: x[:, :0], projected)
    assert gru_states(weights, none, initial[:0], "pallas").shape == (3, 0, 4)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chunk", [None, 3])
def test_any_step_over_trees_is_a_scan(reverse, chunk):
    constants = {"scale": jnp.array([2.0, 3.0])}
    initial = {"sum": jnp.arange(3.0)[:, None], "count": jnp.zeros((3, 2), jnp.int32)}
    inputs = jnp.arange(24.0).reshape(4, 3, 2)

    def step(constants, carry, x):
        total = 0.5 * carry["sum"] + jnp.sum(x * constants["scale"], axis=-1, keepdims=True)
        return {"sum": total, "count": carry["count"] + 1}, (total, x > 3.0)

    found = persistent_scan(
        step, constants, initial, inputs, block=2, chunk=chunk, reverse=reverse, interpret=True
    )
    expected = jax.lax.scan(functools.partial(step, constants), initial, inputs, reverse=reverse)
    assert_same(found, expected)


@pytest.mark.parametrize(("name", "value"), [("implementation", "palas"), ("precision", "float16")])
def test_unknown_names_are_refused(name, value):
    (arguments, _) = problem(steps=1, batch=(1,))
    with pytest.raises(ConfigError, match=f"{name}: got '{value}', expected one of"):
        gru_states(*arguments, **{name: value})


@pytest.mark.parametrize(
    ("backend", "precision", "hidden", "dtype", "device"),
    [
        ("cpu", "bf16", 4, jnp.float32, "interpreter"),
        ("gpu", "default", 128, jnp.float32, "gpu"),
        ("gpu", "bf16", 128, jnp.float32, "gpu"),
        ("gpu", "tf32", 96, jnp.float32, "gpu"),
        ("gpu", "bf16", 160, jnp.float32, "gpu"),
        ("gpu", "full", 64, jnp.float32, "scan"),
        ("gpu", "default", 160, jnp.float32, "scan"),
        ("gpu", "bf16", 256, jnp.float32, "scan"),
        ("gpu", "default", 48, jnp.float32, "scan"),
        ("gpu", "default", 64, jnp.float64, "scan"),
        ("tpu", "default", 128, jnp.float32, "tpu"),
        ("tpu", "default", 512, jnp.float32, "scan"),
        ("tpu", "bf16", 64, jnp.float32, "scan"),
        ("tpu", "tf32", 128, jnp.float32, "scan"),
    ],
)
def test_the_kernel_runs_or_says_what_it_lacks(
    monkeypatch, backend, precision, hidden, dtype, device
):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    for name in ("auto", "scan"):
        assert choose_loop(name, precision, hidden, dtype) == Loop("scan", precision)
    if device != "scan":
        assert choose_loop("pallas", precision, hidden, dtype) == Loop(device, precision)
        return
    with pytest.raises(ConfigError, match=r"as the kernel takes .* (only|at most)"):
        choose_loop("pallas", precision, hidden, dtype)


def test_the_device_and_the_precision_of_jax_are_heeded(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with (
        jax.default_matmul_precision("highest"),
        pytest.raises(ConfigError, match="'tf32' or 'bf16' precision only"),
    ):
        choose_loop("pallas", "default", 128, jnp.float32)
    for device, lacks in (
        ({"compute_capability": "8.0"}, "Hopper"),
        ({"compute_capability": "9.0", "shared_memory_per_block_optin": 2**16}, "shared memory"),
    ):
        monkeypatch.setattr(jax, "devices", lambda d=device: [types.SimpleNamespace(**d)])
        with pytest.raises(ConfigError, match=lacks):
            choose_loop("pallas", "default", 128, jnp.float32)


@pytest.fixture
def interpreted_gpu():
    """Kernels for GPUs run here, slowly, and what two threads touch at once is found."""
    plgpu = pytest.importorskip("jax.experimental.pallas.mosaic_gpu")
    if not hasattr(plgpu, "force_gpu_interpret_mode"):
        pytest.skip("the interpreter of this JAX knows no transposed reference")
    with plgpu.force_gpu_interpret_mode(plgpu.InterpretGPUParams(detect_races=True)):
        yield


@pytest.mark.parametrize(("precision", "most"), [("tf32", 1e-5), ("bf16", 2e-2)])
def test_the_kernel_of_a_gpu_says_what_the_scan_says(precision, most, interpreted_gpu):
    # 64 units are two warpgroups; TF32 is interpreted as float32
    arguments = problem(steps=2, batch=(3,), hidden=64)
    found, expected = (
        jax.jit(functools.partial(everything, loop))(*arguments)
        for loop in (Loop("gpu", precision), SCAN)
    )
    assert_close(found, expected, most)


def test_on_a_gpu_members_with_weights_of_their_own_are_one_kernel(interpreted_gpu):
    arguments, _ = problem(steps=2, batch=(70,), hidden=32)  # streams of more than one program
    members = jax.tree.map(lambda x: jnp.stack([x, -x]), arguments)
    found, expected = (
        jax.jit(jax.vmap(functools.partial(_sequence, loop)))(*members)
        for loop in (Loop("gpu", "tf32"), SCAN)
    )
    assert_close(found, expected, 1e-5)


@pytest.mark.parametrize(
    ("device", "platform", "precision", "target"),
    [
        ("gpu", "cuda", "tf32", "mosaic_gpu"),
        ("gpu", "cuda", "bf16", "mosaic_gpu"),
        ("tpu", "tpu", "default", "tpu_custom_call"),
        ("tpu", "tpu", "bf16", "tpu_custom_call"),
    ],
)
def test_all_kernels_lower_for_accelerators(device, platform, precision, target):
    # Says that the compilers of Pallas know every operation; not that the kernels run. Without a
    # device Mosaic lowers for Hopper.
    arguments = jax.eval_shape(lambda: problem(steps=5, batch=(19,), hidden=128))
    arguments = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((2, 1, 3, *x.shape), x.dtype), arguments
    )
    chunk = 2 if device == "tpu" else None
    run = functools.partial(everything, Loop(device, precision, chunk=chunk))
    run = jax.jit(jax.vmap(jax.vmap(jax.vmap(run))))
    lowered = run.trace(*arguments).lower(lowering_platforms=(platform,))
    # states alone, and each of the four loops
    assert len(re.findall(rf"custom_call @\S*{target}", lowered.as_text())) == 5
