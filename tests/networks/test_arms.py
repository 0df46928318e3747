"""Arm-shared networks: statistics against plain loops, symmetry under names, step = replay."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from mermaide_jax.errors import ConfigError
from mermaide_jax.networks import arms as networks_arms
from mermaide_jax.networks.arms import DECAYS, ArmHead, FlatDense

ARMS, STEPS, HIDDEN = 4, 7, 5
KINDS = {"binary": 1, "grid": 2, "arm": ARMS, "as many magnitudes as arms": ARMS}


def episode(seed, payments, beliefs=False):
    """Observations ``[T, O]`` of a made-up episode, as the game encodes them, and its raw parts."""
    rng = np.random.default_rng(seed)
    actions, paid = rng.integers(0, ARMS, STEPS), rng.integers(0, payments + 1, STEPS)
    target, rows = rng.integers(0, ARMS), []
    for step in range(STEPS):
        action, payment = np.zeros(ARMS), np.zeros(payments)
        if step:
            action[actions[step - 1]] = 1
            if paid[step - 1]:
                payment[paid[step - 1] - 1] = 1
        rows.append(np.concatenate([action, payment, np.eye(ARMS)[target]]))
    rows = np.array(rows, np.float32)
    if beliefs:
        rows = np.concatenate([rows, rng.dirichlet(np.ones(ARMS), STEPS)], 1).astype(np.float32)
    return jnp.asarray(rows), actions, paid, target


@functools.cache
def head(kind, per_arm, memory=False):
    """A module and params of which every leaf is drawn."""
    payments = KINDS[kind]
    number = ARMS if per_arm else payments + 1
    module = ArmHead(number, ARMS, payments, kind == "arm", per_arm, HIDDEN, 2, memory)
    inputs = episode(0, payments)[0][0]
    shapes = jax.eval_shape(module.init, jax.random.key(0), module.initial_carry(), inputs)
    rng = np.random.default_rng(1)
    return module, jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), shapes
    )


def step_by_step(module, variables, inputs):
    carry, logits = module.initial_carry(), []
    for row in inputs:
        carry, out = module.apply(variables, carry, row)
        logits.append(out)
    return carry, jnp.stack(logits)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_a_plain_loop(kind):
    observations, actions, paid, target = episode(3, KINDS[kind])
    history = networks_arms.empty_history(ARMS)
    reader = head(kind, True)[0].reader
    for row in observations:
        history = networks_arms.update_history(history, reader.parts(row), reader.pays_arms)
    played = list(zip(actions[:-1], paid[:-1], strict=True))
    aims = [(None if not u else (u - 1 if kind == "arm" else target)) for _, u in played]
    for arm in range(ARMS):
        pulls = [step for step, (action, _) in enumerate(played) if action == arm]
        assert history.pulls[arm] == len(pulls)
        assert history.paid[arm] == sum(aims[step] == arm for step in pulls)
        assert history.since[arm] == len(played) - 1 - (pulls[-1] if pulls else -1)
        fading = [sum((1 - d) * d ** (len(played) - 1 - step) for step in pulls) for d in DECAYS]
        np.testing.assert_allclose(history.fading[arm], fading, rtol=1e-5, atol=1e-7)
    assert history.time == len(played)
    assert history.payments == sum(aim is not None for aim in aims)
    refused = [a != aim for (a, _), aim in zip(played, aims, strict=True) if aim is not None]
    assert history.refused == sum(refused)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_arm", [True, False])
@pytest.mark.parametrize("beliefs", [True, False])
def test_replay_says_what_was_said_step_by_step(kind, per_arm, beliefs):
    module, variables = head(kind, per_arm)
    if beliefs:  # one more feature of each arm
        variables = jax.tree.map(lambda x: x, variables)
        kernel = variables["params"]["first"]["kernel"]
        variables["params"]["first"]["kernel"] = jnp.concatenate([kernel, kernel[:1]])
    inputs = episode(5, KINDS[kind], beliefs)[0]
    logits = jnp.asarray(module.apply(variables, inputs, method="unroll"))
    np.testing.assert_allclose(
        logits, step_by_step(module, variables, inputs)[1], rtol=1e-5, atol=1e-5
    )
    batch = jnp.stack([inputs, inputs[::-1]], axis=1)
    both = jnp.asarray(module.apply(variables, batch, method="unroll"))
    np.testing.assert_allclose(both[:, 0], logits, rtol=1e-5, atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(ARMS)))
@pytest.mark.parametrize("kind", KINDS)
def test_new_names_for_arms_give_the_same_answers_under_new_names(kind, seed, order):
    order = np.array(order)
    inputs, payments = np.asarray(episode(seed, KINDS[kind])[0]), KINDS[kind]
    cut = [ARMS, ARMS + payments]
    action, payment, target = np.split(inputs, cut, axis=1)
    payment = payment[:, order] if kind == "arm" else payment
    renamed = np.concatenate([action[:, order], payment, target[:, order]], axis=1)
    for per_arm in (True, False):
        module, variables = head(kind, per_arm)
        params = {**variables["params"], "embedding": jnp.zeros((ARMS, networks_arms.EMBEDDING))}
        say = jax.jit(lambda x: module.apply({"params": params}, x, method="unroll"))  # noqa: B023
        before, after = say(jnp.asarray(inputs)), say(jnp.asarray(renamed))
        if per_arm:
            before = before[:, order]
        elif kind == "arm":
            before = jnp.concatenate([before[:, :1], before[:, 1:][:, order]], axis=1)
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_embedding_tells_arms_apart():
    module, variables = head("binary", True)
    inputs = episode(0, 1)[0]
    at_start = module.apply(variables, inputs[:1], method="unroll")[0]
    target = int(inputs[0, -ARMS:].argmax())
    others = np.delete(np.asarray(at_start), target)
    assert np.ptp(others) > 1e-3  # nothing was seen yet: only the embedding differs
    params = {**variables["params"], "embedding": jnp.zeros((ARMS, networks_arms.EMBEDDING))}
    at_start = module.apply({"params": params}, inputs[:1], method="unroll")[0]
    assert np.ptp(np.delete(np.asarray(at_start), target)) < 1e-5


@pytest.mark.parametrize("steps", [3, 16, 100])
def test_recollection_is_that_of_a_plain_loop(steps):
    rng = np.random.default_rng(steps)
    actions, interventions = rng.integers(0, ARMS, (2, steps)), rng.integers(0, 3, (2, steps))
    memory = networks_arms.summarise_episodes(
        jnp.asarray(actions), jnp.asarray(interventions), ARMS
    )
    assert memory.shape == (ARMS, networks_arms.MEMORY) and memory.dtype == jnp.float32
    bounds = [round(share * steps) for share in networks_arms.SEGMENTS]
    for arm in range(ARMS):
        expected = []
        for start, stop in itertools.pairwise(bounds):
            played = [(k, t) for k in range(2) for t in range(start, stop)]
            paid = [place for place in played if interventions[place] > 0]
            free = [place for place in played if interventions[place] == 0]
            for group in (free, paid):
                expected.append(sum(actions[p] == arm for p in group) / (len(group) + 1))
            expected.append(len(paid) / max(len(played), 1))
        np.testing.assert_allclose(memory[arm], [*expected, 1.0], rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(ARMS)))
def test_recollection_renames_with_the_arms(seed, order):
    rng = np.random.default_rng(seed)
    actions, paid = rng.integers(0, ARMS, (2, STEPS)), rng.integers(0, 2, (2, STEPS))
    renamed = np.argsort(order)[actions]
    before, after = (
        networks_arms.summarise_episodes(jnp.asarray(a), jnp.asarray(paid), ARMS)
        for a in (actions, renamed)
    )
    np.testing.assert_array_equal(after, np.asarray(before)[np.array(order)])


@pytest.mark.parametrize("per_arm", [True, False])
def test_memory_is_read_but_never_moved_by_gradients(per_arm):
    module, params = head("binary", per_arm, memory=True)
    inputs = episode(0, 1)[0]
    say = lambda p: jnp.asarray(module.apply(p, inputs, method="unroll"))  # noqa: E731
    np.testing.assert_allclose(say(params), step_by_step(module, params, inputs)[1], rtol=1e-4)
    gradient = jax.grad(lambda p: jnp.sum(say(p) ** 2))(params)["params"]
    assert not np.any(gradient.pop("memory"))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
    empty = {**params["params"], "memory": jnp.zeros((ARMS, networks_arms.MEMORY))}
    assert np.abs(say(params) - say({"params": empty})).max() > 1e-2


def test_params_do_not_grow_with_arms_but_for_the_embedding():
    def sizes(arms):
        module = ArmHead(arms, arms, 1, False, True, HIDDEN, 2)
        inputs = jnp.zeros(2 * arms + 1)
        params = jax.eval_shape(module.init, jax.random.key(0), module.initial_carry(), inputs)
        return {k: jax.tree.map(jnp.shape, v) for k, v in params["params"].items()}

    few, many = sizes(3), sizes(12)
    assert few.pop("embedding") != many.pop("embedding")
    assert few == many


def test_a_dense_layer_of_parts_is_one_of_what_they_are_side_by_side():
    rng = np.random.default_rng(0)
    shapes = [(5, ARMS, 3), (5, 1, 2), (ARMS, 4)]
    parts = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]
    spread = [jnp.broadcast_to(x, (5, ARMS, x.shape[-1])) for x in parts]
    together = jnp.concatenate(spread, axis=-1)
    for use_bias in (True, False):
        mine: Any = FlatDense(HIDDEN, use_bias)
        flax: Any = nn.Dense(HIDDEN, use_bias)
        params = mine.init(jax.random.key(1), *parts)
        jax.tree.map(np.testing.assert_array_equal, params, flax.init(jax.random.key(1), together))
        loss = lambda p, *x: jnp.sum(jnp.sin(mine.apply(p, *x)))  # noqa: B023, E731
        other = lambda p, x: jnp.sum(jnp.sin(flax.apply(p, x)))  # noqa: B023, E731
        np.testing.assert_allclose(
            mine.apply(params, *parts), flax.apply(params, together), rtol=1e-5, atol=1e-6
        )
        for order in (jax.grad, lambda f: jax.grad(lambda *a: sum(map(jnp.sum, tree(f, *a))))):
            jax.tree.map(
                lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
                order(loss)(params, *parts),
                order(other)(params, together),
            )


def tree(loss, params, *inputs):
    """Leaves of the gradient."""
    return jax.tree.leaves(jax.grad(loss)(params, *inputs))


def test_observations_without_the_target_are_refused():
    module = ArmHead(ARMS, ARMS, 1, False, True)
    with pytest.raises(ConfigError, match="observation: got 5"):
        module.init(jax.random.key(0), module.initial_carry(), jnp.zeros(ARMS + 1))


def test_beliefs_are_read_arm_by_arm_however_many_there_are():
    payments, rows = 1, episode(3, 1, beliefs=True)[0]
    module: Any = ArmHead(ARMS, ARMS, payments, False, True, HIDDEN, 2)
    twice = jnp.concatenate([rows, rows[:, -ARMS:]], axis=1)
    variables = module.init(jax.random.key(0), module.initial_carry(), twice[0])
    rng = np.random.default_rng(4)
    variables = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32), variables
    )
    once = jax.tree.map(lambda x: x, variables)
    kernel = once["params"]["first"]["kernel"]
    # Statistics of an arm come first, nine of them; then its beliefs.
    merged = kernel.at[9].add(kernel[10])
    once["params"]["first"]["kernel"] = jnp.delete(merged, 10, axis=0)
    both = step_by_step(module, variables, twice)[1]
    np.testing.assert_allclose(both, step_by_step(module, once, rows)[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        both, module.apply(variables, twice, method="unroll"), rtol=1e-5, atol=1e-5
    )
