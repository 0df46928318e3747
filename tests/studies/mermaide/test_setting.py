"""How the agents and the training runs of a study are laid out."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from streams import assert_same

from mermaide_jax.games import COEFFICIENTS, split_coefficients
from mermaide_jax.studies.mermaide import AgentOptions, GameOptions, StudyConfig
from mermaide_jax.studies.mermaide.setting import Stream, make_setting
from mermaide_jax.training import TrainingConfig

ARMS = 4
CONFIG = StudyConfig(
    game=GameOptions(num_arms=ARMS, horizon=5, cost=0.3, noise=0.2),
    agents=AgentOptions(families=("ucb", "epsilon_greedy"), train=6, test=4),
    seeds=2,
    seed=7,
)


def change(config=CONFIG, **parts):
    """The config with fields of its parts replaced: ``change(agents={"test": 2}, seeds=3)``."""
    for name, value in parts.items():
        if isinstance(value, dict):
            value = dataclasses.replace(getattr(config, name), **value)
        config = dataclasses.replace(config, **{name: value})
    return config


@functools.cache
def setting(config=CONFIG):
    return make_setting(config)


def numbers(keys):
    return np.asarray(jax.random.key_data(keys))


def rows(tasks):
    return np.asarray(tasks.mean_rewards)


def coefficients(tasks):
    """The exploration coefficient, which both learning rules are given."""
    ucb, epsilon_greedy, _ = tasks.agent.members
    np.testing.assert_array_equal(ucb.beta, epsilon_greedy.epsilon)
    return np.asarray(ucb.beta)


def test_streams_go_group_by_group():
    made = setting()
    expected = [Stream(g, s) for g in ("ucb", "epsilon_greedy") for s in (7, 8)]
    assert list(made.streams) == expected
    assert made.keys.shape == (4,)
    assert len({tuple(key) for key in numbers(made.keys).tolist()}) == 4
    assert made.game.horizon == 5 and made.game.num_arms == ARMS


def test_each_group_meets_its_own_family():
    made = setting()
    for tasks, role, size in ((made.train, "train", 6), (made.test, "test", 4)):
        assert tasks.target.shape == (4, size)
        np.testing.assert_array_equal(tasks.agent.family[:2], 0)
        np.testing.assert_array_equal(tasks.agent.family[2:], 1)
        for stream, family in ((0, "ucb"), (2, "epsilon_greedy")):
            values = split_coefficients(family, "interpolation", role)
            expected = np.resize(np.float32(values), size)
            np.testing.assert_array_equal(coefficients(tasks)[stream], expected)
        np.testing.assert_array_equal(tasks.cost, np.float32(0.3))
        np.testing.assert_array_equal(tasks.noise, np.float32(0.2))


def test_training_and_test_agents_differ_and_are_the_same_for_all_seeds():
    made = setting()
    for tasks in (made.train, made.test):
        assert_same(jax.tree.map(lambda x: x[0], tasks), jax.tree.map(lambda x: x[1], tasks))
    train, test = rows(made.train)[0], rows(made.test)[0]
    # Compared arm by arm, whatever the arms are called.
    assert not set(train.ravel().tolist()) & set(test.ravel().tolist())
    assert len(np.unique(train)) == train.size
    assert not set(coefficients(made.train)[0]) & set(coefficients(made.test)[0])


def test_the_agents_have_a_seed_of_their_own():
    others = setting(change(seed=100))
    assert_same(setting().train, others.train)
    assert (numbers(setting().keys) != numbers(others.keys)).any(-1).all()
    redrawn = setting(change(agents={"seed": 1}))
    assert (rows(setting().train) != rows(redrawn.train)).all()
    np.testing.assert_array_equal(numbers(setting().keys), numbers(redrawn.keys))


def test_more_seeds_leave_the_earlier_streams_unchanged():
    few, many = setting(), setting(change(seeds=3))
    kept = [many.streams.index(stream) for stream in few.streams]
    np.testing.assert_array_equal(numbers(many.keys)[kept], numbers(few.keys))
    assert_same(jax.tree.map(lambda x: x[np.asarray(kept)], many.test), few.test)
    assert len({tuple(key) for key in numbers(many.keys).tolist()}) == 6


def test_more_agents_leave_the_earlier_ones_unchanged():
    few, many = setting(), setting(change(agents={"test": 8, "train": 9}))
    assert_same(jax.tree.map(lambda x: x[:, :4], many.test), few.test)
    assert_same(jax.tree.map(lambda x: x[:, :6], many.train), few.train)


def test_a_mixed_group_trains_on_all_families_together():
    made = setting(change(agents={"mixed": True}))
    assert list(made.streams) == [Stream("mixed", 7), Stream("mixed", 8)]
    np.testing.assert_array_equal(made.train.agent.family, [[0] * 6 + [1] * 6] * 2)
    np.testing.assert_array_equal(made.test.agent.family, [[0] * 4 + [1] * 4] * 2)
    apart = setting()
    for start, stream in ((0, 0), (4, 2)):
        mine = jax.tree.map(lambda x, s=start: x[0, s : s + 4], made.test)
        assert_same(mine, jax.tree.map(lambda x, s=stream: x[s], apart.test))
    # Families share rewards and targets, so that rules are compared on the same bandits.
    np.testing.assert_array_equal(rows(made.test)[0, :4], rows(made.test)[0, 4:])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("split", ["interpolation", "same", "extrapolation"])
def test_test_agents_are_described_as_they_are(mixed, split):
    size = 10 if split == "same" else 4
    sizes = {"train": 15, "test": size}
    made = setting(change(agents={"mixed": mixed, "split": split, **sizes}))
    for s, stream in enumerate(made.streams):
        described = made.test_agents[stream.population]
        assert len(described) == made.test.target.shape[1]
        values = [agent.coefficient for agent in described]
        np.testing.assert_array_equal(np.float32(values), coefficients(made.test)[s])
        names = [("ucb", "epsilon_greedy")[r] for r in np.asarray(made.test.agent.family[s])]
        assert [agent.family for agent in described] == names
        assert [agent.index for agent in described] == list(range(size)) * (len(names) // size)
        assert all(agent.coefficient in COEFFICIENTS[agent.family] for agent in described)


def test_arms_are_counted_from_the_target_unless_switched_off():
    first = setting()
    plain = setting(change(training=TrainingConfig(target_first=False)))
    for role in ("train", "test"):
        turned, tasks = getattr(first, role), getattr(plain, role)
        np.testing.assert_array_equal(turned.target, 0)
        for s, i in np.ndindex(tasks.target.shape):
            expected = np.roll(rows(tasks)[s, i], -int(tasks.target[s, i]))
            np.testing.assert_array_equal(rows(turned)[s, i], expected)
            assert tasks.target[s, i] != rows(tasks)[s, i].argmax()
    assert len(np.unique(plain.train.target)) > 1
