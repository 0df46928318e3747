"""Who is steered: the finite sets, the endless supply, the splits, the names of the arms."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
import scipy.stats
from families import FAMILIES, HabitsParams, habits
from streams import assert_same, keys

from mermaide_jax import agents, games, principals, registry
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


def coefficient(family, task):
    """The first number of each agent's params."""
    (name,) = (parameter.name for parameter in registry.get("family", family).parameters)
    return np.asarray(getattr(task.agent, name))


def finite(key, family, coefficients, number, economics=TERMS):
    agent = agents.make_agent(family, ARMS)
    return games.finite_tasks(key, family, agent, coefficients, number, ARMS, economics)


@pytest.mark.parametrize(("family", "split", "train", "test"), SPLIT_TABLE)
def test_splits_are_the_stated_ones(family, split, train, test):
    assert games.split_coefficients(family, split, "train") == train
    assert games.split_coefficients(family, split, "test") == test
    assert split == "same" or not set(train) & set(test)


@pytest.mark.parametrize("split", games.SPLITS)
@pytest.mark.parametrize("role", ["train", "test"])
def test_a_rule_without_coefficients_has_one_in_every_split(split, role):
    assert games.split_coefficients("best_response", split, role) == (0.0,)


@pytest.mark.parametrize("split", games.SPLITS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_grid_whose_parts_make_the_whole(family, split):
    grid = agents.grid_of(family)
    train, test = (games.split_coefficients(family, split, role) for role in ("train", "test"))
    assert train and test
    assert set(train) | set(test) == set(grid)
    assert (not set(train) & set(test)) == (split != "same" and len(grid) > 2)
    assert list(grid) == sorted(grid)


@pytest.mark.parametrize(
    ("number", "split", "train", "test"),
    [
        (2, "interpolation", (0, 1), (0, 1)),
        (3, "interpolation", (0, 2), (1,)),
        (4, "interpolation", (0, 2, 3), (1,)),
        (7, "interpolation", (0, 2, 4, 6), (1, 3, 5)),
        (1, "extrapolation", (0,), (0,)),
        (3, "extrapolation", (1,), (0, 2)),
        (6, "extrapolation", (1, 2, 3, 4), (0, 5)),
    ],
)
def test_grids_of_any_length_are_split(number, split, train, test):
    grid = tuple(range(number))
    assert games.split_grid(grid, split, "train") == train
    assert games.split_grid(grid, split, "test") == test


@pytest.mark.parametrize(("family", "split", "train", "test"), SPLIT_TABLE)
def test_fifteen_agents_to_train_on_and_ten_to_test_on(family, split, train, test):
    for seed, coefficients, number in ((0, train, 15), (1, test, 10)):
        tasks = finite(jax.random.key(seed), family, coefficients, number)
        values, counts = np.unique(coefficient(family, tasks), return_counts=True)
        np.testing.assert_array_equal(values, np.asarray(coefficients, np.float32))
        assert set(counts.tolist()) == {number // len(coefficients)}
        np.testing.assert_array_equal(coefficient(family, tasks), np.resize(values, number))
        assert len(np.unique(tasks.env.mean_rewards)) == number * ARMS


def test_the_law_of_rewards_and_targets():
    number = MANY
    tasks = finite(jax.random.key(2), "best_response", (0.0,), number)
    mu, target = np.asarray(tasks.env.mean_rewards), np.asarray(tasks.env.target)
    assert tasks.env.target.dtype == jnp.int32
    assert tasks.env.mean_rewards.dtype == jnp.float32
    low, high = float(TERMS.reward_low), float(TERMS.reward_high)
    law = scipy.stats.uniform(low, high - low)
    assert scipy.stats.kstest(mu.ravel(), law.cdf).pvalue > 1e-3
    rank = (mu > mu[np.arange(number), target][:, None]).sum(1)
    assert (rank > 0).all(), "the target is the best arm"
    oracles.assert_equally_likely(np.bincount(rank, minlength=ARMS)[1:])
    oracles.assert_equally_likely(np.bincount(target, minlength=ARMS))
    np.testing.assert_array_equal(tasks.agent.mean_rewards, mu)
    for name in ("cost", "bonus", "noise"):
        expected = np.full(number, getattr(TERMS, name))
        np.testing.assert_array_equal(getattr(tasks.env, name), expected)


def test_agents_of_one_seed_play_the_same_bandits_whatever_their_family():
    bandits = [
        finite(jax.random.key(2), family, agents.grid_of(family), 15).env for family in FAMILIES
    ]
    for bandit in bandits[1:]:
        assert_same(bandit, bandits[0])


def test_a_larger_set_begins_with_the_smaller_one():
    small, large, again, other = (
        finite(jax.random.key(seed), "ucb", UCB, number)
        for seed, number in ((3, 10), (3, 15), (3, 15), (4, 15))
    )
    assert_same(small, jax.tree.map(lambda leaf: leaf[:10], large))
    assert_same(large, again)
    assert not np.any(np.asarray(large.env.mean_rewards) == np.asarray(other.env.mean_rewards))


def test_endless_supply():
    number, coefficients, agent = MANY, (0.1, 0.4, 0.9), agents.epsilon_greedy(ARMS)
    family = "epsilon_greedy"
    draw = jax.vmap(lambda key: games.draw_task(key, family, agent, coefficients, ARMS, TERMS))
    tasks = jax.jit(draw)(keys(5, number))
    values, counts = np.unique(coefficient(family, tasks), return_counts=True)
    np.testing.assert_array_equal(values, np.asarray(coefficients, np.float32))
    oracles.assert_equally_likely(counts)
    assert (tasks.env.target != tasks.env.mean_rewards.argmax(1)).all()
    assert len(np.unique(tasks.env.mean_rewards)) > 0.99 * number * ARMS
    few = jax.jit(draw)(keys(5, 5))
    assert_same(few, jax.tree.map(lambda leaf: leaf[:5], tasks))


@pytest.mark.parametrize("family", FAMILIES)
def test_redrawn_rewards_keep_the_agent(family):
    agent = agents.make_agent(family, ARMS)
    redraw = jax.jit(jax.vmap(lambda key, task: games.redraw_rewards(key, agent, task, TERMS)))
    # Its own cost and noise, which are not those of the new rewards.
    tasks = finite(jax.random.key(0), family, agents.grid_of(family), 15, games.Economics())
    fresh = redraw(keys(6, 15), tasks)
    assert not np.any(np.asarray(fresh.env.mean_rewards) == np.asarray(tasks.env.mean_rewards))
    assert fresh.env.mean_rewards.max() > 1
    assert (fresh.env.target != fresh.env.mean_rewards.argmax(1)).all()
    assert_same(fresh.agent, jax.vmap(agent.inform)(tasks.agent, fresh.env))
    rewards = (tasks.env.mean_rewards, tasks.env.target)
    kept = fresh.env._replace(mean_rewards=rewards[0], target=rewards[1])
    assert_same(kept, tasks.env)
    if registry.get("family", family).parameters:
        assert_same(fresh.agent, tasks.agent)
    else:
        np.testing.assert_array_equal(fresh.agent.mean_rewards, fresh.env.mean_rewards)


def relabelled(seed, agent, tasks):
    number = tasks.env.target.shape[0]
    rename = jax.vmap(lambda key, task: games.relabel_arms(key, agent, task))
    return jax.jit(rename)(keys(seed, number), tasks)


def habitual_tasks(number, economics=TERMS):
    """Agents with params of their own for each arm, on random bandits."""
    likings = jax.random.normal(jax.random.key(20), (number, ARMS))
    bandits = jax.vmap(lambda key: games.draw_bandit(key, ARMS, economics))(keys(7, number))
    return games.Task(HabitsParams(likings, jnp.linspace(0.5, 1.5, number)), bandits)


def test_relabelling_moves_all_that_is_of_an_arm_together():
    agent, tasks = habits(ARMS), habitual_tasks(MANY)
    renamed = relabelled(8, agent, tasks)
    old, new = np.asarray(tasks.env.mean_rewards), np.asarray(renamed.env.mean_rewards)
    rows = np.arange(MANY)
    np.testing.assert_array_equal(np.sort(old), np.sort(new))
    np.testing.assert_array_equal(new[rows, renamed.env.target], old[rows, tasks.env.target])
    assert (renamed.env.target != new.argmax(1)).all()
    assert renamed.env.target.dtype == jnp.int32
    order = (old[:, None, :] == new[:, :, None]).argmax(2)  # [N, new] the old name of each arm
    likings = np.take_along_axis(np.asarray(tasks.agent.liking), order, 1)
    np.testing.assert_array_equal(renamed.agent.liking, likings)
    np.testing.assert_array_equal(renamed.agent.patience, tasks.agent.patience)
    for name in ("cost", "bonus", "noise"):
        assert_same(getattr(renamed.env, name), getattr(tasks.env, name))
    # [N, old, new] which old arm has which new name: every pair is as likely.
    pairs = (old[:, :, None] == new[:, None, :]).sum(0)
    for arm in range(ARMS):
        oracles.assert_equally_likely(pairs[arm])


@pytest.mark.parametrize("family", FAMILIES)
def test_relabelling_tells_an_agent_what_it_would_be_told_of_the_new_names(family):
    agent = agents.make_agent(family, ARMS)
    tasks = finite(jax.random.key(7), family, agents.grid_of(family)[:1], 50)
    renamed = relabelled(8, agent, tasks)
    assert_same(renamed.agent, jax.vmap(agent.inform)(renamed.agent, renamed.env))
    assert (renamed.env.mean_rewards != tasks.env.mean_rewards).any()


def test_arms_counted_from_the_target():
    agent, tasks = habits(ARMS), habitual_tasks(50)
    first = jax.vmap(lambda task: games.target_first(agent, task))(tasks)
    assert not first.env.target.any()
    assert first.env.target.dtype == jnp.int32
    for i, target in enumerate(np.asarray(tasks.env.target).tolist()):
        for got, kept in (
            (first.env.mean_rewards[i], tasks.env.mean_rewards[i]),
            (first.agent.liking[i], tasks.agent.liking[i]),
        ):
            np.testing.assert_array_equal(got, np.roll(kept, -target))
    again = jax.vmap(lambda task: games.target_first(agent, task))(first)
    assert_same(again, first)


@functools.cache
def half_paid(agent, steps=20):
    """Episodes in which the target is paid every other time."""
    game = games.make_intervention_game(agent, games.GameConfig(ARMS, steps))
    principal = principals.random(game.pay_target)
    run = lambda key, task: games.rollout(key, game, principal, 0.5, task)  # noqa: E731
    return jax.jit(jax.vmap(run))


def assert_renamed_play(left, right, old, new):
    """The same episodes, arm by arm under other names."""
    names = (np.asarray(old)[:, :, None] == np.asarray(new)[:, None, :]).argmax(2)  # [N, old]
    actions = np.take_along_axis(names, np.asarray(left.step.action), 1)
    np.testing.assert_array_equal(right.step.action, actions)
    for name in ("intervention", "reward"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    np.testing.assert_array_equal(left.step.agent_reward, right.step.agent_reward)
    back = np.take_along_axis(np.asarray(right.step.agent_estimates), names[:, None], 2)
    np.testing.assert_array_equal(left.step.agent_estimates, back)


@pytest.mark.parametrize("rename", ["relabel", "target_first"])
@pytest.mark.parametrize("kind", ["best_response", "habits"])
def test_a_relabelled_task_gives_the_relabelled_play(kind, rename):
    """Of agents that have something of their own for each arm, and act without chance."""
    economics = TERMS._replace(bonus=1.0, noise=0.0 if kind == "best_response" else 0.25)
    if kind == "habits":
        agent, tasks = habits(ARMS), habitual_tasks(MANY, economics)
    else:
        agent = agents.best_response(ARMS)
        tasks = finite(jax.random.key(9), kind, (0.0,), MANY, economics)
    renamed = relabelled(10, agent, tasks)
    if rename == "target_first":
        renamed = jax.vmap(lambda task: games.target_first(agent, task))(tasks)
    left, right = (half_paid(agent)(keys(11, MANY), t) for t in (tasks, renamed))
    assert_renamed_play(left, right, tasks.env.mean_rewards, renamed.env.mean_rewards)
    assert 0.05 < left.step.hit.mean() < 0.5
    assert (left.step.action != right.step.action).mean() > 0.2
    # What the principal sees are the new names: the target of each task is in its place.
    shown = np.asarray(right.observation)[:, 0, -ARMS:]
    np.testing.assert_array_equal(shown.argmax(1), renamed.env.target)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"best_response"}))
def test_relabelling_leaves_the_law_of_the_score(family):
    agent = agents.make_agent(family, ARMS)
    task = games.draw_task(jax.random.key(12), family, agent, (0.3,), ARMS, TERMS)
    tasks = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], MANY, 0), task)
    left = np.asarray(half_paid(agent)(keys(13, MANY), tasks).reward.sum(1))
    renamed = relabelled(15, agent, tasks)
    right = np.asarray(half_paid(agent)(keys(14, MANY), renamed).reward.sum(1))
    found: Any = scipy.stats.ttest_ind(left, right)
    assert found.pvalue > 1e-3
    assert left.std() > 0.1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"num_agents": 10}, "num_agents: got 10, expected a multiple of 3, the number of"),
        ({"num_agents": 0}, "num_agents: got 0, expected an integer >= 1"),
        (
            {"family": "ucbb"},
            f"family: got 'ucbb', expected one of {', '.join(FAMILIES)}",
        ),
        ({"coefficients": ()}, "number of coefficients: got 0, expected an integer >= 1"),
        (
            {"coefficients": (0.1, -0.2, 0.3)},
            "beta: got -0.2, expected a finite number >= 0",
        ),
        (
            {"family": "epsilon_greedy", "coefficients": (0.1, 1.5, 0.3)},
            "epsilon: got 1.5, expected a finite number >= 0 and <= 1",
        ),
        ({"num_arms": 1}, "num_arms: got 1, expected an integer >= 2"),
    ],
)
def test_impossible_sets_are_refused_in_one_line(changes, line):
    arguments = {
        "family": "ucb",
        "agent": agents.ucb(ARMS),
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
