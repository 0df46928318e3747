"""Factories with a memory: one object however it is asked for, and a plain refusal."""

import inspect
from typing import Any

import pytest
from families import FAMILIES

from mermaide_jax import agents, games
from mermaide_jax._jax.caching import memoize
from mermaide_jax.errors import ConfigError


@memoize
def pair(first: int, second: int = 2, *, third: tuple = ()) -> list:
    """Makes a new list."""
    return [first, second, third]


def test_every_spelling_gives_the_one_object():
    one = pair(1)
    for other in (
        pair(first=1),
        pair(1, 2),
        pair(second=2, first=1),
        pair(1, third=()),
        pair(1, 2, third=()),
    ):
        assert other is one
    assert pair(1, 3) is not one
    assert pair(1, 3) == [1, 3, ()]
    assert pair(1, third=(4,)) is pair(1, 2, third=(4,))


def test_the_factory_is_still_to_be_seen():
    assert pair.__doc__ == "Makes a new list."
    assert pair.__name__ == "pair"
    assert inspect.signature(pair) == inspect.signature(pair.__wrapped__)
    assert pair.__wrapped__(1) is not pair.__wrapped__(1)


def test_wrong_calls_are_those_of_the_factory():
    wrongly: Any = pair
    with pytest.raises(TypeError, match="first"):
        wrongly()
    with pytest.raises(TypeError, match="fourth"):
        wrongly(1, fourth=4)


def test_what_has_no_hash_is_refused_by_name():
    unhashable: Any = [3]
    with pytest.raises(ConfigError) as refusal:
        pair(1, third=unhashable)
    expected = "third: got [3], expected a hashable value (unhashable type: 'list')"
    assert str(refusal.value) == expected
    no_agent: Any = list(agents.ucb(3))
    with pytest.raises(ConfigError, match=r"^agent: got .*'list'"):
        games.make_intervention_game(no_agent, games.GameConfig(3))


def test_a_failure_is_not_remembered():
    with pytest.raises(ConfigError, match="num_arms: got 1"):
        agents.ucb(num_arms=1)
    with pytest.raises(ConfigError, match="num_arms: got 1"):
        agents.ucb(1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (agents.ucb(5), agents.ucb(num_arms=5)),
        (agents.thompson(5), agents.thompson(num_arms=5)),
        (agents.best_response(5), agents.best_response(num_arms=5)),
        (agents.epsilon_greedy(5), agents.epsilon_greedy(5, initial_pull=True)),
        (agents.epsilon_greedy(5, False), agents.epsilon_greedy(initial_pull=False, num_arms=5)),
        *(
            (agents.make_agent(family, 5), agents.make_agent(family, num_arms=5))
            for family in FAMILIES
        ),
        (agents.epsilon_greedy(5), agents.make_agent("epsilon_greedy", 5, initial_pull=True)),
        (agents.ucb(5), agents.make_agent("ucb", 5, initial_pull=False)),
    ],
)
def test_agents_are_one_object_however_spelled(one, other):
    assert one is other
    config = games.GameConfig(5, 3)
    game = games.make_intervention_game
    assert game(one, config) is game(other, config)
