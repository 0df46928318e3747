"""Tuning finds what trying everything finds, on the agents it is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import games_of, tasks_of

from mermaide_jax import agents, games
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.principals import first_k

ARMS, STEPS = 2, 6
GAME = games.make_intervention_game(agents.ucb(ARMS), games.GameConfig(ARMS, STEPS))
CANDIDATES = jnp.arange(STEPS + 1, dtype=jnp.int32)


def tasks(cost, gap=0.5, number=3):
    """Agents that find the target worse by ``gap`` than the other arm."""
    fill = lambda x: jnp.full((number,), x, jnp.float32)  # noqa: E731
    rewards = jnp.tile(jnp.asarray([0.5 - gap / 2, 0.5 + gap / 2]), (number, 1))
    target = jnp.zeros((number,), jnp.int32)
    bandit = games.Bandit(rewards, fill(0.1), target, fill(cost), fill(1.0))
    return games.Task(agents.UCBParams(fill(0.2)), bandit)


@jax.jit
def tuned(key, tasks):
    return tune(key, GAME, first_k(GAME.pay_target), CANDIDATES, tasks, 8)


@jax.jit
def score(key, k, tasks):
    return evaluate(key, GAME, first_k(GAME.pay_target), k, tasks, 8).score


@pytest.mark.parametrize(("seed", "cost"), [(0, 0.1), (1, 0.4), (2, 0.6), (3, 3.0)])
def test_the_best_candidate_is_found(seed, cost):
    by_hand = [
        np.mean([float(s) for s in score(jax.random.key(seed), k, tasks(cost))])
        for k in range(STEPS + 1)
    ]
    found = tuned(jax.random.key(seed), tasks(cost))
    assert found.shape == () and found.dtype == jnp.int32
    np.testing.assert_allclose(by_hand[int(found)], max(by_hand), atol=1e-6)
    assert np.ptp(by_hand) > 0.1


def test_what_is_best_depends_on_the_cost():
    best = [int(tuned(jax.random.key(0), tasks(cost))) for cost in (0.1, 3.0)]
    assert best[0] > 0 and best[1] == 0


def test_the_first_of_equals_is_taken():
    """A free intervention without effect changes nothing."""
    useless = tasks(cost=0.0)
    useless = useless._replace(env=useless.env._replace(bonus=jnp.zeros(3)))
    assert int(tuned(jax.random.key(0), useless)) == 0


def test_agents_of_several_families_count_alike():
    """Their candidate is that of all of them together."""
    families = ("ucb", "best_response")
    parts = (tasks(0.4), tasks_of(jax.random.key(1), "best_response", 2, ARMS))
    several = games_of(families, games.GameConfig(ARMS, STEPS))
    pays = first_k(GAME.pay_target)

    @jax.jit
    def both(key):
        means = [
            evaluate(jax.random.clone(key), several, pays, k, parts, 8).score.mean()
            for k in CANDIDATES
        ]
        return tune(key, several, pays, CANDIDATES, parts, 8), jnp.stack(means)

    found, by_hand = both(jax.random.key(0))
    np.testing.assert_allclose(by_hand[int(found)], by_hand.max(), atol=1e-6)
    assert np.ptp(by_hand) > 0.1
