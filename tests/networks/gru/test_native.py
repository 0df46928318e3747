"""The recurrence's loops in C, against the same loops by XLA."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import assert_same
from test_pallas import SCAN, assert_close, everything, problem

from mermaide_jax._jax import compile_c
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.gru import gru as recurrence
from mermaide_jax.networks.gru import loops as recurrence_loops
from mermaide_jax.networks.gru import native as recurrence_native
from mermaide_jax.networks.gru.gru import prepare_gru, step_gru, unroll_gru
from mermaide_jax.networks.gru.loops import Implementation, Loop, choose_loop
from mermaide_jax.networks.heads import RecurrentHead

pytestmark = pytest.mark.exact

NATIVE = Loop("native")
LACK = compile_c.no_compiler()  # if there is one, it has to do
needs_c = pytest.mark.skipif(LACK is not None, reason=str(LACK))
UNITS = 16
"""A whole number of vectors of any processor."""


def by(loop, **sizes):
    return jax.jit(functools.partial(everything, loop))(*problem(**sizes))


def cell_params(inputs, hidden=UNITS, seed=0):
    """Params of a ``nn.GRUCell``, none of them zero."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(rng.normal(size=shape) / hidden**0.5, jnp.float32)  # noqa: E731
    into = {
        n: {"kernel": normal(inputs, hidden), "bias": normal(hidden)} for n in ("ir", "iz", "in")
    }
    again = {n: {"kernel": normal(hidden, hidden)} for n in ("hr", "hz", "hn")}
    again["hn"]["bias"] = normal(hidden)
    return into | again


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


# Rows one by one, in whole and broken tiles, in one group and in several; one and more vectors.
@needs_c
@pytest.mark.parametrize(
    ("batch", "hidden", "steps"),
    [((), 16, 5), ((3,), 48, 4), ((2, 1), 16, 1), ((8,), 32, 2), ((15,), 16, 3), ((17,), 80, 2)],
)
def test_values_gradients_and_hessian_products_are_those_of_the_scan(batch, hidden, steps):
    sizes = {"batch": batch, "hidden": hidden, "steps": steps}
    assert_close(by(NATIVE, **sizes), by(SCAN, **sizes), 1e-5)


@needs_c
@given(
    rows=st.integers(1, 35), vectors=st.integers(1, 5), steps=st.integers(1, 3), seed=st.integers(0)
)
def test_any_sizes(rows, vectors, steps, seed):
    hidden = vectors * UNITS
    params = cell_params(3, hidden, seed % 2**32)
    inputs, initial = normal(1, steps, rows, 3), normal(2, rows, hidden)
    ours, theirs = (unroll_gru(params, inputs, initial, way) for way in ("native", "scan"))
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def batched(loop, axes):
    """States, gradient and Hessian product of members, by `jax.vmap` once for each of ``axes``."""
    function = functools.partial(everything, loop)
    for axis in axes:
        function = jax.vmap(function, in_axes=axis)
    return jax.jit(function)


OWN, SHARED = (0, 0), ((None, 0, 0), (None, 0, 0))
DIRECTIONS = ((None, 0, 0), 0)
"""Shared weights that are moved in a direction of each member's own, as in a meta-gradient."""


@needs_c
@pytest.mark.parametrize("axes", [(OWN,), (SHARED,), (DIRECTIONS,), (OWN, SHARED), (SHARED, OWN)])
def test_members_with_weights_of_their_own_and_shared(axes):
    """The innermost `jax.vmap` comes first; weights follow members in any order of the two."""
    members = problem(steps=3, batch=(2,), hidden=UNITS)
    for number, axis in enumerate(axes):
        scales = 1.0 + 0.1 * jnp.arange(3 + number)
        grow = lambda x, scales=scales: jnp.stack([x * s for s in scales])  # noqa: E731
        members = tuple(
            tuple(
                jax.tree.map(grow, part) if own is not None else part
                for part, own in zip(side, which or (0, 0, 0), strict=True)
            )
            for side, which in zip(members, axis, strict=True)
        )
    ours, theirs = (batched(loop, axes)(*members) for loop in (NATIVE, SCAN))
    assert_close(ours, theirs, 1e-5)


@needs_c
def test_a_record_of_steps_one_by_one_tells_the_same():
    params, inputs, initial = cell_params(5), normal(1, 4, 5), normal(2, UNITS)
    made = {}
    ways: tuple[Implementation, ...] = ("native", "scan")
    for way in ways:
        prepared = prepare_gru(params, way)
        step = lambda h, x, prepared=prepared: step_gru(params, h, x, prepared)  # noqa: E731
        states, activations = jax.lax.scan(step, initial, inputs)
        unroll = functools.partial(unroll_gru, inputs=inputs, initial=initial, implementation=way)
        of = lambda p, unroll=unroll, activations=activations: jnp.sum(  # noqa: E731
            jnp.sin(unroll(p, activations=activations))
        )
        made[way] = (
            states,
            activations,
            jax.grad(of)(params),
            jax.grad(lambda p, unroll=unroll: jnp.sum(jnp.sin(unroll(p))))(params),
        )
    assert_close(made["native"], made["scan"], 1e-5)
    assert_close(made["native"][2], made["native"][3], 1e-5)


def step_by(way, params, hidden, inputs):
    return step_gru(params, hidden, inputs, prepare_gru(params, way))


@needs_c
@pytest.mark.parametrize("own", [("p", "h", "x"), ("h", "x"), ("p", "x"), ("x",)])
@pytest.mark.parametrize("rows", [(), (2,), (19,)])
def test_steps_of_many_members(own, rows):
    arguments = {"p": cell_params(3), "h": normal(1, *rows, UNITS), "x": normal(2, *rows, 3)}
    grow = lambda x: jnp.stack([x, 2 * x, -x])  # noqa: E731
    arguments = {k: jax.tree.map(grow, v) if k in own else v for k, v in arguments.items()}
    axes = tuple(0 if name in own else None for name in arguments)
    ours, theirs = (
        jax.vmap(functools.partial(step_by, way), axes)(*arguments.values())
        for way in ("native", "scan")
    )
    assert_close(ours, theirs, 1e-5)
    again = jax.vmap(jax.vmap(functools.partial(step_by, "native"), axes))
    twice = jax.tree.map(lambda x: jnp.stack([x, x]), tuple(arguments.values()))
    assert_close(jax.tree.map(lambda x: x[1], again(*twice)), theirs, 1e-5)


@needs_c
def test_activations_saturate_and_what_is_not_a_number_stays_so():
    params, ways = cell_params(1), [functools.partial(step_by, way) for way in ("native", "scan")]
    for size in (0.0, 1e-20, 30.0, 500.0, 1e30, -1e30):
        ours, theirs = (way(params, jnp.full(UNITS, 0.1), jnp.array([size])) for way in ways)
        assert_same(ours, theirs, 1e-6)
    for way in ways:
        assert np.isnan(way(params, jnp.zeros(UNITS), jnp.array([jnp.nan]))[0]).all()


def test_every_loop_has_its_name_in_c():
    """Steps are functions of `recurrence`, and with the single step of a cell they are all."""
    steps = [name for name in vars(recurrence) if name.endswith("_step")]
    assert {"gru_cell", *(f"gru{name}" for name in steps)} == set(recurrence_native._HANDLERS)


@needs_c
def test_it_is_one_call_a_loop():
    params, inputs, initial = cell_params(3), normal(1, 4, 2, 3), normal(2, 2, UNITS)
    of = lambda p: jnp.sum(jnp.sin(unroll_gru(p, inputs, initial, "native")))  # noqa: E731
    curved = lambda p: jax.jvp(jax.grad(of), (p,), (p,))[1]  # noqa: E731
    for function, calls in ((of, 1), (jax.grad(of), 2), (curved, 4)):
        text = str(jax.make_jaxpr(function)(params))
        assert text.count("ffi_call[") == calls and "scan" not in text and "while" not in text


@needs_c
def test_on_a_mesh_as_without():
    params, inputs, initial = cell_params(3), normal(1, 4, 2, 3), normal(2, 2, UNITS)
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("streams",))
    spec = jax.sharding.PartitionSpec

    def gradient(params, inputs, initial):
        of = lambda x, h: jnp.sum(jnp.sin(unroll_gru(params, x, h, "native")))  # noqa: E731
        return jax.grad(of, argnums=(0, 1))(inputs, initial)

    of_each = spec(None, "streams"), spec("streams")
    states = functools.partial(unroll_gru, implementation="native")
    for function, out, checked in ((states, of_each[0], True), (gradient, of_each, False)):
        shared = jax.shard_map(
            function, mesh=mesh, in_specs=(spec(), *of_each), out_specs=out, check_vma=checked
        )
        expected = function(params, inputs, initial)
        assert_same(jax.jit(shared)(params, inputs, initial), expected, 1e-5)


@needs_c
def test_networks_of_many_units_take_it_by_themselves():
    for units, calls in ((64, 1), (48, 0)):
        head = RecurrentHead(2, units, 1, "fastest")
        params = jax.eval_shape(head.init, jax.random.key(0), head.initial_carry(), jnp.zeros(3))
        unroll = functools.partial(head.apply, method="unroll")
        text = str(jax.make_jaxpr(unroll)(params, jnp.zeros((5, 3))))
        assert text.count("ffi_call[") == calls
    assert choose_loop("fastest", "bf16", 64, jnp.dtype("float32")).device == "in_place"


@needs_c
def test_steps_in_other_dtypes_are_not_misread(x64):
    params, hidden = cell_params(3), normal(1, UNITS)
    for inputs, of_hidden in ((normal(2, 3), jnp.float64), (jnp.array([1, 0, 2]), jnp.float32)):
        ours, theirs = (
            step_by(way, params, hidden.astype(of_hidden), inputs) for way in ("native", "scan")
        )
        assert ours[0].dtype == theirs[0].dtype == of_hidden
        assert_same(ours, theirs, 1e-6)


@needs_c
def test_double_precision_is_left_to_xla(x64):
    assert choose_loop("fastest", "default", 64, jnp.dtype("float64")).device == "in_place"
    with pytest.raises(ConfigError, match="float32 arrays only"):
        choose_loop("native", "default", 64, jnp.dtype("float64"))


@needs_c
def test_what_it_does_not_take_is_refused():
    single = jnp.dtype("float32")
    with pytest.raises(ConfigError, match=r"a multiple of \d+ units only"):
        choose_loop("native", "default", 65, single)
    with pytest.raises(ConfigError, match="'default' or 'full' precision only"):
        choose_loop("native", "tf32", 64, single)
    assert choose_loop("native", "full", 64, single) == Loop("native", "full")


@pytest.mark.parametrize("broken", ["missing", "failing"])
def test_without_a_working_compiler_loops_are_those_of_xla(broken, monkeypatch, tmp_path):
    single = jnp.dtype("float32")
    monkeypatch.setenv("PATH", str(tmp_path))
    if broken == "failing":
        compiler = tmp_path / "cc"
        compiler.write_text("#!/bin/sh\necho no such thing >&2\nexit 1\n")
        compiler.chmod(0o755)
    monkeypatch.setattr(
        recurrence_native, "_vector_width", recurrence_native._vector_width.__wrapped__
    )
    monkeypatch.setattr(
        recurrence_native, "_cannot_compile", recurrence_native._cannot_compile.__wrapped__
    )
    monkeypatch.setattr(recurrence_native, "compile_c", compile_c.compile_c.__wrapped__)
    assert choose_loop("fastest", "default", 64, single).device == "in_place"
    reason = "no C compiler" if broken == "missing" else "no such thing"
    with pytest.raises(ConfigError, match=f"as it takes a working C compiler.*{reason}"):
        choose_loop("native", "default", 64, single)


def test_elsewhere_than_on_cpus_it_is_not_for(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert recurrence_native.unsupported_reason(64, jnp.dtype("float32")) == "CPUs only"
    assert recurrence_loops._fastest("default", 64, jnp.dtype("float32")) == "auto"


@needs_c
def test_buffers_that_do_not_fit_are_an_error_and_not_a_crash():
    shape = jax.ShapeDtypeStruct((1, 1, 1, UNITS), jnp.float32)
    for handler, count in itertools.product(recurrence_native._HANDLERS, (0, 1)):
        with pytest.raises(Exception, match="another number of buffers"):
            target = recurrence_native._target(handler)
            jax.block_until_ready(jax.ffi.ffi_call(target, shape)(*[jnp.zeros(UNITS)] * count))
    weights, state = jnp.zeros((3, 3 * UNITS, UNITS)), jnp.zeros((2, 1, UNITS))
    rows = [jnp.zeros((2, 1, 1, UNITS))] * 6
    step = jax.tree.map(lambda _: shape, ("x", "state", "products", "candidate"))
    with pytest.raises(Exception, match="members in equal groups"):
        call = jax.ffi.ffi_call(recurrence_native._target("gru_backward_step"), step)
        jax.block_until_ready(call(weights, state, *rows))
