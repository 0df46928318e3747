"""The protocols: what their defaults do, and that every leaf of a task may be swept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES, HabitsParams, games_of, habits, tasks_of
from streams import assert_same, keys

from mermaide_jax import base, games, principals

ARMS, STEPS = 3, 5


def test_the_default_renames_every_leaf_over_arms_and_no_other():
    params = {
        "of_arms": jnp.arange(3.0),
        "matrix": jnp.arange(6).reshape(3, 2),
        "other_axis": jnp.arange(6).reshape(2, 3),
        "scalar": 0.5,
        "shorter": jnp.arange(2),
        "nothing": None,
    }
    renamed = base.permute_arms(params, jnp.asarray([2, 0, 1]))
    expected = params | {"of_arms": params["of_arms"][jnp.asarray([2, 0, 1])]}
    expected |= {"matrix": params["matrix"][jnp.asarray([2, 0, 1])]}
    assert renamed["scalar"] == 0.5 and renamed.pop("nothing") is None
    expected.pop("nothing")
    for name, leaf in expected.items():
        np.testing.assert_array_equal(renamed[name], leaf)


def test_an_agent_may_name_its_own_way_to_rename_its_arms():
    """Such as one with a leaf that has as many entries as there are arms, but is not of them."""
    own = habits(ARMS)._replace(
        permute=lambda params, order: params._replace(liking=params.liking[order])
    )
    params = HabitsParams(jnp.arange(3.0), patience=jnp.asarray([7.0, 8.0, 9.0]))
    task = games.Task(params, games.make_bandit(jnp.arange(3.0), 2, games.Economics()))
    renamed = games.rename_arms(jnp.asarray([2, 0, 1]), own, task)
    np.testing.assert_array_equal(renamed.agent.liking, [2, 0, 1])
    np.testing.assert_array_equal(renamed.agent.patience, [7, 8, 9])
    assert int(renamed.env.target) == 0


def test_an_agent_that_only_learns_is_told_nothing():
    params, env = HabitsParams(jnp.arange(3.0), 1.0), object()
    assert base.uninformed(params, env) is params
    assert habits(ARMS).inform(params, env) is params


@pytest.mark.parametrize("family", FAMILIES)
def test_every_leaf_of_a_task_may_be_swept_without_another_trace(family):
    """Params of the agent and terms of the game are data: ``vmap`` over them is a loop."""
    (game,) = games_of([family], games.GameConfig(ARMS, STEPS))
    principal, traces = principals.random(game.pay_target), []

    def one(key, task):
        traces.append(1)
        return games.rollout(key, game, principal, 0.5, task)

    tasks = tasks_of(jax.random.key(0), family, 4, ARMS)
    together = jax.jit(jax.vmap(one))(keys(1, 4), tasks)
    single = jax.jit(one)
    for i in range(4):
        task = jax.tree.map(lambda leaf, i=i: leaf[i], tasks)
        alone = single(keys(1, 4)[i], task)
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], together), alone, 1e-6)
    assert len(traces) == 2
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tasks))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(tasks)} == {4}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_principal_earns_is_differentiable_in_the_terms(family):
    (game,) = games_of([family], games.GameConfig(ARMS, STEPS))
    principal = principals.random(game.pay_target)
    task = jax.tree.map(lambda leaf: leaf[0], tasks_of(jax.random.key(0), family, 1, ARMS))

    def score(cost):
        own = task._replace(env=task.env._replace(cost=cost))
        return games.rollout(keys(2, 1)[0], game, principal, 1.0, own).reward.sum()

    assert float(jax.jit(jax.grad(score))(jnp.float32(0.75))) == -STEPS  # paid at every step


def test_a_game_needs_no_more_than_its_environment():
    """Agent, preview and payments are for those who ask; a game may have none of them."""
    (full,) = games_of(["ucb"], games.GameConfig(ARMS, STEPS))
    sizes = (full.num_interventions, full.observation_size, full.num_arms, full.horizon)
    bare = base.Game(full.reset, full.step, *sizes)
    assert bare.agent is bare.preview is bare.pay_target is None
    assert bare.payment_kind == "other"
    assert bare.environment == full.environment
    task = jax.tree.map(lambda leaf: leaf[0], tasks_of(jax.random.key(0), "ucb", 1, ARMS))
    explorer = principals.random_rate(2)
    play = jax.jit(
        lambda key, game: games.rollout(key, game, explorer, None, task), static_argnums=1
    )
    assert_same(play(jax.random.key(3), bare), play(jax.random.key(3), full))
