"""Rollouts: reproducible, the same however they are batched, compiled or sharded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same, keys

from mermaide_jax import agents, base, games, principals
from mermaide_jax.errors import ConfigError

ARMS, STEPS, NUMBER = 4, 8, 8
AGENT = agents.standard_population(ARMS)
GAME = games.make_intervention_game(AGENT, games.GameConfig(ARMS, STEPS, observe_time=True))
PRINCIPAL = principals.random(GAME.pay_target)
LAST_BITS = 1e-6
"""Float32 programs that XLA fuses differently may differ in the last bits of a sum."""


def one(key, rate, task, game=GAME):
    return games.rollout(key, game, PRINCIPAL, rate, task)


@functools.cache
def tasks():
    """Agents of all rules."""
    family = jnp.arange(NUMBER) % len(agents.RULES)
    draw = jax.vmap(lambda k, r: games.draw_task(k, r, (0.2, 0.6), ARMS, games.Economics()))
    return draw(keys(0, NUMBER), family)


batched = jax.jit(jax.vmap(one, (0, None, 0)))
single = jax.jit(one)


def at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def test_time_is_the_leading_axis_and_dtypes_are_stated():
    trajectory = single(jax.random.key(0), 0.5, at(tasks(), 0))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(trajectory)} == {STEPS}
    assert trajectory.observation.shape == (STEPS, GAME.observation_size)
    assert trajectory.step.agent_estimates.shape == (STEPS, ARMS)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(trajectory)]
    f, i = jnp.dtype("float32"), jnp.dtype("int32")
    assert dtypes == [f, i, f, i, f, jnp.dtype("bool"), f]


def test_same_key_same_trajectory_and_other_key_another():
    first, again, other = (batched(keys(s, NUMBER), 0.5, tasks()) for s in (1, 1, 2))
    assert_same(first, again)
    assert (first.intervention != other.intervention).any()
    assert (first.step.action != other.step.action).any()


def test_batch_equals_loop_and_a_larger_batch_begins_with_the_smaller():
    many = batched(keys(1, NUMBER), 0.5, tasks())
    for index in range(NUMBER):
        assert_same(
            at(many, index), single(keys(1, NUMBER)[index], 0.5, at(tasks(), index)), LAST_BITS
        )
    five = batched(keys(1, 5), 0.5, at(tasks(), slice(5)))
    assert_same(at(many, slice(5)), five, LAST_BITS)


def test_jit_equals_eager():
    task = at(tasks(), 1)
    with jax.disable_jit():
        eager = one(jax.random.key(3), jnp.float32(0.5), task)
    assert_same(eager, single(jax.random.key(3), 0.5, task), LAST_BITS)


@pytest.mark.parametrize(
    ("number", "options", "named"),
    [(1, {"params_axis": 1}, "params_axis: got 1"), (0, {}, "num_episodes: got 0")],
)
def test_axes_and_numbers_that_cannot_be_are_refused(number, options, named):
    with pytest.raises(ConfigError, match=named):
        games.collect(jax.random.key(0), GAME, PRINCIPAL, 0.5, tasks(), number, **options)


def test_what_interventions_are():
    kinds = {
        kind: games.make_intervention_game(
            AGENT, games.GameConfig(ARMS, STEPS, kind=kind)
        ).payment_kind
        for kind in ("binary", "arm", "penalty", "magnitude")
    }
    assert kinds == {"binary": "target", "arm": "arms", "penalty": "other", "magnitude": "target"}


def test_a_longer_episode_begins_with_the_shorter_one():
    config = games.GameConfig(ARMS, STEPS + 5, observe_time=False)
    long_game = games.make_intervention_game(AGENT, config)
    short_game = games.make_intervention_game(AGENT, games.GameConfig(ARMS, STEPS))
    run = jax.jit(one, static_argnums=3)
    long, short = (run(jax.random.key(4), 0.5, at(tasks(), 0), g) for g in (long_game, short_game))
    assert_same(at(long, slice(STEPS)), short, LAST_BITS)


def test_other_coefficients_costs_and_equal_configs_do_not_recompile():
    traces = []

    @functools.partial(jax.jit, static_argnums=3)
    def run(key, rate, task, game):
        traces.append(1)
        return one(key, rate, task, game)

    results = []
    for cost, beta, family in ((0.75, 0.17, 0), (0.5, 0.67, 0), (0.25, 0.3, 1)):
        config = games.GameConfig(num_arms=ARMS, horizon=STEPS, observe_time=True)
        game = games.make_intervention_game(agents.standard_population(ARMS), config)
        economics = games.Economics(cost=cost, noise=0.0)
        task = games.make_task(family, beta, jnp.linspace(0, 1, ARMS), 1, economics)
        results.append(run(jax.random.key(0), 1.0, task, game).reward)
    assert len(traces) == 1
    assert run._cache_size() == 1
    # The swept leaves are read, not baked in.
    assert sorted({float(reward.min()) for reward in results}) == [-0.75, -0.5, -0.25]


def test_two_devices_equal_one():
    devices = jax.devices()
    assert len(devices) >= 2, "the suite runs on two CPU devices"
    mesh = jax.sharding.Mesh(np.asarray(devices[:2]), ("batch",))
    shard = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    sharded_keys, sharded_tasks = jax.device_put((keys(1, NUMBER), tasks()), shard)
    two = batched(sharded_keys, 0.5, sharded_tasks)
    assert len(two.reward.sharding.device_set) == 2
    assert_same(two, batched(keys(1, NUMBER), 0.5, tasks()), LAST_BITS)


def test_double_precision_changes_nothing(x64):
    game = games.make_intervention_game(AGENT, games.GameConfig(ARMS, STEPS, observe_time=True))
    double = jax.jit(
        jax.vmap(lambda k, r, t: games.rollout(k, game, PRINCIPAL, r, t), (0, None, 0))
    )
    with jax.enable_x64(False):
        expected = batched(keys(1, NUMBER), 0.5, tasks())
    assert_same(double(keys(1, NUMBER), jnp.float32(0.5), tasks()), expected, LAST_BITS)


def test_no_implicit_promotion(strict_dtypes):
    task = games.draw_task(jax.random.key(0), 2, (0.1, 0.2), ARMS, games.Economics())
    task = games.redraw_rewards(jax.random.key(1), task, games.Economics())
    task = games.relabel_arms(jax.random.key(2), task)
    for kind in ("binary", "arm", "penalty", "magnitude"):
        config = games.GameConfig(ARMS, STEPS, kind, cost_on="uptake", observe_time=True)
        game = games.make_intervention_game(AGENT, config)
        run = functools.partial(games.rollout, game=game, principal=PRINCIPAL)
        out = jax.eval_shape(run, jax.random.key(0), principal_params=jnp.float32(1), task=task)
        assert out.observation.shape == (STEPS, game.observation_size)


def test_a_principal_that_reuses_its_key_is_found_out():
    def act(key, params, carry, observation):
        pay = jax.random.uniform(key) < jax.random.uniform(key)
        return pay.astype(jnp.int32), carry, ()

    careless = base.Principal(init=lambda params: (), act=act)
    with pytest.raises(jax.errors.KeyReuseError):
        games.rollout(jax.random.key(0), GAME, careless, None, at(tasks(), 0))
