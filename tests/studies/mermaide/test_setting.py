"""How the agents and the training runs of a study are laid out."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from streams import assert_same

from mermaide_jax.agents import EpsilonGreedyParams, UCBParams, epsilon_greedy, grid_of, ucb
from mermaide_jax.games import split_coefficients
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
    return np.asarray(tasks.env.mean_rewards)


def coefficients(tasks):
    """The exploration coefficient, whatever its family calls it."""
    return np.asarray(tasks.agent[0])


def test_streams_go_group_by_group():
    made = setting()
    expected = [Stream(g, s) for g in ("ucb", "epsilon_greedy") for s in (7, 8)]
    assert list(made.streams) == expected
    assert made.keys.shape == (4,)
    assert len({tuple(key) for key in numbers(made.keys).tolist()}) == 4
    assert made.game.horizon == 5 and made.game.num_arms == ARMS


def test_each_group_meets_its_own_family():
    made = setting()
    assert dict(made.populations.families) == {f: (f,) for f in ("ucb", "epsilon_greedy")}
    assert dict(made.populations.games)["ucb"].agent == ucb(ARMS)
    assert dict(made.populations.games)["epsilon_greedy"].agent == epsilon_greedy(ARMS)
    np.testing.assert_array_equal(made.index, [0, 0, 1, 1])
    for sets, role, size in ((made.train, "train", 6), (made.test, "test", 4)):
        assert set(sets) == {"ucb", "epsilon_greedy"}
        for family, kind in (("ucb", UCBParams), ("epsilon_greedy", EpsilonGreedyParams)):
            tasks = sets[family]
            assert isinstance(tasks.agent, kind)
            assert tasks.env.target.shape == (4, size)
            values = split_coefficients(family, "interpolation", role)
            expected = np.resize(np.asarray(values, np.float32), size)
            np.testing.assert_array_equal(coefficients(tasks), [expected] * 4)
            np.testing.assert_array_equal(tasks.env.cost, np.float32(0.3))
            np.testing.assert_array_equal(tasks.env.noise, np.float32(0.2))


def test_training_and_test_agents_differ_and_are_the_same_for_all_seeds():
    made = setting()
    for sets in (made.train, made.test):
        first = jax.tree.map(lambda x: x[0], sets)
        for stream in (1, 2, 3):
            assert_same(first, jax.tree.map(lambda x, s=stream: x[s], sets))
    for family in ("ucb", "epsilon_greedy"):
        train, test = (rows(sets[family])[0] for sets in (made.train, made.test))
        # Compared arm by arm, whatever the arms are called.
        assert not set(train.ravel().tolist()) & set(test.ravel().tolist())
        assert len(np.unique(train)) == train.size
        met, unseen = (coefficients(sets[family])[0] for sets in (made.train, made.test))
        assert not set(met.tolist()) & set(unseen.tolist())


def test_the_agents_have_a_seed_of_their_own():
    others = setting(change(seed=100))
    assert_same(setting().train, others.train)
    assert (numbers(setting().keys) != numbers(others.keys)).any(-1).all()
    redrawn = setting(change(agents={"seed": 1}))
    for family in ("ucb", "epsilon_greedy"):
        assert (rows(setting().train[family]) != rows(redrawn.train[family])).all()
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
    assert dict(made.populations.families) == {"mixed": ("ucb", "epsilon_greedy")}
    np.testing.assert_array_equal(made.index, [0, 0])
    games, apart = dict(made.populations.games), setting()
    assert made.populations.games_of("mixed") == (games["ucb"], games["epsilon_greedy"])
    for own, other in ((made.train, apart.train), (made.test, apart.test)):
        assert_same(own, jax.tree.map(lambda x: x[:2], other))
        # Families share rewards and targets, so that they are compared on the same bandits.
        np.testing.assert_array_equal(rows(own["ucb"]), rows(own["epsilon_greedy"]))


def test_a_stream_runs_the_part_of_its_population():
    """Each is given the games and tasks of its own families, in their order."""

    def describe(games, tasks):
        assert [game.agent.init for game in games] and len(games) == len(tasks)
        mean = sum(task.env.mean_rewards.mean() for task in tasks)
        return len(games), mean, sum(task.agent[0].sum() for task in tasks)

    for config in (CONFIG, change(agents={"mixed": True})):
        made = setting(config)
        run = jax.jit(made.populations.bind(describe))
        for s, stream in enumerate(made.streams):
            own = [made.test[f] for f in dict(made.populations.families)[stream.population]]
            found = run(made.index[s], jax.tree.map(lambda x, s=s: x[s], made.test))
            assert int(found[0]) == len(own)
            np.testing.assert_allclose(found[1], sum(rows(t)[s].mean() for t in own), rtol=1e-6)
            expected = sum(coefficients(t)[s].sum() for t in own)
            np.testing.assert_allclose(found[2], expected, rtol=1e-6)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("split", ["interpolation", "same", "extrapolation"])
def test_test_agents_are_described_as_they_are(mixed, split):
    size = 10 if split == "same" else 4
    sizes = {"train": 15, "test": size}
    made = setting(change(agents={"mixed": mixed, "split": split, **sizes}))
    for s, stream in enumerate(made.streams):
        described = made.agents[stream.population]
        families = dict(made.populations.families)[stream.population]
        own = [jax.tree.map(lambda x, s=s: x[s], made.test[family]) for family in families]
        values = [agent.coefficient for agent in described]
        found = np.concatenate([coefficients(tasks) for tasks in own])
        np.testing.assert_array_equal(np.asarray(values, np.float32), found)
        assert [agent.family for agent in described] == [f for f in families for _ in range(size)]
        assert [agent.index for agent in described] == list(range(size)) * len(families)
        assert all(agent.coefficient in grid_of(agent.family) for agent in described)
        bandits = made.bandits_met(s)
        for field, values in bandits._asdict().items():
            expected = np.concatenate([getattr(tasks.env, field) for tasks in own])
            np.testing.assert_array_equal(values, expected)


def test_some_of_the_streams_are_the_same_by_themselves():
    made = setting()
    part = made.only([3, 0])
    assert part.streams == (made.streams[3], made.streams[0])
    np.testing.assert_array_equal(numbers(part.keys), numbers(made.keys)[[3, 0]])
    np.testing.assert_array_equal(part.index, [1, 0])
    for own, whole in ((part.train, made.train), (part.test, made.test)):
        assert_same(own, jax.tree.map(lambda x: x[np.asarray([3, 0])], whole))
    assert (part.populations, part.agents) == (made.populations, made.agents)


def test_options_of_agents_reach_those_that_have_them():
    made = setting(change(game={"initial_pull": False}))
    games = dict(made.populations.games)
    assert games["epsilon_greedy"].agent == epsilon_greedy(ARMS, initial_pull=False)
    assert games["ucb"].agent == ucb(ARMS)


def test_arms_are_counted_from_the_target_unless_switched_off():
    first = setting()
    plain = setting(change(training=TrainingConfig(target_first=False)))
    for role in ("train", "test"):
        for family, tasks in getattr(plain, role).items():
            turned = getattr(first, role)[family]
            np.testing.assert_array_equal(turned.env.target, 0)
            for s, i in np.ndindex(tasks.env.target.shape):
                expected = np.roll(rows(tasks)[s, i], -int(tasks.env.target[s, i]))
                np.testing.assert_array_equal(rows(turned)[s, i], expected)
                assert tasks.env.target[s, i] != rows(tasks)[s, i].argmax()
    assert len(np.unique(plain.train["ucb"].env.target)) > 1
