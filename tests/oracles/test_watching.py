"""The planner that watches: its beliefs against the agents it meets, what it earns and refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same, keys

from mermaide_jax import agents, games, principals
from mermaide_jax.errors import ConfigError
from mermaide_jax.oracles import (
    UCBPrior,
    Watcher,
    agent_states,
    first_beliefs,
    observe,
    solve_exact,
    ucb_beliefs,
    watching,
)
from mermaide_jax.oracles.prescient import prescient
from mermaide_jax.principals.planning import surely_better

ARMS, STEPS, COST, NOISE = 3, 9, 0.4, 0.02
CONFIG = games.GameConfig(ARMS, STEPS)
GAME = games.make_intervention_game(agents.ucb(ARMS), CONFIG)
BASE = principals.random(GAME.pay_target)


@functools.cache
def tasks(number=3):
    economics = games.Economics(cost=COST, noise=NOISE)
    agent = agents.ucb(ARMS)
    return games.finite_tasks(jax.random.key(4), "ucb", agent, (0.3,), number, ARMS, economics)


def watchers(told, rate=0.3):
    """Params for each of the `tasks`."""
    met, means = tasks(), tasks().env.mean_rewards
    ones = jnp.ones_like(met.env.cost)
    rewards = (means,) * 2 if told else (0.0 * means, ones[:, None])
    beta = (met.agent.beta,) * 2 if told else (0.1 * ones, 0.75 * ones)
    prior = UCBPrior(NOISE * ones, *(x * jnp.ones_like(means) for x in rewards), *beta)
    return Watcher(rate * ones, prior, met.env.cost, met.env.bonus)


@functools.cache
def played(told, particles=32, episodes=12, base_rate=0.3):
    principal, met = watching(CONFIG, BASE, particles), tasks()
    run = jax.jit(
        lambda key, params: games.collect(
            key, GAME, principal, params, met, episodes, params_axis=0
        )
    )
    return jax.tree.map(np.asarray, run(jax.random.key(1), watchers(told, base_rate)))


@functools.cache
def alone():
    """The same episodes of the principal below."""
    met = tasks()
    run = jax.jit(lambda key: games.collect(key, GAME, BASE, 0.3, met, 12))
    return jax.tree.map(np.asarray, run(jax.random.key(1)))


def best_possible():
    """Mean score of who knows agent and state, ``V``, over the tasks; noise left out."""
    values = []
    for index in range(3):
        task = jax.tree.map(lambda leaf: leaf[index], tasks())  # noqa: B023
        values.append(solve_exact(agents.ucb(ARMS), CONFIG, task).value)
    return np.mean(values)


def scores(trajectory):
    return trajectory.reward.sum(-1)


def test_who_is_told_the_task_plays_nearly_as_who_knows_all():
    """With next to no noise, actions tell the state of an agent whose task is known."""
    base = scores(alone())
    told, known = scores(played(True)), best_possible()
    assert told.mean() > base.mean() + 0.5
    error = 3 * told.std() / np.sqrt(told.size)
    assert told.mean() < known + error
    # One step of improvement over paying at random is most of the way.
    assert told.mean() - base.mean() > 0.6 * (known - base.mean())


def test_who_watches_earns_more_than_the_principal_below_and_less_than_who_is_told():
    base = scores(alone())
    watched = scores(played(False))
    assert watched.mean() > base.mean() + 0.3
    assert watched.mean() < scores(played(True)).mean() + 0.3


def test_nothing_is_paid_where_nothing_can_come_of_it():
    """In the last step a payment is a cost and nothing else."""
    assert not played(False).intervention[..., -1].any()
    assert played(False).intervention.any()


def test_it_plays_the_episodes_that_others_play():
    """Before anyone pays, the same draws lead to the same actions."""
    others, mine = alone(), played(False)
    quiet = np.cumsum((mine.intervention > 0) | (others.intervention > 0), axis=-1) == 0
    assert quiet.sum() > 10
    np.testing.assert_array_equal(mine.step.action[quiet], others.step.action[quiet])


def test_batched_is_one_after_the_other():
    principal = watching(CONFIG, BASE, 8)
    run = lambda key, params, task: games.rollout(key, GAME, principal, params, task)  # noqa: E731
    params = watchers(False)
    together = jax.jit(jax.vmap(run))(keys(2, 3), params, tasks())
    one = jax.jit(run)
    for index, key in enumerate(keys(2, 3)):
        own = jax.tree.map(lambda leaf: leaf[index], (params, tasks(), together))  # noqa: B023
        assert_same(one(key, *own[:2]), own[2], 1e-5)


def episode():
    """One episode with random payments: actions, bonuses and what the agent then thinks."""
    task = jax.tree.map(lambda leaf: leaf[0], tasks())
    play = jax.jit(lambda key: games.rollout(key, GAME, BASE, 0.5, task))
    seen = play(jax.random.key(3))
    return task, seen, task.env.bonus * (seen.intervention > 0) * seen.step.hit


def test_particles_told_all_but_the_noise_think_what_the_agent_thinks():
    task, seen, bonus = episode()
    prior = UCBPrior(NOISE, task.env.mean_rewards, task.env.mean_rewards, *[task.agent.beta] * 2)
    beliefs = first_beliefs(jax.random.key(0), STEPS, ARMS, prior, 40)
    step = jax.jit(observe)
    for time in range(STEPS - 1):
        key = jax.random.fold_in(jax.random.key(1), time)
        beliefs = step(key, beliefs, seen.step.action[time], bonus[time], prior)
        particle = agent_states(beliefs)
        estimates = np.asarray(seen.step.agent_estimates[time + 1])
        actions = np.asarray(seen.step.action[: time + 1])
        counts = np.bincount(actions, minlength=ARMS)
        np.testing.assert_array_equal(particle.counts, np.tile(counts, (40, 1)))
        np.testing.assert_allclose(particle.means[:, counts == 0], 0.0)
        np.testing.assert_allclose(particle.means.mean(0), estimates, atol=2 * NOISE)
    assert int(beliefs.time) == STEPS - 1 and int(beliefs.action[-1]) == -1


def test_it_plays_alike_where_double_precision_is_on(x64):
    with jax.enable_x64(False):
        single = played(False, 8, 2)
    double = played.__wrapped__(False, 8, 2)
    assert double.reward.dtype == np.float32
    np.testing.assert_array_equal(double.intervention, single.intervention)


def test_what_is_said_of_a_longer_episode_begins_with_the_shorter():
    _, seen, bonus = episode()
    say = jax.jit(ucb_beliefs, static_argnums=(3, 5, 6))
    longer, shorter = (
        say(jax.random.key(5), seen.step.action[:n], bonus[:n], ARMS, UCBPrior(), 16, 2)
        for n in (STEPS, 5)
    )
    np.testing.assert_allclose(longer[:5], shorter, rtol=1e-6)


@pytest.mark.parametrize(
    ("worth", "usual", "expected"),
    [
        ([[1.0, 1.0], [3.0, 2.0]], 0, 1),  # surely more
        ([[1.0, 1.0], [9.0, -7.0]], 0, 0),  # as much, by much noise
        ([[1.0, 1.0], [0.0, 0.5]], 0, 0),
        ([[1.0, 1.0], [0.0, 0.5]], 1, 0),
        ([[1.0, 1.0], [1.1, 1.2], [2.0, 2.0]], 0, 2),
    ],
)
def test_another_choice_must_be_surely_better(worth, usual, expected):
    assert int(surely_better(jnp.asarray(worth), jnp.int32(usual))) == expected


@pytest.mark.parametrize(
    ("config", "base", "sizes", "message"),
    [
        (games.GameConfig(ARMS, STEPS, observe_target=False), BASE, (8,), "observe_target: got F"),
        (CONFIG, prescient(GAME.pay_target), (8,), "base: got 'a privileged"),
        (CONFIG, BASE, (1,), "num_particles: got 1, expected an integer >= 2"),
        (CONFIG, BASE, (8, 0), "num_sweeps: got 0"),
    ],
)
def test_impossible_planners_are_refused(config, base, sizes, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        watching(config, base, *sizes)
