"""Rollouts: reproducible, the same however they are batched, compiled or sharded."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES, games_of, tasks_of
from streams import assert_same, keys

from mermaide_jax import agents, base, games, principals
from mermaide_jax.errors import ConfigError

pytestmark = pytest.mark.exact

ARMS, STEPS, NUMBER = 4, 8, 8
CONFIG = games.GameConfig(ARMS, STEPS, observe_time=True)
GAMES = dict(zip(FAMILIES, games_of(FAMILIES, CONFIG), strict=True))
PRINCIPAL = principals.random(GAMES["ucb"].pay_target)
LAST_BITS = 1e-6
"""Float32 programs that XLA fuses differently may differ in the last bits of a sum."""


def one(key, rate, task, game=GAMES["ucb"]):
    return games.rollout(key, game, PRINCIPAL, rate, task)


@functools.cache
def tasks(family="ucb"):
    """Agents of one family."""
    return tasks_of(jax.random.key(0), family, NUMBER, ARMS)


single = jax.jit(one, static_argnums=3)


@functools.partial(jax.jit, static_argnums=3)
def batched(keys, rate, tasks, game=GAMES["ucb"]):
    return jax.vmap(lambda key, task: one(key, rate, task, game))(keys, tasks)


def at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def test_time_is_the_leading_axis_and_dtypes_are_stated():
    trajectory = single(jax.random.key(0), 0.5, at(tasks(), 0))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(trajectory)} == {STEPS}
    assert trajectory.observation.shape == (STEPS, GAMES["ucb"].observation_size)
    assert trajectory.step.agent_estimates.shape == (STEPS, ARMS)
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(trajectory)]
    f, i = jnp.dtype("float32"), jnp.dtype("int32")
    assert dtypes == [f, i, f, i, f, jnp.dtype("bool"), f]


@pytest.mark.parametrize("family", FAMILIES)
def test_same_key_same_trajectory_and_other_key_another(family):
    first, again, other = (
        batched(keys(s, NUMBER), 0.5, tasks(family), GAMES[family]) for s in (1, 1, 2)
    )
    assert_same(first, again)
    assert (first.intervention != other.intervention).any()
    assert (first.step.action != other.step.action).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_equals_loop_and_a_larger_batch_begins_with_the_smaller(family):
    game, agents_met = GAMES[family], tasks(family)
    many = batched(keys(1, NUMBER), 0.5, agents_met, game)
    for index in range(NUMBER):
        alone = single(keys(1, NUMBER)[index], 0.5, at(agents_met, index), game)
        assert_same(at(many, index), alone, LAST_BITS)
    five = batched(keys(1, 5), 0.5, at(agents_met, slice(5)), game)
    assert_same(at(many, slice(5)), five, LAST_BITS)


@pytest.mark.parametrize("family", FAMILIES)
def test_jit_equals_eager(family):
    task = at(tasks(family), 1)
    with jax.disable_jit():
        eager = one(jax.random.key(3), jnp.float32(0.5), task, GAMES[family])
    assert_same(eager, single(jax.random.key(3), 0.5, task, GAMES[family]), LAST_BITS)


MIXED = ("thompson", "ucb", "best_response", "ucb", "epsilon_greedy", "thompson", "ucb")


@functools.partial(jax.jit, static_argnums=2)
def play_mixed(keys, parts, families):
    several = tuple(GAMES[family] for family in families)
    return games.collect(keys, several, PRINCIPAL, 0.5, parts, 2)


def play_in_order(members, all_keys, tasks_met=tasks):
    """The episodes of a set in its own order, whatever that is."""
    population, families = agents.sort_by_family(members)
    parts = tuple(
        at(tasks_met(family), places)
        for family, places in zip(families, population.places, strict=True)
    )
    sorted_keys = jnp.concatenate(population.split(all_keys))
    played = play_mixed(sorted_keys, parts, families)
    sizes = [len(places) for places in population.places]
    return population.merge(agents.population(sizes).split(played))


@pytest.mark.parametrize("seed", range(3))
def test_a_set_in_any_order_is_played_as_each_of_its_agents_alone(seed):
    members = tuple(np.random.default_rng(seed).permutation(MIXED).tolist())
    all_keys = keys(5, len(members))
    played = play_in_order(members, jax.random.clone(all_keys))
    for family in sorted(set(members)):
        own = np.flatnonzero(np.asarray(members) == family)
        part = at(tasks(family), own)
        of_family = play_mixed(all_keys[own], (part,), (family,))
        assert_same(at(played, own), of_family, LAST_BITS)
        first = play_mixed(all_keys[own[:1]], (at(tasks(family), own[:1]),), (family,))
        assert_same(at(played, own[:1]), first, LAST_BITS)


@pytest.mark.parametrize("family", sorted(set(MIXED)))
def test_what_an_agent_does_depends_on_its_own_key_and_task_alone(family):
    """To the last bit, if all others in the set have other keys and tasks."""
    own = np.asarray(MIXED) == family
    number = len(MIXED)
    others = lambda f: tasks(f) if f == family else jax.tree.map(lambda x: x[::-1], tasks(f))  # noqa: E731
    one = play_in_order(MIXED, keys(5, number))
    other = play_in_order(MIXED, jnp.where(own, keys(5, number), keys(9, number)), others)
    assert_same(at(one, own), at(other, own))
    assert (one.reward[~own] != other.reward[~own]).any()


def test_the_parts_of_a_set_come_one_after_the_other():
    families = ("best_response", "ucb")
    parts = (at(tasks("best_response"), slice(3)), at(tasks("ucb"), slice(2)))
    assert games.count_agents(parts) == 5
    several = tuple(GAMES[family] for family in families)
    played = games.collect(jax.random.key(6), several, PRINCIPAL, 0.5, parts, 2)
    assert played.reward.shape == (5, 2, STEPS)
    again = play_mixed(jax.random.split(jax.random.key(6), 5), parts, families)
    assert_same(played, again, LAST_BITS)
    by_hand = games.collect(
        jax.random.split(jax.random.key(6), 5)[3:], several[1], PRINCIPAL, 0.5, parts[1], 2
    )
    assert_same(at(played, slice(3, 5)), by_hand, LAST_BITS)


def test_params_of_each_agent_are_split_like_the_agents():
    parts = (at(tasks("best_response"), slice(3)), at(tasks("ucb"), slice(2)))
    several = tuple(GAMES[family] for family in ("best_response", "ucb"))
    rates = jnp.float32([0, 1, 0, 1, 0])
    played = games.collect(
        jax.random.key(7), several, PRINCIPAL, rates, parts, 2, params_axis=0, batch_size=2
    )
    paid = np.broadcast_to(np.asarray(rates)[:, None, None], played.intervention.shape)
    np.testing.assert_array_equal(played.intervention, paid)


@pytest.mark.parametrize(
    ("several", "parts", "line"),
    [
        (("ucb",), 2, "tasks: got <class 'tuple'>, expected a Task for a game, or a tuple of one"),
        ("ucb", 1, "tasks: got <class 'tuple'>, expected a Task for a game, or a tuple of one"),
        (
            ("ucb",),
            0,
            "tasks: got <class 'mermaide_jax.base.Task'>, expected a Task for a game, or",
        ),
    ],
)
def test_parts_that_are_not_those_of_the_games_are_refused(several, parts, line):
    game = GAMES[several] if isinstance(several, str) else tuple(GAMES[f] for f in several)
    met = (tasks(),) * parts if parts else tasks()
    with pytest.raises(ConfigError) as refusal:
        games.collect(jax.random.key(0), game, PRINCIPAL, 0.5, met, 1)
    assert str(refusal.value).startswith(line)


def test_a_privileged_principal_needs_previews():
    game = GAMES["ucb"]._replace(preview=None)
    seer = base.Principal(lambda params: (), lambda *inputs: (jnp.int32(0), (), ()), True)
    with pytest.raises(ConfigError, match=r"^game.preview: got None, expected one"):
        games.rollout(jax.random.key(0), game, seer, None, at(tasks(), 0))


@pytest.mark.parametrize(
    ("number", "options", "named"),
    [(1, {"params_axis": 1}, "params_axis: got 1"), (0, {}, "num_episodes: got 0")],
)
def test_axes_and_numbers_that_cannot_be_are_refused(number, options, named):
    with pytest.raises(ConfigError, match=named):
        games.collect(jax.random.key(0), GAMES["ucb"], PRINCIPAL, 0.5, tasks(), number, **options)


def test_what_interventions_are():
    kinds = {
        kind: games.make_intervention_game(
            agents.ucb(ARMS), games.GameConfig(ARMS, STEPS, kind=kind)
        ).payment_kind
        for kind in ("binary", "arm", "penalty", "magnitude")
    }
    assert kinds == {"binary": "target", "arm": "arms", "penalty": "other", "magnitude": "target"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_longer_episode_begins_with_the_shorter_one(family):
    (longer,) = games_of([family], games.GameConfig(ARMS, STEPS + 5))
    (shorter,) = games_of([family], games.GameConfig(ARMS, STEPS))
    task = at(tasks(family), 0)
    long, short = (single(jax.random.key(4), 0.5, task, game) for game in (longer, shorter))
    assert_same(at(long, slice(STEPS)), short, LAST_BITS)


def test_other_coefficients_costs_and_equal_configs_do_not_recompile():
    traces = []

    @functools.partial(jax.jit, static_argnums=3)
    def run(key, rate, task, game):
        traces.append(1)
        return one(key, rate, task, game)

    results = []
    for cost, beta, target in ((0.75, 0.17, 0), (0.5, 0.67, 0), (0.25, 0.3, 1)):
        config = games.GameConfig(num_arms=ARMS, horizon=STEPS, observe_time=True)
        agent = agents.make_agent("ucb", ARMS)
        game = games.make_intervention_game(agent, config)
        economics = games.Economics(cost=cost, noise=0.0)
        bandit = games.make_bandit(jnp.linspace(0, 1, ARMS), target, economics)
        task = games.make_task(agent, agents.make_params("ucb", beta), bandit)
        results.append(run(jax.random.key(0), 1.0, task, game).reward)
    assert len(traces) == 1
    compiled: Any = run
    assert compiled._cache_size() == 1
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


@pytest.mark.parametrize("family", FAMILIES)
def test_double_precision_changes_nothing(x64, family):
    (game,) = games_of([family], games.GameConfig(ARMS, STEPS, observe_time=True))
    double = jax.jit(
        jax.vmap(lambda k, r, t: games.rollout(k, game, PRINCIPAL, r, t), (0, None, 0))
    )
    with jax.enable_x64(False):
        expected = batched(keys(1, NUMBER), 0.5, tasks(family), game)
    got = double(keys(1, NUMBER), jnp.float32(0.5), tasks(family))
    assert_same(got, expected, LAST_BITS)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_implicit_promotion(strict_dtypes, family):
    agent, grid = agents.make_agent(family, ARMS), agents.grid_of(family)
    task = games.draw_task(jax.random.key(0), family, agent, grid, ARMS, games.Economics())
    task = games.redraw_rewards(jax.random.key(1), agent, task, games.Economics())
    task = games.target_first(agent, games.relabel_arms(jax.random.key(2), agent, task))
    for kind in ("binary", "arm", "penalty", "magnitude"):
        config = games.GameConfig(ARMS, STEPS, kind, cost_on="uptake", observe_time=True)
        game = games.make_intervention_game(agent, config)
        run = functools.partial(games.rollout, game=game, principal=PRINCIPAL)
        out = jax.eval_shape(run, jax.random.key(0), principal_params=jnp.float32(1), task=task)
        assert out.observation.shape == (STEPS, game.observation_size)


def test_a_principal_that_reuses_its_key_is_found_out():
    def act(key, params, carry, observation):
        pay = jax.random.uniform(key) < jax.random.uniform(key)
        return pay.astype(jnp.int32), carry, ()

    careless = base.Principal(init=lambda params: (), act=act)
    with pytest.raises(jax.errors.KeyReuseError):
        games.rollout(jax.random.key(0), GAMES["ucb"], careless, None, at(tasks(), 0))
