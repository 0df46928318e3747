"""What every pure function promises: for each promise, a function that breaks it is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from mermaide_jax import checks
from mermaide_jax.checks import functions
from mermaide_jax.errors import ConfigError, ContractError

pytestmark = pytest.mark.contract

NUMBERS = np.arange(1.0, 4.0, dtype=np.float32)


def keys():
    return jax.random.split(jax.random.key(0), 3)


def refusal(promise, function, *args):
    """The error of a check that must name this promise."""
    with pytest.raises(ContractError) as caught:
        checks.check_function("f", function, *args)
    assert caught.value.promise == promise and caught.value.function == "f"
    line = str(caught.value)
    assert line.startswith(f"f breaks {promise!r}: got ") and "\n" not in line
    return line


def test_a_pure_function_passes_and_gives_what_it_gives_for_all():
    def f(key, x):
        return {"draw": jax.random.normal(key, dtype=jnp.float32) + x}

    given = checks.check_function("f", f, keys(), NUMBERS)
    expected = jax.vmap(f)(keys(), NUMBERS)
    np.testing.assert_allclose(given["draw"], expected["draw"], rtol=1e-6)


def test_a_function_of_nothing_passes():
    assert checks.check_function("f", lambda empty: jnp.int32(3), ()) == 3


def test_a_contract_error_is_a_config_error():
    assert issubclass(ContractError, ConfigError)


def test_a_call_that_fails():
    assert "ZeroDivisionError" in refusal("call", lambda x: 1 / 0, NUMBERS)


def test_implicit_promotion():
    assert "float32" in refusal("shapes", lambda x: x * jnp.int32(2), NUMBERS)


def test_hidden_randomness():
    rng = np.random.default_rng(0)
    refusal("purity", lambda x: x + np.float32(rng.uniform()), NUMBERS)


def test_a_hidden_counter():
    calls = []

    def f(x):
        calls.append(None)
        return x + np.float32(len(calls))

    refusal("purity", f, NUMBERS)


def test_a_changed_argument():
    def f(state):
        state["count"] = state["count"] + np.float32(1)
        return state

    assert "changed arguments" in refusal("purity", f, {"count": NUMBERS})


def test_a_tracer_that_is_kept():
    kept = []

    def f(x):
        kept.append(x)
        return x

    assert "tracer" in refusal("purity", f, NUMBERS)


def test_a_key_that_is_used_twice():
    def f(key):
        return jax.random.uniform(key, dtype=jnp.float32) + jax.random.normal(
            key, dtype=jnp.float32
        )

    assert "KeyReuseError" in refusal("keys", f, keys())


def test_a_key_that_is_split_after_use():
    def f(key):
        first = jax.random.uniform(key, dtype=jnp.float32)
        return first + jax.random.uniform(jax.random.split(key)[0], dtype=jnp.float32)

    refusal("keys", f, keys())


@pytest.mark.parametrize("make", [lambda: jax.random.key(7), lambda: jax.random.PRNGKey(7)])
def test_a_key_of_its_own(make):
    def f(key):
        del key
        return jax.random.uniform(make(), dtype=jnp.float32)

    assert "a key of its own" in refusal("keys", f, keys())


def test_a_key_from_outside():
    outside = jax.random.key(7)

    def f(key):
        del key
        return jax.random.uniform(jax.random.clone(outside), dtype=jnp.float32)

    refusal("keys", f, keys())


def test_a_key_of_its_own_in_a_loop():
    def f(key):
        del key
        body = lambda i, x: x + jax.random.uniform(jax.random.key(7), dtype=jnp.float32)  # noqa: E731
        return jax.lax.fori_loop(0, 2, body, jnp.float32(0))

    refusal("keys", f, keys())


def test_a_branch_on_a_value():
    line = refusal("jit", lambda x: x if x > 0 else -x, NUMBERS)
    assert "TracerBoolConversionError" in line


def test_compiled_and_not_compiled_that_differ():
    def f(x):
        return x + np.float32(isinstance(x, Tracer))

    refusal("jit", f, NUMBERS)


def test_a_batch_that_is_not_its_members():
    @jax.custom_batching.custom_vmap
    def f(x):
        return x * np.float32(2)

    @f.def_vmap
    def _(size, batched, x):
        del size
        return x + jnp.sum(x), batched[0]

    refusal("vmap", f, NUMBERS)


def test_a_batch_that_cannot_be():
    @jax.custom_batching.custom_vmap
    def f(x):
        return x * np.float32(2)

    @f.def_vmap
    def _(size, batched, x):
        raise NotImplementedError("one by one")

    assert "no exception under jax.vmap" in refusal("vmap", f, NUMBERS)


def test_shapes_are_compared_with_those_that_should_be():
    like = jax.ShapeDtypeStruct((), jnp.int32)
    with pytest.raises(ContractError, match=r"f breaks 'shapes': got float32\[\], expected int32"):
        checks.check_shapes("f", lambda x: x, jnp.float32(1), like=like)
    assert checks.check_shapes("f", lambda x: x, jnp.int32(1), like=like) == like


@pytest.mark.parametrize(
    "after",
    [
        lambda: jnp.zeros(2, jnp.int32),
        lambda: jnp.zeros(3, jnp.float32),
        lambda: [jnp.zeros(2, jnp.float32)],
        lambda: jnp.broadcast_to(jnp.asarray(0.0), 2),
    ],
)
def test_a_carry_that_changes(after):
    before = jax.eval_shape(lambda: jnp.zeros(2, jnp.float32))
    with pytest.raises(ContractError, match="update breaks 'carry'"):
        checks.check_carry("update", before, jax.eval_shape(after))


def test_a_carry_with_a_key():
    carry = jax.eval_shape(lambda: jax.random.key(0))
    with pytest.raises(ContractError, match="update breaks 'keys': got a key that is carried"):
        checks.check_carry("update", carry, carry)


class Anew:
    """Equal to nothing but itself."""


class Unhashable:
    """Cannot be static under `jit`."""

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Anew, Unhashable])
def test_a_factory_whose_products_jit_does_not_know_again(kind):
    with pytest.raises(ContractError, match="it breaks 'one trace'"):
        functions.check_remade("it", kind(), kind)


def test_a_factory_whose_products_are_equal():
    functions.check_remade("it", (1, 2), lambda: (1, 2))
