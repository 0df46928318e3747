"""Epsilon-greedy against a plain loop given the same draws, and its exploration by counting."""

import functools
import itertools
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
from streams import act_keys, keys, play

from mermaide_jax.agents import EpsilonGreedyParams, SampleMeans, epsilon_greedy

ARMS, STEPS, NUMBER = 5, 30, 2000


@functools.cache
def runner(initial_pull):
    agent = epsilon_greedy(ARMS, initial_pull)
    run = lambda key, params, rewards: play(agent, key, params, rewards)  # noqa: E731
    return jax.jit(jax.vmap(run))


@functools.cache
def draws():
    """The uniform and the arm that each step draws, ``[N, T]``."""

    def one(key):
        explore, arm, _ = jax.random.split(key, 3)
        return jax.random.uniform(explore), jax.random.randint(arm, (), 0, ARMS)

    def episode(key):
        return jax.vmap(one)(jnp.stack(act_keys(key, STEPS)))

    with jax.debug_key_reuse(False):
        return tuple(np.asarray(x) for x in jax.jit(jax.vmap(episode))(keys(0, NUMBER)))


def cases(levels=None):
    rng = np.random.default_rng(5)
    epsilon: Any = rng.uniform(0, 1, NUMBER).astype(np.float32)
    epsilon[::5], epsilon[1::5] = 0.0, 1.0
    initial_value: Any = rng.uniform(-1, 2, NUMBER).astype(np.float32)
    rewards = rng.normal(size=(NUMBER, STEPS, ARMS)) + rng.uniform(0, 2, (NUMBER, 1, ARMS))
    if levels:
        rewards = rng.integers(0, levels, rewards.shape) / 4
        initial_value = np.round(initial_value * 4) / 4
    return EpsilonGreedyParams(epsilon, initial_value), rewards.astype(np.float32)


@pytest.mark.parametrize("initial_pull", [True, False])
@pytest.mark.parametrize("levels", [None, 3])
def test_every_action_is_explored_or_greedy(initial_pull, levels):
    params, rewards = cases(levels)
    run = runner(initial_pull)(keys(0, NUMBER), params, rewards)
    actions, gained = (np.asarray(x) for x in run)
    counts, means = oracles.sample_means(actions, gained, ARMS, params.initial_value)
    values = np.where(counts == 0, np.inf, means) if initial_pull else means
    allowed = np.take_along_axis(oracles.optimal(values), actions[..., None], -1)[..., 0]
    explores = draws()[0] < np.asarray(params.epsilon)[:, None]
    if initial_pull:
        explores[:, :ARMS] = False
    assert (allowed | explores).all()
    np.testing.assert_array_equal(actions[explores], draws()[1][explores])


@pytest.mark.parametrize("initial_pull", [True, False])
def test_whole_episodes_equal_a_plain_loop(initial_pull):
    params, rewards = cases()
    actions = np.asarray(runner(initial_pull)(keys(0, NUMBER), params, rewards)[0])
    uniforms, arms = draws()
    epsilon, initial_value = map(np.asarray, params)
    for case in range(300):
        episode = oracles.epsilon_greedy_episode(
            float(epsilon[case]),
            float(initial_value[case]),
            initial_pull,
            rewards[case],
            (uniforms[case], arms[case]),
            actions[case],
        )
        assert episode.actions == actions[case].tolist()
        assert sum(episode.unique) >= STEPS - 2 * ARMS


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_exploration_is_uniform_with_probability_epsilon(epsilon):
    number, best = 20_000, 2
    means = jnp.arange(float(ARMS)).at[best].set(9.0)
    state = SampleMeans(counts=jnp.ones(ARMS), means=means)
    params = EpsilonGreedyParams(epsilon)
    act = jax.vmap(lambda key: epsilon_greedy(ARMS).act(key, params, state, jnp.zeros(ARMS)))
    counts = np.bincount(jax.jit(act)(keys(4, number)), minlength=ARMS)
    others = np.delete(counts, best)
    oracles.assert_binomial(others.sum(), number, epsilon * (ARMS - 1) / ARMS)
    if epsilon:
        oracles.assert_equally_likely(others)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_untried_arms_come_first_in_any_order(epsilon):
    params = EpsilonGreedyParams(epsilon)
    table = np.zeros((4, 4), np.float32)
    run = jax.vmap(lambda key: play(epsilon_greedy(4), key, params, table)[0])
    orders = Counter(map(tuple, np.asarray(jax.jit(run)(keys(3, 12_000))).tolist()))
    assert set(orders) == set(itertools.permutations(range(4)))
    oracles.assert_equally_likely(list(orders.values()))


def test_without_an_initial_pull_it_locks_on_the_first_good_arm():
    run = runner(False)
    rewards = np.full((NUMBER, STEPS, ARMS), 0.5, np.float32)
    zeros = np.zeros(NUMBER, np.float32)
    actions = np.asarray(run(keys(6, NUMBER), EpsilonGreedyParams(zeros, zeros), rewards)[0])
    assert (actions == actions[:, :1]).all()
    oracles.assert_equally_likely(np.bincount(actions[:, 0], minlength=ARMS))
    optimist = EpsilonGreedyParams(zeros, zeros + 2)
    actions = np.asarray(run(keys(6, NUMBER), optimist, rewards)[0])
    np.testing.assert_array_equal(np.sort(actions[:, :ARMS]), np.tile(range(ARMS), (NUMBER, 1)))
