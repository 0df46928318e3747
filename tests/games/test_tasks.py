"""Who is steered: the finite sets, the endless supply, the splits, the names of the arms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
import scipy.stats
from streams import assert_same, keys

from mermaide_jax import agents, games, principals
from mermaide_jax.errors import ConfigError

ARMS, MANY = 5, 3000
TERMS = games.Economics(cost=0.5, bonus=2.0, noise=0.25, reward_low=-1.0, reward_high=3.0)
UCB, EPSILON = (0.17, 0.27, 0.42, 0.5, 0.67), (0.1, 0.2, 0.3, 0.4, 0.5)  # as published
SPLIT_TABLE = [
    ("ucb", "interpolation", (0.17, 0.42, 0.67), (0.27, 0.5)),
    ("ucb", "same", UCB, UCB),
    ("ucb", "extrapolation", (0.27, 0.42, 0.5), (0.17, 0.67)),
    ("epsilon_greedy", "interpolation", (0.1, 0.3, 0.5), (0.2, 0.4)),
    ("epsilon_greedy", "same", EPSILON, EPSILON),
    ("epsilon_greedy", "extrapolation", (0.2, 0.3, 0.4), (0.1, 0.5)),
]


def coefficient(task):
    return np.asarray(task.agent.members[0].beta)


@pytest.mark.parametrize(("family", "split", "train", "test"), SPLIT_TABLE)
def test_splits_are_the_stated_ones(family, split, train, test):
    assert games.split_coefficients(family, split, "train") == train
    assert games.split_coefficients(family, split, "test") == test
    assert split == "same" or not set(train) & set(test)


@pytest.mark.parametrize("split", games.SPLITS)
@pytest.mark.parametrize("role", ["train", "test"])
def test_a_rule_without_coefficients_has_one_in_every_split(split, role):
    assert games.split_coefficients("best_response", split, role) == (0.0,)


@pytest.mark.parametrize(("family", "split", "train", "test"), SPLIT_TABLE)
def test_fifteen_agents_to_train_on_and_ten_to_test_on(family, split, train, test):
    for seed, coefficients, number in ((0, train, 15), (1, test, 10)):
        tasks = games.finite_tasks(jax.random.key(seed), family, coefficients, number, ARMS, TERMS)
        values, counts = np.unique(coefficient(tasks), return_counts=True)
        np.testing.assert_array_equal(values, np.float32(coefficients))
        assert set(counts.tolist()) == {number // len(coefficients)}
        np.testing.assert_array_equal(tasks.agent.members[1].epsilon, coefficient(tasks))
        assert set(np.asarray(tasks.agent.family).tolist()) == {agents.RULES.index(family)}
        assert len(np.unique(tasks.mean_rewards)) == number * ARMS


def test_the_law_of_rewards_and_targets():
    number = MANY
    tasks = games.finite_tasks(jax.random.key(2), "ucb", (0.17, 0.42), number, ARMS, TERMS)
    mu, target = np.asarray(tasks.mean_rewards), np.asarray(tasks.target)
    assert tasks.target.dtype == jnp.int32
    assert tasks.mean_rewards.dtype == jnp.float32
    law = scipy.stats.uniform(TERMS.reward_low, TERMS.reward_high - TERMS.reward_low)
    assert scipy.stats.kstest(mu.ravel(), law.cdf).pvalue > 1e-3
    rank = (mu > mu[np.arange(number), target][:, None]).sum(1)
    assert (rank > 0).all(), "the target is the best arm"
    oracles.assert_equally_likely(np.bincount(rank, minlength=ARMS)[1:])
    oracles.assert_equally_likely(np.bincount(target, minlength=ARMS))
    np.testing.assert_array_equal(tasks.agent.members[2].mean_rewards, mu)
    for name in ("cost", "bonus", "noise"):
        np.testing.assert_array_equal(getattr(tasks, name), np.full(number, getattr(TERMS, name)))


def test_a_larger_set_begins_with_the_smaller_one():
    make = functools.partial(games.finite_tasks, num_arms=ARMS, economics=TERMS)
    small, large, again, other = (
        make(jax.random.key(seed), "ucb", UCB, num_agents=number)
        for seed, number in ((3, 10), (3, 15), (3, 15), (4, 15))
    )
    assert_same(small, jax.tree.map(lambda leaf: leaf[:10], large))
    assert_same(large, again)
    assert not np.any(np.asarray(large.mean_rewards) == np.asarray(other.mean_rewards))


def test_endless_supply():
    number, coefficients = MANY, (0.1, 0.4, 0.9)
    draw = jax.vmap(lambda key: games.draw_task(key, 1, coefficients, ARMS, TERMS))
    tasks = jax.jit(draw)(keys(5, number))
    values, counts = np.unique(coefficient(tasks), return_counts=True)
    np.testing.assert_array_equal(values, np.float32(coefficients))
    oracles.assert_equally_likely(counts)
    assert (tasks.target != tasks.mean_rewards.argmax(1)).all()
    assert len(np.unique(tasks.mean_rewards)) > 0.99 * number * ARMS
    few = jax.jit(draw)(keys(5, 5))
    assert_same(few, jax.tree.map(lambda leaf: leaf[:5], tasks))


@jax.jit
@jax.vmap
def redraw(key, task):
    return games.redraw_rewards(key, task, TERMS)


@pytest.mark.parametrize("family", range(3))
def test_redrawn_rewards_keep_rule_and_coefficient(family):
    tasks = games.finite_tasks(
        jax.random.key(0), agents.RULES[family], (0.1, 0.3, 0.4), 15, ARMS, TERMS
    )
    fresh = redraw(keys(6, 15), tasks)
    assert not np.any(np.asarray(fresh.mean_rewards) == np.asarray(tasks.mean_rewards))
    assert (fresh.target != fresh.mean_rewards.argmax(1)).all()
    np.testing.assert_array_equal(fresh.agent.members[2].mean_rewards, fresh.mean_rewards)
    same = lambda task: (task.agent.family, task.agent.members[:2], task.cost, task.noise)  # noqa: E731
    assert_same(same(tasks), same(fresh))


relabel = jax.jit(jax.vmap(games.relabel_arms))


def relabelled(seed, tasks):
    return relabel(keys(seed, MANY), tasks)


def test_relabelling_moves_rewards_and_target_together():
    tasks = games.finite_tasks(jax.random.key(7), "ucb", (0.3,), MANY, ARMS, TERMS)
    renamed = relabelled(8, tasks)
    old, new = np.asarray(tasks.mean_rewards), np.asarray(renamed.mean_rewards)
    rows = np.arange(MANY)
    np.testing.assert_array_equal(np.sort(old), np.sort(new))
    np.testing.assert_array_equal(new[rows, renamed.target], old[rows, tasks.target])
    assert (renamed.target != new.argmax(1)).all()
    np.testing.assert_array_equal(renamed.agent.members[2].mean_rewards, new)
    assert_same(renamed.agent.members[:2], tasks.agent.members[:2])
    assert renamed.target.dtype == jnp.int32
    # [N, old, new] which old arm has which new name: every pair is as likely.
    pairs = (old[:, :, None] == new[:, None, :]).sum(0)
    for arm in range(ARMS):
        oracles.assert_equally_likely(pairs[arm])


@functools.cache
def half_paid(steps=20):
    """Episodes in which the target is paid every other time."""
    agent = agents.standard_population(ARMS)
    game = games.make_intervention_game(agent, games.GameConfig(ARMS, steps))
    principal = principals.random(game.pay_target)
    run = lambda key, task: games.rollout(key, game, principal, 0.5, task)  # noqa: E731
    return jax.jit(jax.vmap(run))


def test_a_relabelled_best_responder_plays_the_same_game():
    economics = TERMS._replace(noise=0.0, bonus=1.0)
    tasks = games.finite_tasks(jax.random.key(9), "best_response", (0.0,), MANY, ARMS, economics)
    left, right = (half_paid()(keys(11, MANY), t) for t in (tasks, relabelled(10, tasks)))
    np.testing.assert_array_equal(left.intervention, right.intervention)
    np.testing.assert_array_equal(left.reward, right.reward)
    np.testing.assert_array_equal(left.step.agent_reward, right.step.agent_reward)
    assert 0.05 < left.step.hit.mean() < 0.5


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
def test_relabelling_leaves_the_law_of_the_score(family):
    task = games.draw_task(jax.random.key(12), agents.RULES.index(family), (0.3,), ARMS, TERMS)
    tasks = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], MANY, 0), task)
    left = np.asarray(half_paid()(keys(13, MANY), tasks).reward.sum(1))
    right = np.asarray(half_paid()(keys(14, MANY), relabelled(15, tasks)).reward.sum(1))
    assert scipy.stats.ttest_ind(left, right).pvalue > 1e-3
    assert left.std() > 0.1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"num_agents": 10}, "num_agents: got 10, expected a multiple of 3, the number of"),
        ({"num_agents": 0}, "num_agents: got 0, expected an integer >= 1"),
        (
            {"family": "ucbb"},
            "family: got 'ucbb', expected one of ucb, epsilon_greedy, best_response",
        ),
        ({"coefficients": ()}, "number of coefficients: got 0, expected an integer >= 1"),
        (
            {"coefficients": (0.1, -0.2, 0.3)},
            "coefficient: got -0.2, expected a finite number >= 0",
        ),
        (
            {"family": "epsilon_greedy", "coefficients": (0.1, 1.5, 0.3)},
            "epsilon: got 1.5, expected a finite number in [0.0, 1.0]",
        ),
        ({"num_arms": 1}, "num_arms: got 1, expected an integer >= 2"),
    ],
)
def test_impossible_sets_are_refused_in_one_line(changes, line):
    arguments = {
        "family": "ucb",
        "coefficients": (0.1, 0.2, 0.3),
        "num_agents": 15,
        "num_arms": ARMS,
    }
    with pytest.raises(ConfigError) as refusal:
        games.finite_tasks(jax.random.key(0), economics=TERMS, **{**arguments, **changes})
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("ucbb", "same", "train"), "family"),
        (("ucb", "none", "train"), "split"),
        (("ucb", "same", "dev"), "role"),
    ],
)
def test_unknown_splits_are_refused(arguments, name):
    with pytest.raises(ConfigError, match=rf"^{name}: got "):
        games.split_coefficients(*arguments)
