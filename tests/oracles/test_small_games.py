"""Solved games: scores by brute force, and the order of those who know more."""

import itertools

import expectimax
import jax
import numpy as np
import pytest
from expectimax import Rules, Spec

from mermaide_jax import games
from mermaide_jax.agents import grid_of, make_agent
from mermaide_jax.oracles.small_games import SmallGame, solve_small_game

BOTH = (-1.0, 1.0)


def specs_of(family, tasks, noise, seed):
    """The prior of the game, for brute force."""
    economics, coefficients = games.Economics(noise=noise), grid_of(family)
    own = (family, make_agent(family, 2), coefficients, tasks, 2, economics)
    prior = games.finite_tasks(jax.random.key(seed), *own).env
    means, targets = np.asarray(prior.mean_rewards, np.float64), np.asarray(prior.target)
    every = itertools.islice(itertools.cycle(coefficients), tasks)
    return [
        Spec(family, expectimax.exactly(coefficient)[0], tuple(mu), int(target), sigma=noise)
        for coefficient, mu, target in zip(every, means, targets, strict=True)
    ]


@pytest.mark.parametrize(("family", "noise"), [("ucb", 0.1), ("epsilon_greedy", 0.1), ("ucb", 0)])
def test_the_scores_are_those_of_brute_force(family, noise):
    found = solve_small_game(SmallGame(family, 2, noise, 4, 5), 0)
    specs, rules = specs_of(family, 5, noise, 0), Rules(4, draws=BOTH if noise else (0.0,))
    every = expectimax.start(specs, [0.2] * 5)
    seen = [[p for p in every if p[1].target == target] for target in (0, 1)]
    assert found["belief"] == pytest.approx(
        sum(expectimax.belief(part, rules) for part in seen if part), abs=1e-6
    )
    informed = [expectimax.belief(expectimax.start([spec], [1.0]), rules) for spec in specs]
    assert found["informed"] == pytest.approx(np.mean(informed), abs=1e-6)
    for name, brute in (
        ("all_knowing", expectimax.all_knowing),
        ("sees_draw", expectimax.clairvoyant),
    ):
        assert found[name] == pytest.approx(np.mean([brute(s, rules) for s in specs]), abs=1e-6)
    schedules = list(itertools.product((0, 1), repeat=4))
    scores = {
        schedule: expectimax.follow(every, rules, lambda history: schedule[len(history)])  # noqa: B023
        for schedule in schedules
    }
    firsts = [
        score for schedule, score in scores.items() if list(schedule) == sorted(schedule)[::-1]
    ]
    assert len(firsts) == 5
    best = max(*firsts, np.mean(list(scores.values())))  # at random: every schedule as likely
    assert found["script"] == pytest.approx(best, abs=1e-6)
