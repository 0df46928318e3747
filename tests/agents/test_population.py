"""A set of agents of several families: sorted, played in parts, and put together again."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from families import FAMILIES, params_of
from streams import assert_same, keys, play

from mermaide_jax import agents
from mermaide_jax.errors import ConfigError

pytestmark = pytest.mark.exact

ARMS, STEPS, NUMBER = 4, 20, 60


def cases(number=NUMBER):
    rng = np.random.default_rng(0)
    coefficient = rng.uniform(0.1, 0.9, NUMBER).astype(np.float32)
    mu = rng.uniform(size=(NUMBER, ARMS)).astype(np.float32)
    rewards = rng.normal(size=(NUMBER, STEPS, ARMS)).astype(np.float32)
    offer = rng.integers(0, 2, (NUMBER, ARMS)).astype(np.float32)
    return coefficient[:number], mu[:number], keys(0, number), rewards[:number], offer[:number]


@functools.cache
def of_family(family):
    """Plays a batch of agents of one family."""
    agent = agents.make_agent(family, ARMS)

    def one(coefficient, mu, key, rewards, offer):
        return play(agent, key, params_of(family, coefficient, mu), rewards, offer)

    return jax.vmap(one)


def together(members, number=NUMBER):
    """What each agent of a set does, ``members`` naming its family."""
    population, families = agents.sort_by_family(members)
    parts = (population.split(case) for case in cases(number))
    return population.run([of_family(name) for name in families], *parts)


def shuffled(families, number=NUMBER):
    return np.random.default_rng(1).permutation(np.resize(families, number)).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_member_does_what_it_does_alone_whatever_else_is_in_the_set(family):
    members = shuffled(FAMILIES)
    mixed = jax.jit(lambda: together(members))()
    own = np.flatnonzero(np.asarray(members) == family)
    alone = jax.jit(of_family(family))(*(case[own] for case in cases()))
    assert_same(jax.tree.map(lambda leaf: leaf[own], mixed), alone)
    single = jax.jit(of_family(family))(*(case[own[:1]] for case in cases()))
    assert_same(jax.tree.map(lambda leaf: leaf[own[:1]], mixed), single)


def test_a_larger_set_begins_with_the_smaller_one():
    members = shuffled(FAMILIES)
    large, small = (jax.jit(lambda n=n: together(members[:n], n))() for n in (NUMBER, NUMBER // 2))
    assert_same(jax.tree.map(lambda leaf: leaf[: NUMBER // 2], large), small)


MEMBERS = st.lists(st.sampled_from("abc"), min_size=1, max_size=12)


@hypothesis.given(MEMBERS)
def test_every_agent_is_in_one_part_and_comes_back_to_its_place(members):
    population, families = agents.sort_by_family(members)
    tree = {"x": np.arange(len(members)), "y": np.arange(2.0 * len(members)).reshape(-1, 2)}
    parts = population.split(tree)
    assert len(parts) == population.num_families == len(families) == len(set(members))
    for family, part in zip(families, parts, strict=True):
        expected = [place for place, name in enumerate(members) if name == family]
        np.testing.assert_array_equal(part["x"], expected)
        np.testing.assert_array_equal(part["y"], tree["y"][expected])
    assert_same(population.merge(parts), jax.tree.map(jax.numpy.asarray, tree))


@hypothesis.given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_sizes_stand_for_a_set_that_is_sorted(sizes):
    population = agents.population(sizes)
    assert population.family == tuple(f for f, size in enumerate(sizes) for _ in range(size))
    assert [part.size for part in population.split(np.arange(sum(sizes)))] == list(sizes)
    names = [str(number) for number in population.family]
    assert agents.sort_by_family(names)[0] == population


def test_families_are_named_in_the_order_in_which_they_come():
    population, families = agents.sort_by_family(["ucb", "thompson", "ucb", "best_response"])
    assert families == ("ucb", "thompson", "best_response")
    assert population == agents.Population((0, 1, 0, 2))
    assert hash(population) == hash(agents.Population((0, 1, 0, 2)))


def test_each_family_runs_its_own_function_on_its_own_part():
    population = agents.Population((1, 0, 1))
    seen = []

    def function(name):
        def run(x, y):
            seen.append((name, x.tolist(), y.tolist()))
            return x + y

        return run

    x, y = np.arange(3), np.arange(3) * 10
    out = population.run([function("a"), function("b")], population.split(x), population.split(y))
    assert seen == [("a", [1], [10]), ("b", [0, 2], [0, 20])]
    np.testing.assert_array_equal(out, [0, 11, 22])


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ((), "number of agents: got 0, expected an integer >= 1"),
        ((0, 2, 2), "family: got 1, expected numbers from 0 on, each of some agent"),
        ((1, 1), "family: got 0, expected numbers from 0 on, each of some agent"),
        ((0, -1), "family: got -1, expected an integer in [0, 1]"),
    ],
)
def test_numbers_that_name_no_families_are_refused_in_one_line(family, line):
    with pytest.raises(ConfigError) as refusal:
        agents.Population(family)
    assert str(refusal.value) == line


def test_an_empty_set_is_refused():
    for make in (lambda: agents.population([]), lambda: agents.sort_by_family([])):
        with pytest.raises(ConfigError, match=r"^number of agents: got 0"):
            make()
