"""What an observer takes for granted."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import games
from mermaide_jax.agents import UCBParams, ucb
from mermaide_jax.oracles.observers import for_each, informed_prior, stranger_prior


def test_a_stranger_knows_the_ranges_and_the_informed_one_the_agent():
    economics = games.Economics(noise=0.2, reward_low=-1.0, reward_high=2.0)
    bandit = games.draw_bandit(jax.random.key(0), 4, economics)
    task = games.make_task(ucb(4), UCBParams(0.3), bandit)
    stranger, informed = stranger_prior(4, economics, (0.1, 0.5)), informed_prior(task)
    assert jax.tree.structure(stranger) == jax.tree.structure(informed)
    shapes = [[(x.shape, x.dtype) for x in jax.tree.leaves(p)] for p in (stranger, informed)]
    assert shapes[0] == shapes[1]  # one program serves both
    np.testing.assert_allclose(stranger.reward_low, [-1.0] * 4)
    np.testing.assert_allclose(stranger.reward_high, [2.0] * 4)
    np.testing.assert_allclose(jnp.stack([stranger.beta_low, stranger.beta_high]), [0.1, 0.5])
    np.testing.assert_array_equal(informed.reward_low, bandit.mean_rewards)
    np.testing.assert_array_equal(informed.reward_high, bandit.mean_rewards)
    np.testing.assert_allclose(jnp.stack([informed.beta_low, informed.beta_high]), [0.3, 0.3])
    np.testing.assert_allclose(jnp.stack([stranger.noise, informed.noise]), [0.2, 0.2])


def test_for_each_repeats_every_leaf():
    several: Any = for_each(stranger_prior(4, games.Economics()), 3)
    assert several.noise.shape == (3,) and several.reward_low.shape == (3, 4)
