"""The all-knowing planner: its rules against a plain loop, what it plays, what it refuses."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same, keys

from mermaide_jax import agents, base, games, principals
from mermaide_jax.errors import ConfigError
from mermaide_jax.oracles.all_knowing import (
    Script,
    all_knowing,
    best_scripts,
    by_script,
    play_all_knowing,
    script_grid,
)

pytestmark = pytest.mark.exact

ARMS, STEPS = 3, 10
GAME = games.make_intervention_game(agents.ucb(ARMS), games.GameConfig(ARMS, STEPS))
RULES: Any = Script(*(jnp.asarray(x, jnp.float32) for x in ([0.4, 0.1], [0.3, 0.8], [3.0, 0.0])))


@functools.cache
def tasks(number=4):
    economics = games.Economics(cost=0.4, noise=0.2)
    agent = agents.ucb(ARMS)
    return games.finite_tasks(jax.random.key(4), "ucb", agent, (0.3,), number, ARMS, economics)


def one(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def with_bonus(*bonus):
    env = tasks().env._replace(bonus=jnp.asarray(bonus, jnp.float32))
    return tasks()._replace(env=env)


@functools.cache
def followed(script, number=20, bonus=(1.0, 1.0, 1.0, 1.0)):
    """Episodes by one of `RULES`, with what was previewed at each step beside."""
    plain = by_script(GAME)

    def act(key, params, carry, seen):
        choice, carry, _ = plain.act(key, params, carry, seen)
        return choice, carry, (seen.preview.estimates, seen.preview.probabilities)

    spied = base.Principal(plain.init, act, privileged=True)
    params = one(RULES, script)
    run = jax.jit(lambda key, met: games.collect(key, GAME, spied, params, met, number))
    return jax.tree.map(np.asarray, run(jax.random.key(1), with_bonus(*bonus)))


@pytest.mark.parametrize("bonus", [(1.0, 1.0, 1.0, 1.0), (1.0, 0.5, 2.0, 0.25)])
@pytest.mark.parametrize("script", [0, 1])
def test_a_rule_pays_where_a_plain_loop_would(script, bonus):
    """A lead is in units of the bonus of the agent at hand."""
    played = followed(script, bonus=bonus)
    chance, least, quiet = (float(leaf[script]) for leaf in RULES)
    paid = 0
    for agent, target in enumerate(np.asarray(tasks().env.target)):
        for episode in range(20):
            for time in range(STEPS):
                estimates, law = (x[agent, episode, time] for x in played.principal)
                lead = estimates[target] - np.delete(estimates, target).max()
                close = lead < least * bonus[agent]
                pays = law[target] >= chance and close and STEPS - time > quiet
                assert played.intervention[agent, episode, time] == pays
                paid += pays
    assert 0 < paid < 4 * 20 * STEPS


def test_the_law_previewed_is_that_of_what_follows():
    played = followed(1, 400)
    law = played.principal[1].reshape(-1, ARMS)
    taken = np.eye(ARMS)[played.step.action.ravel()]
    np.testing.assert_allclose(law.mean(0), taken.mean(0), atol=0.02)
    assert not taken[law == 0].any()


def test_the_grid_holds_never_and_always():
    grid: Any = script_grid(20)
    assert {leaf.shape for leaf in grid} == {(246,)}
    assert grid.lead[0] == -np.inf
    np.testing.assert_allclose(np.unique(grid.quiet), [0, 2, 4, 6, 8, 10, 12], atol=1e-5)
    assert float(grid.lead.max()) == pytest.approx(0.8)


def test_each_agent_gets_its_own_best_scripts():
    choose = jax.jit(lambda key, met: best_scripts(key, GAME, met, RULES, 30, 1))
    chosen = choose(jax.random.key(1), tasks())
    scores = np.stack([followed(script, 30).reward.sum(-1).mean(-1) for script in (0, 1)])
    np.testing.assert_array_equal(chosen.chance[:, 0], np.asarray(RULES.chance)[scores.argmax(0)])


@functools.cache
def planner():
    return jax.jit(lambda key, other, met: play_all_knowing(key, other, GAME, met, 5, 8, 2, 8))


@functools.cache
def planned(*bonus):
    met = with_bonus(*bonus) if bonus else tasks()
    return jax.tree.map(np.asarray, planner()(jax.random.key(1), jax.random.key(9), met))


def test_how_an_agent_is_played_does_not_depend_on_the_bonus_of_another():
    one, other = planned(1.0, 0.5, 2.0, 0.25), planned(3.0, 0.5, 2.0, 0.25)
    assert_same(*(jax.tree.map(lambda leaf: leaf[1:], played) for played in (one, other)))
    assert (one.intervention[0] != other.intervention[0]).any()


def test_it_plays_the_first_of_the_episodes_that_others_play():
    """Before anyone pays, the same draws lead to the same actions."""
    mine, others = planned(), followed(0)
    assert mine.reward.shape == (4, 5, STEPS)
    quiet = np.cumsum((mine.intervention > 0) | (others.intervention[:, :5] > 0), axis=-1) == 0
    assert quiet.sum() > 10
    np.testing.assert_array_equal(mine.step.action[quiet], others.step.action[:, :5][quiet])


def test_it_earns_more_than_every_script():
    scores = planned().reward.sum(-1)
    script, met = principals.random(GAME.pay_target), tasks()
    play = jax.jit(lambda key, rate: games.collect(key, GAME, script, rate, met, 5).reward)
    for rate in (0.0, 0.5, 1.0):
        assert scores.mean() > np.asarray(play(jax.random.key(1), rate)).sum(-1).mean()


def test_nothing_is_paid_where_nothing_can_come_of_it():
    """In the last step a payment is a cost and nothing else."""
    assert not planned().intervention[..., -1].any()
    assert planned().intervention.any()


def test_batched_is_one_after_the_other():
    principal = all_knowing(GAME, 4)
    run = lambda key, task: games.rollout(key, GAME, principal, RULES, task)  # noqa: E731
    together = jax.jit(jax.vmap(run))(keys(2, 4), tasks())
    alone = jax.jit(run)
    for index, key in enumerate(keys(2, 4)):
        assert_same(alone(key, one(tasks(), index)), one(together, index), 1e-6)


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_rollouts_to_tell_an_error_are_refused(number):
    with pytest.raises(
        ConfigError, match=rf"^num_rollouts: got {number}, expected an integer >= 2"
    ):
        all_knowing(GAME, number)
