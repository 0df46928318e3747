"""UCB against a plain loop over its equation."""

import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
from streams import keys, play

from mermaide_jax.agents import SampleMeans, UCBParams, ucb, ucb_index

ARMS, STEPS = 5, 40
batch = jax.jit(jax.vmap(lambda key, beta, rewards: play(ucb(ARMS), key, UCBParams(beta), rewards)))


def cases(number, levels=None):
    """Random coefficients and tables of rewards; ``levels`` of reward make ties common."""
    rng = np.random.default_rng(number)
    beta = rng.uniform(0, 1.5, number).astype(np.float32)
    beta[::7] = 0.0  # greedy
    rewards = rng.normal(size=(number, STEPS, ARMS)) + rng.uniform(0, 2, (number, 1, ARMS))
    if levels:
        rewards = rng.integers(0, levels, rewards.shape) / 4
    return beta, rewards.astype(np.float32)


@pytest.mark.parametrize("levels", [None, 2, 3])
def test_every_action_has_the_greatest_index(levels):
    beta, rewards = cases(2000, levels)
    actions, gained = (np.asarray(x) for x in batch(keys(0, 2000), beta, rewards))
    counts, means = oracles.sample_means(actions, gained, ARMS)
    allowed = oracles.optimal(oracles.ucb_index(beta, counts, means))
    assert np.take_along_axis(allowed, actions[..., None], -1).all()
    if levels:
        assert (allowed[:, ARMS:].sum(-1) > 1).mean() > 0.02, "no ties to speak of"


def test_whole_episodes_equal_a_plain_loop():
    beta, rewards = cases(2000)
    actions = np.asarray(batch(keys(0, 2000), beta, rewards)[0])
    for case in range(300):
        episode = oracles.ucb_episode(beta[case], rewards[case], actions[case])
        assert episode.actions == actions[case].tolist()
        assert sum(episode.unique) >= STEPS - ARMS, "decided by ties"


def test_index_is_the_published_one():
    state = SampleMeans(counts=jnp.float32([1, 4, 0, 9]), means=jnp.float32([0.5, 0.25, 0, 1]))
    expected = [
        0.5 + 0.42 * np.sqrt(np.log(14)),
        0.25 + 0.42 * np.sqrt(np.log(14) / 4),
        np.inf,
        1 + 0.42 * np.sqrt(np.log(14) / 9),
    ]
    np.testing.assert_allclose(ucb_index(0.42, state), expected, rtol=1e-6)


def test_untried_arms_come_first_in_any_order():
    run = jax.vmap(lambda key: play(ucb(4), key, UCBParams(0.5), np.zeros((4, 4), np.float32))[0])
    orders = Counter(map(tuple, np.asarray(jax.jit(run)(keys(3, 12_000))).tolist()))
    assert set(orders) == set(itertools.permutations(range(4)))
    oracles.assert_equally_likely(list(orders.values()))
