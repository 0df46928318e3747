"""Counts of traced and compiled work against counts by hand."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.guard.counting import (
    Traced,
    count_compiled,
    count_traced,
    counted_compilations,
)

X = jax.ShapeDtypeStruct((4, 5), jnp.float32)
W = jax.ShapeDtypeStruct((5, 5), jnp.float32)
PRODUCT = 2 * 4 * 5 * 5


def repeated(times, x, w):
    return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), x.sum()), x, length=times)


@pytest.mark.parametrize("times", [1, 3, 7])
def test_the_body_of_a_scan_counts_as_often_as_it_runs(times):
    counts = count_traced(lambda x, w: repeated(times, x, w), X, W)
    assert counts == Traced(times * PRODUCT, times * (20 + 20), times * 20, 0)


def test_loops_within_loops():
    def outer(x, w):
        return jax.lax.scan(lambda x, _: (repeated(3, x, w)[0], None), x, length=5)

    assert count_traced(outer, X, W).product_flops == 15 * PRODUCT
    counted = count_traced(lambda x, w: jax.lax.fori_loop(0, 6, lambda _, x: x @ w, x), X, W)
    assert counted.product_flops == 6 * PRODUCT


def test_what_is_written_in_place_counts_alone():
    row = jax.ShapeDtypeStruct((5,), jnp.float32)
    put = lambda x, y: x.at[2].set(y, indices_are_sorted=True, unique_indices=True)  # noqa: E731
    assert count_traced(put, X, row).elements <= 5  # indices alone
    add = lambda x, y: x.at[jnp.array([1, 3])].add(y)  # noqa: E731
    more = count_traced(add, X, row).elements
    assert 10 <= more < 20  # two rows of 5, and indices


def test_a_loop_of_unknown_length_counts_once():
    def unknown(n, x, w):
        return jax.lax.fori_loop(0, n, lambda _, x: x @ w, x)

    assert count_traced(unknown, 9, X, W).product_flops == PRODUCT


def test_the_dearer_branch_counts():
    def choose(flag, x, w):
        return jax.lax.cond(flag, lambda: x, lambda: x @ w @ w)

    assert count_traced(choose, True, X, W).product_flops == 2 * PRODUCT


def with_jvp(function):
    wrapped = jax.custom_jvp(function)
    wrapped.defjvp(lambda primals, tangents: (wrapped(*primals), function(*tangents)))
    return wrapped


def with_vjp(function):
    wrapped = jax.custom_vjp(function)
    wrapped.defvjp(lambda *inputs: (function(*inputs), inputs), lambda inputs, _: inputs)
    return wrapped


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, with_jvp, with_vjp])
def test_wrapped_programs_count_once(wrap):
    assert count_traced(wrap(lambda x, w: x @ w), X, W).product_flops == PRODUCT


def test_batched_products_and_gradients():
    batch = jax.ShapeDtypeStruct((3, 4, 5), jnp.float32)
    assert count_traced(jax.vmap(jnp.matmul, (0, None)), batch, W).product_flops == 3 * PRODUCT
    gradient = jax.grad(lambda w, x: (x @ w).sum())
    assert count_traced(gradient, W, X).product_flops == 2 * PRODUCT


def test_moving_numbers_is_free_and_drawing_them_is_not():
    counted = count_traced(lambda x: jnp.concatenate([x.T, x[:, :4].reshape(4, 4)]), X)
    assert counted == Traced()
    key = jax.eval_shape(jax.random.key, 0)
    assert count_traced(lambda key: jax.random.bits(key, (6,)), key).random_words == 6


def test_compiled_counts():
    counts = count_compiled(lambda x, w: repeated(30, x, w), X, W)
    assert PRODUCT <= counts.flops < 2 * PRODUCT  # XLA counts the body once
    assert counts.loops == 1
    assert counts.fusions <= counts.instructions < 200
    assert counts.bytes_accessed > 4 * 45
    # A second, unlike loop is seen in all of them.
    twice = count_compiled(lambda x, w: (repeated(30, x, w), repeated(30, x + 1, 2 * w)), X, W)
    assert twice.loops == 2
    assert twice.flops > 1.9 * counts.flops
    assert twice.temp_bytes > counts.temp_bytes


def test_compilations_are_counted_by_name():
    def countable(x):
        return x + 1

    function = jax.jit(countable)
    with counted_compilations() as counts:
        function(1)
        function(2)
        function(2.0)
    name = next(name for name in counts if "countable" in name)
    assert counts[name] == 2
    function(jnp.zeros(3))
    assert counts[name] == 2
