"""Predictions against the agent's law: replayed laws, and divergence against SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from families import FAMILIES, bandit_of, games_of, params_of

from mermaide_jax import games
from mermaide_jax.agents import make_agent
from mermaide_jax.evaluation.prediction import action_law, prediction_quality
from mermaide_jax.principals import random_rate

ARMS, STEPS, EPISODES = 3, 8, 4000
CONFIG = games.GameConfig(ARMS, STEPS, "arm")


@functools.cache
def played(family):
    """Many episodes with one agent, and the law of each of their steps."""
    means = jnp.asarray([0.2, 0.6, 0.5])
    task = games.Task(params_of(family, 0.4, means), bandit_of(means))
    (game,) = games_of([family], CONFIG)
    payer = random_rate(game.num_interventions)

    def one(key):
        episode = games.rollout(key, game, payer, jnp.float32(0.5), task)
        return episode, action_law(make_agent(family, 3), CONFIG, task, episode)

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), EPISODES))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_happens_follows_the_law(family):
    episodes, law = played(family)
    np.testing.assert_allclose(law.sum(-1), 1.0, rtol=1e-5)
    happened = np.eye(ARMS)[np.asarray(episodes.step.action)]
    assert happened[np.asarray(law) == 0].sum() == 0
    # Residuals of a true law are centred, at every step and for every arm.
    excess = (happened - law).mean(0) / np.sqrt((law * (1 - law)).mean(0) / EPISODES + 1e-12)
    assert np.abs(excess).max() < 4.5


def test_the_law_is_that_of_the_moment_before_the_step():
    episodes, law = played("ucb")
    np.testing.assert_allclose(law[:, 0], 1 / ARMS, rtol=1e-5)
    second = np.asarray(law[:, 1])
    assert np.all(np.take_along_axis(second, np.asarray(episodes.step.action)[:, :1], 1) == 0)


def test_the_law_of_an_agent_that_sees_offers_heeds_them():
    episodes, law = played("best_response")
    sure = np.take_along_axis(np.asarray(law), np.asarray(episodes.step.action)[..., None], -1)
    np.testing.assert_array_equal(sure, 1.0)
    best_unpaid = np.asarray(episodes.step.action) == 1
    assert 0.2 < best_unpaid.mean() < 0.9, "offers make no difference"


def test_quality_is_what_scipy_says():
    rng = np.random.default_rng(0)
    law, said = rng.dirichlet(np.ones(4), 6), rng.dirichlet(np.ones(4), 6)
    law[0] = [0, 1, 0, 0]
    quality = prediction_quality(jnp.asarray(law), jnp.log(said), jnp.int32(2))
    np.testing.assert_allclose(quality.entropy, scipy.stats.entropy(law, axis=1), atol=1e-5)
    np.testing.assert_allclose(
        quality.divergence, scipy.stats.entropy(law, said, axis=1), rtol=1e-4
    )
    np.testing.assert_allclose(quality.target_predicted, said[:, 2], rtol=1e-5)
    np.testing.assert_allclose(quality.target_true, law[:, 2], rtol=1e-5)


def test_a_perfect_prediction_lacks_nothing_and_impossible_actions_do_not_count():
    law = jnp.asarray([[0.5, 0.5, 0.0]])
    certain = jnp.log(jnp.asarray([[0.5, 0.5, 0.0]]))
    quality = prediction_quality(law, certain, jnp.int32(0))
    np.testing.assert_allclose(quality.divergence, 0.0, atol=1e-6)
