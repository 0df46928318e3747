"""The peers of the meta-step do the same work: gradients against the library's, agents, FLOPs."""

import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from benchmarks.peers import meta_flax, meta_torch
from benchmarks.workloads import meta_bound, meta_workload
from benchmarks.workloads.meta_workload import MetaWorkload
from mermaide_jax import meta
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.objective import (
    Episodes,
    advantages,
    make_adapt,
    outer_loss,
)

WORK = MetaWorkload(horizon=6, num_arms=3, num_tasks=2, episodes=2, features=8)
TINY = {"horizon": 3, "num_arms": 2, "num_tasks": 2, "episodes": 1, "features": 2, "num_layers": 1}
TORCH_PEERS = ["torch_func", "torch_gru", "torch_opt"]
RATE = 0.05  # far more than published, so that the second-order term is large


@pytest.fixture
def fast_inner_loop(monkeypatch):
    monkeypatch.setattr(meta_workload, "INNER_RATE", RATE)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def double(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


@functools.cache
def made_up_episodes():
    """Any episodes ``[N, E, T]``, before and after adaptation, with their observations."""
    shape, arms = (WORK.num_tasks, WORK.episodes, WORK.horizon), WORK.num_arms
    target = np.eye(arms)[meta_workload.make_tasks(WORK).target]
    out = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        intervention, action = rng.integers(0, 2, shape), rng.integers(0, arms, shape)
        observation = np.zeros((*shape, 2 * arms + 1))
        observation[:, :, 1:, :arms] = np.eye(arms)[action[:, :, :-1]]
        observation[:, :, 1:, arms] = intervention[:, :, :-1]
        observation[..., arms + 1 :] = target[:, None, None]
        played: Any = (observation, intervention, action, rng.normal(size=shape))
        out.append(Episodes(*played))
    return out


@functools.cache
def library_gradient(order):
    """The meta-gradient of the library's losses and inner loop, flat, in double precision."""
    work = dataclasses.replace(WORK, order=order)
    config = TrainingConfig(inner_learning_rate=RATE, meta_gradient=f"{order}_order")
    network = NetworkConfig("gru", work.features, work.num_layers)
    learned = learned_principal(network, work.inputs["world_model"], work.num_arms, 2)
    adapt = make_adapt(config, learned)
    bonus = meta_workload.ENTROPY_BONUS
    loss = meta.maml_loss(adapt, lambda params, query: outer_loss(learned, bonus, params, *query))
    before, after = (jax.tree.map(jnp.asarray, episodes) for episodes in made_up_episodes())

    def objective(side_by_side):
        params = meta_workload.to_library(side_by_side)
        evaluation = after, advantages(after.reward)
        of_task = lambda b, e: loss(params, b, e)[0]  # noqa: E731
        return jnp.mean(jax.vmap(of_task)(before, evaluation))

    gradient = jax.jit(jax.grad(objective))(double(meta_workload.make_params(work)))
    return np.asarray(ravel_pytree(gradient)[0])


def assert_equal_gradients(gradient, expected, tolerance=1e-9):
    gradient = np.asarray(ravel_pytree(gradient)[0])
    assert np.linalg.norm(gradient - expected) < tolerance * np.linalg.norm(expected)


@pytest.mark.usefixtures("x64")
def test_the_second_order_term_is_seen():
    first, second = library_gradient("first"), library_gradient("second")
    assert np.linalg.norm(first - second) > 0.05 * np.linalg.norm(first)


@pytest.mark.usefixtures("x64", "fast_inner_loop")
@pytest.mark.parametrize("order", ["first", "second"])
def test_flax_has_the_meta_gradient_of_the_library(order):
    work = dataclasses.replace(WORK, order=order)
    loss = meta_flax.make_meta_loss(work, meta_flax.make_play(work))
    params = meta_flax.from_library(double(meta_workload.make_params(work)))
    keys = jax.random.split(jax.random.key(0), (work.num_tasks, 2, work.episodes))
    given = tuple(
        meta_flax.Played(e.intervention.astype(np.int32), e.action.astype(np.int32), e.reward)
        for e in made_up_episodes()
    )
    tasks = jax.tree.map(jnp.asarray, meta_workload.make_tasks(work))
    gradient = jax.jit(jax.grad(loss))(params, keys, tasks, given)
    assert_equal_gradients(meta_flax.to_library(gradient), library_gradient(order))


@pytest.mark.usefixtures("x64", "fast_inner_loop")
@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("way", ["vmap", "plain", "loop", "torchopt"])
def test_torch_has_the_meta_gradient_of_the_library(way, order, torch):
    from benchmarks.peers import meta_torch_losses, meta_torch_play

    if way == "torchopt":
        pytest.importorskip("torchopt")
    make = {
        "vmap": meta_torch_losses.adapt_by_vmap,
        "plain": functools.partial(meta_torch_losses.adapt_by_vmap, plain=True),
        "loop": meta_torch_losses.adapt_in_a_loop,
        "torchopt": meta_torch_losses.adapt_by_torchopt,
    }[way]
    work = dataclasses.replace(WORK, order=order)
    tree = double(meta_workload.make_params(work))
    params = meta_torch_play.to_torch(tree)
    fields = meta_torch_play.Episodes._fields
    before, after = (
        meta_torch_play.Episodes(*(torch.as_tensor(getattr(episodes, name)) for name in fields))
        for episodes in made_up_episodes()
    )
    _, say = make(work)(params, before)
    meta_torch_losses.outer_loss(say(after), after).backward()
    _, unflatten = ravel_pytree(tree)
    names = ["/".join(k.key for k in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    gradient = np.concatenate([params[name].grad.numpy().ravel() for name in names])
    assert_equal_gradients(unflatten(jnp.asarray(gradient)), library_gradient(order))


def play_flax(work, tasks):
    play = meta_flax.make_play(work)
    params = meta_flax.from_library(meta_workload.make_params(work))
    keys = jax.random.split(jax.random.key(1), (work.num_tasks, work.episodes))
    over_episodes = jax.vmap(play, in_axes=(None, 0, None))
    episode = jax.jit(jax.vmap(over_episodes, in_axes=(None, 0, 0)))(params, keys, tasks)
    return jax.tree.map(np.asarray, episode.played)


def play_torch(work, tasks):
    pytest.importorskip("torch")
    from benchmarks.peers import meta_torch_play

    params = meta_torch_play.to_torch(meta_workload.make_params(work))
    episodes = meta_torch_play.play(work, params, tasks)
    fields = {name: getattr(episodes, name).numpy() for name in episodes._fields}
    assert (fields["observation"].sum(-1)[:, :, 0] == 1).all()  # the target alone
    seen = fields["observation"][:, :, 1:]
    np.testing.assert_array_equal(seen[..., : work.num_arms].argmax(-1), fields["action"][..., :-1])
    np.testing.assert_array_equal(seen[..., work.num_arms], fields["intervention"][..., :-1])
    return meta_flax.Played(fields["intervention"], fields["action"], fields["reward"])


@pytest.mark.parametrize("play", [play_flax, play_torch])
def test_agents_follow_ucb_and_rewards_the_game(play, monkeypatch):
    monkeypatch.setattr(meta_workload, "NOISE", 0.0)
    work = dataclasses.replace(WORK, horizon=30)
    tasks = meta_workload.make_tasks(work)
    played = play(work, tasks)
    paid, taken = played.intervention, played.action
    assert 0.1 < paid.mean() < 0.9
    hits = taken == tasks.target[:, None, None]
    np.testing.assert_allclose(played.reward, hits - 0.75 * paid)
    for task, episode in np.ndindex(work.num_tasks, work.episodes):
        counts, totals = np.zeros((2, work.num_arms))
        for t, arm in enumerate(taken[task, episode]):
            if t < work.num_arms:
                assert counts[arm] == 0
            else:
                index = totals / counts + 0.42 * np.sqrt(np.log(t) / counts)
                assert index[arm] > index.max() - 1e-5
            bonus = paid[task, episode, t] * (arm == tasks.target[task])
            counts[arm] += 1
            totals[arm] += tasks.mean_rewards[task, arm] + bonus


def finite_run(factory, **options):
    run = factory(**options)
    json.dumps(run.facts)
    first, second = run(), run()
    assert 0 < first < 1e3 and 0 < second < 1e3
    return run, (first, second)


def test_flax_runs_and_forgets_nothing():
    with jax.debug_key_reuse(False):  # going back plays each step again, on the same draws
        run, (first, second) = finite_run(meta_flax.flax_cells, remat=True, **TINY)
    assert first != second
    assert run.facts["temp_bytes"] > 0 and run.facts["compile_s"] > 0


def test_the_torch_peers_do_the_same_steps(torch):
    pytest.importorskip("torchopt")
    _, expected = finite_run(meta_torch.torch_func, **TINY)
    for name in TORCH_PEERS[1:]:
        _, norms = finite_run(getattr(meta_torch, name), **TINY)
        np.testing.assert_allclose(norms, expected, rtol=1e-4)


@pytest.mark.parametrize("library", ["numpy", "jax", "torch"])
def test_gemm_multiplies(library):
    pytest.importorskip(library)
    run = meta_bound.gemm(library=library, size=8, products=2)
    assert run.facts["flops"] == 2 * 2 * 8**3
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    np.testing.assert_allclose(run(), np.linalg.matrix_power(matrix, 3)[0, 0], atol=1e-5)


def product_flops(jaxpr):
    """FLOPs of all matrix products of a program, those of a scan as often as it runs."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            sizes = [equation.invars[0].aval.shape[axis] for axis in contracted]
            total += 2 * int(np.prod(sizes + list(equation.outvars[0].aval.shape)))
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += equation.params.get("length", 1) * product_flops(inner)
    return total


def test_flops_are_those_that_differentiation_makes():
    work = MetaWorkload(horizon=5, num_arms=3, num_tasks=4, episodes=2, features=7, num_layers=3)
    play = meta_flax.make_play(work)
    params = meta_flax.from_library(meta_workload.make_params(work))
    key, tasks = jax.random.key(0), meta_workload.make_tasks(work)
    task = meta_workload.Tasks(jnp.asarray(tasks.mean_rewards[0]), jnp.asarray(tasks.target[0]))

    def loss(params):
        episode = play(params, jax.random.clone(key), task)
        return jnp.sum(episode.log_prob + episode.log_likelihood)

    def count(function):
        return product_flops(jax.make_jaxpr(function)(params).jaxpr)

    flops, episodes = meta_bound.meta_step_flops(work), work.num_tasks * work.episodes
    gradient = jax.grad(loss)
    assert flops.sampling == 2 * episodes * count(loss)
    assert flops.replay == flops.sampling
    assert flops.inner == flops.outer == episodes * count(gradient)
    both = count(lambda params: jax.jvp(gradient, (params,), (params,)))
    assert flops.hessian_vector == episodes * (both - count(gradient))
    assert flops.least == flops.total - flops.replay
    first_order = meta_bound.meta_step_flops(dataclasses.replace(work, order="first"))
    assert first_order.total == flops.total - flops.hessian_vector


def test_memory_is_what_a_call_takes_at_its_peak():
    taken = meta_workload.memory_of(lambda: np.ones(50_000_000, np.uint8).sum())
    if taken is None:
        pytest.skip("not known on this system")
    assert 45e6 < taken < 90e6


def test_tasks_are_fixed_by_the_seed_and_no_target_is_the_best_arm():
    tasks, again = (meta_workload.make_tasks(MetaWorkload(num_tasks=99)) for _ in range(2))
    np.testing.assert_array_equal(tasks.mean_rewards, again.mean_rewards)
    assert (tasks.target != tasks.mean_rewards.argmax(1)).all()
    assert set(tasks.target) == set(range(10))


@pytest.mark.parametrize(
    "options", [{"num_arms": 1}, {"horizon": 0}, {"episodes": 0}, {"order": "third"}]
)
def test_wrong_sizes_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        MetaWorkload(**options)
