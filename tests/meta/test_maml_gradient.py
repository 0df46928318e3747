"""The meta-gradient over many tasks, with data sampled after adaptation, against a plain loop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from mermaide_jax._jax import batching
from mermaide_jax.errors import ConfigError
from mermaide_jax.meta import (
    TaskGroup,
    inner_loop,
    maml_gradient,
    maml_gradient_of_groups,
    maml_loss,
)

TASKS, SIZE = 6, 3
RNG = np.random.default_rng(0)
THETA = {"x": RNG.normal(size=SIZE), "y": RNG.normal(size=SIZE)}
SUPPORT, SHIFTS = RNG.normal(size=(TASKS, SIZE)), RNG.normal(size=(TASKS, SIZE))


def inner(params, support):
    return jnp.sum(jnp.sin(params["x"] * support) + params["y"] ** 2 * params["x"])


def outer(params, query):
    goal, scale = query
    return scale * jnp.sum((params["x"] * params["y"] - goal) ** 2)


def play(adapted, shifts):
    """What is played depends on the adapted params; nothing is differentiated through it."""
    return jax.lax.stop_gradient(jnp.tanh(adapted["x"]) + shifts)


def prepare(goals):
    """A scale that only all tasks together have."""
    return goals, jnp.broadcast_to(1.0 / jnp.std(goals), (TASKS,))


def by_hand(first_order):
    """One task after the other; the data first, then each task's loss and gradient."""
    adapt = inner_loop(inner, optax.sgd(0.1), first_order=first_order, reference=True)
    goals = jnp.stack(
        [play(adapt(THETA, s), shift) for s, shift in zip(SUPPORT, SHIFTS, strict=True)]
    )
    scale = 1.0 / jnp.std(goals)
    gradient = jax.value_and_grad(maml_loss(adapt, outer))
    parts = [gradient(THETA, s, (g, scale)) for s, g in zip(SUPPORT, goals, strict=True)]
    return np.mean([p[0] for p in parts]), np.mean([ravel_pytree(p[1])[0] for p in parts], 0), goals


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("block_size", [None, 1, 2, 6])
def test_equals_a_loop_over_tasks_in_any_blocks(block_size, first_order, cached, x64, monkeypatch):
    monkeypatch.setattr(batching, "CACHE_BYTES", 2**20 if cached else 1)
    adapt = inner_loop(inner, optax.sgd(0.1), first_order=first_order)
    run = jax.jit(
        lambda theta: maml_gradient(adapt, outer, play, prepare, theta, SUPPORT, SHIFTS, block_size)
    )
    loss, gradient, data = run(THETA)
    expected_loss, expected_gradient, goals = by_hand(first_order)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    np.testing.assert_allclose(ravel_pytree(gradient)[0], expected_gradient, rtol=1e-10)
    np.testing.assert_allclose(data, goals, rtol=1e-12)


@pytest.mark.parametrize("block_size", [0, 4, 1.5])
def test_blocks_that_do_not_divide_the_tasks_are_refused(block_size):
    adapt = inner_loop(inner, optax.sgd(0.1))
    with pytest.raises(ConfigError, match=f"block_size: got {block_size}"):
        maml_gradient(adapt, outer, play, prepare, THETA, SUPPORT, SHIFTS, block_size)


def test_memory_is_that_of_a_block():
    """Four times the tasks in blocks of one size need hardly more temporary memory."""

    def temp(number, block_size):
        adapt = inner_loop(lambda p, s: jnp.sum(jnp.sin(jnp.outer(p["x"], s)) ** 2), optax.sgd(0.1))

        def function(theta, support):
            return maml_gradient(
                adapt,
                lambda p, query: jnp.sum(jnp.cos(p["x"]) * query),
                lambda adapted, _: jnp.sum(adapted["x"], -1),
                lambda data: data,
                theta,
                support,
                jnp.zeros(number),
                block_size,
            )[:2]

        lowered = jax.jit(function).lower({"x": jnp.zeros(64)}, jnp.zeros((number, 64)))
        found: Any = lowered.compile().memory_analysis()
        return found.temp_size_in_bytes

    assert temp(32, 8) < 1.5 * temp(8, 8) < temp(32, None)


PLAYS = (
    play,
    lambda adapted, shifts: jax.lax.stop_gradient(jnp.cos(adapted["y"]) * shifts),
    lambda adapted, shifts: jax.lax.stop_gradient(adapted["x"] * adapted["y"] - shifts),
)


def mixed(adapted, settings):
    """All three in one program, for tasks of any group."""
    shifts, group = settings
    own = [group[:, None] == number for number in range(len(PLAYS))]
    return jnp.select(own, [p(adapted, shifts) for p in PLAYS])


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize(
    ("sizes", "block_size"),
    [
        *(((1, 3, 2), size) for size in (None, 1, 2, 3, 4, 6, 100)),
        ((6,), 4),  # which does not divide the one group
        ((4, 2), 3),
        ((1, 1, 4), 2),
    ],
)
def test_groups_equal_all_tasks_at_once(sizes, block_size, first_order, x64):
    """Whatever the sizes of the groups, and whether blocks divide them or not."""
    adapt = inner_loop(inner, optax.sgd(0.1), first_order=first_order)
    cuts = np.cumsum(sizes)[:-1]
    parts = zip(PLAYS, np.split(SUPPORT, cuts), np.split(SHIFTS, cuts), strict=False)
    groups = [TaskGroup(*part) for part in parts]
    assert [group.size for group in groups] == list(sizes)
    ours = jax.jit(
        lambda theta: maml_gradient_of_groups(adapt, outer, prepare, theta, groups, block_size)
    )(THETA)
    settings = SHIFTS, np.repeat(np.arange(len(sizes)), sizes)
    expected = jax.jit(
        lambda theta: maml_gradient(adapt, outer, mixed, prepare, theta, SUPPORT, settings)
    )(THETA)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("block_size", [0, -1, 1.5])
def test_impossible_blocks_of_groups_are_refused(block_size):
    adapt = inner_loop(inner, optax.sgd(0.1))
    groups = [TaskGroup(play, SUPPORT[:4], SHIFTS[:4]), TaskGroup(play, SUPPORT[4:], SHIFTS[4:])]
    with pytest.raises(ConfigError, match=f"^block_size: got {block_size}, expected an integer >="):
        maml_gradient_of_groups(adapt, outer, prepare, THETA, groups, block_size)


def test_no_groups_are_refused():
    with pytest.raises(ConfigError, match=r"^number of groups: got 0, expected an integer >= 1$"):
        maml_gradient_of_groups(inner_loop(inner, optax.sgd(0.1)), outer, prepare, THETA, [])
