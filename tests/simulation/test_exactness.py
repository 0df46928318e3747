"""The fast path, replayed step by step through the plain functions of the agents."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest

from mermaide_jax import agents
from mermaide_jax.agents import sample_means
from mermaide_jax.agents.ties import argmax_of_bits
from mermaide_jax.simulation import Bandits, counters, simulate

pytestmark = pytest.mark.exact

ARMS, AGENTS, STEPS = 5, 150, 70
coefficient = np.linspace(0.0, 0.9, AGENTS, dtype=np.float32)
FAST = {
    "ucb": (agents.ucb(ARMS), agents.UCBParams(coefficient)),
    "epsilon_greedy": (
        agents.epsilon_greedy(ARMS),
        agents.EpsilonGreedyParams(coefficient, np.float32(0)),
    ),
    "epsilon_greedy without pull": (
        agents.epsilon_greedy(ARMS, initial_pull=False),
        agents.EpsilonGreedyParams(coefficient, np.float32(0.25)),
    ),
    "thompson": (agents.thompson(ARMS), agents.ThompsonParams(coefficient)),
}


def bandits(kind):
    rng: Any = np.random.default_rng(1)
    mu = rng.uniform(size=(AGENTS, ARMS)).astype(np.float32)
    if kind == "discrete":
        return Bandits((2 * mu).round() / 2, np.float32(0), np.int32(2))
    return Bandits(mu, np.float32(0.3), rng.integers(0, ARMS, AGENTS).astype(np.int32))


def all_words(key, stream, rounds=20):
    """``[T, N]`` words of a stream, from jax's own threefry: nothing of the simulator."""
    keys = counters.stream_keys(key, stream + 1)[stream]
    time, agent = np.mgrid[:STEPS, :AGENTS].astype(np.uint32)
    return counters.threefry2x32(
        (keys[0], keys[1]), (jnp.asarray(agent), jnp.asarray(time)), rounds
    )


def plain_values(name, params, state, time, normals):
    """What the plain agent maximises, and whether arms untried come first."""
    if name == "ucb":
        return agents.ucb_index(params.beta, state)
    if name == "thompson":
        return agents.thompson_draw(normals, params.scale, state)
    return state.means if "without" in name else sample_means.untried_first(state, state.means)


def bits_that_rank(word, values):
    """Bits under which `argmax_of_bits` takes the tied entry whose rank the word names."""
    tied = values == jnp.max(values)
    rank = (word.astype(jnp.float32) * 2.0**-32 * jnp.sum(tied)).astype(jnp.int32)
    return jnp.where(tied & (jnp.cumsum(tied) == rank + 1), jnp.uint32(2**31), jnp.uint32(2))


def replay(name, agent, params, mu, noise, target, bonus, normal, ties, first, arms_normals):
    """One agent, by the plain functions: what it would do and receive, and how clear that is."""

    def step(state, inputs):
        time, bonus, normal, tie, first, normals, action = inputs
        values = plain_values(name, params, state, time, normals)
        greedy = argmax_of_bits(bits_that_rank(tie, values), values)
        choice = greedy
        explores = jnp.bool_(False)
        if "epsilon" in name:
            explores = first < params.epsilon
            if "without" not in name:
                explores &= jnp.all(state.counts > 0)
            arm = jnp.minimum((first / params.epsilon * ARMS).astype(jnp.int32), ARMS - 1)
            choice = jnp.where(explores, arm, greedy)
        gap = jnp.abs(values[action] - jnp.max(values))
        near = jnp.sum(values >= jnp.max(values) - 1e-5) > jnp.sum(values == jnp.max(values))
        reward = mu[action] + noise * normal + jnp.where(action == target, bonus, 0.0)
        state = agent.update(params, state, action, reward)
        return state, (choice, reward, explores, near, gap)

    return lambda actions: jax.lax.scan(
        step,
        agent.init(params),
        (jnp.arange(STEPS), bonus, normal, ties, first, arms_normals, actions),
    )[1]


@pytest.mark.parametrize("kind", ["gaussian", "discrete"])
@pytest.mark.parametrize("name", FAST)
def test_trajectories_are_those_of_the_plain_functions_on_the_same_draws(name, kind):
    agent, params = FAST[name]
    bandit, key = bandits(kind), jax.random.key(7)
    schedule: Any = np.where(np.arange(STEPS) < 15, np.float32(0.5), np.float32(0))
    run = functools.partial(simulate, agent=agent, params=params, bandits=bandit, horizon=STEPS)
    out = run(key, schedule=schedule, record=True)

    key = jax.random.key(7)
    normal = counters.normal_pair(all_words(jax.random.clone(key), 0))[0]
    first, ties = all_words(jax.random.clone(key), 1)
    pairs = [counters.normal_pair(all_words(jax.random.clone(key), 2 + p)) for p in range(3)]
    arms_normals = jnp.stack([z for pair in pairs for z in pair][:ARMS], -1)

    def one(params, mu, target, normal, ties, first, arms_normals, actions):
        bonus = jnp.asarray(schedule)
        u = counters.uniform(first)
        noise = bandit.noise
        player = replay(
            name, agent, params, mu, noise, target, bonus, normal, ties, u, arms_normals
        )
        return player(actions)

    params = jax.tree.map(lambda leaf: np.broadcast_to(leaf, AGENTS), params)
    target = np.broadcast_to(bandit.target, AGENTS)
    choice, reward, explores, near, gap = jax.jit(jax.vmap(one, (0, 0, 0, 1, 1, 1, 1, 1), 1))(
        params, bandit.mean_rewards, target, normal, ties, first, arms_normals, out.actions
    )
    same = np.asarray(choice == out.actions)
    assert (same | np.asarray(near)).all(), "a choice that is not a near tie differs"
    assert same.mean() > 0.999
    assert np.asarray(explores | (gap < 1e-5) | ~np.isfinite(gap)).all()
    assert out.rewards is not None
    np.testing.assert_allclose(out.rewards, reward, rtol=0, atol=3e-6)
    if "epsilon" in name:
        oracles.assert_binomial(
            int(np.sum(explores[ARMS:])), explores[ARMS:].size, float(coefficient.mean())
        )


@pytest.mark.parametrize("name", FAST)
def test_the_law_is_that_of_the_reference(name):
    agent, params = FAST[name]
    rng = np.random.default_rng(2)
    mu = rng.uniform(size=ARMS).astype(np.float32)
    number = 3000
    params = jax.tree.map(lambda _: np.float32(0.25), params)
    bandit = Bandits(jnp.broadcast_to(mu, (number, ARMS)), np.float32(0.5), np.int32(2))
    schedule: Any = np.where(np.arange(40) % 4 == 0, np.float32(1), np.float32(0))
    run = functools.partial(simulate, agent=agent, params=params, bandits=bandit, horizon=40)
    fast = run(jax.random.key(0), schedule=schedule)
    slow = run(jax.random.key(1), schedule=schedule, implementation="reference")
    for a, b in [(fast.counts, slow.counts), (fast.total_reward, slow.total_reward)]:
        a, b = np.asarray(a, float).reshape(number, -1), np.asarray(b, float).reshape(number, -1)
        spread = np.sqrt((a.var(0) + b.var(0)) / number)
        assert (np.abs(a.mean(0) - b.mean(0)) < 4 * spread + 1e-9).all()
        quantiles = np.quantile(a, [0.25, 0.5, 0.75], 0) - np.quantile(b, [0.25, 0.5, 0.75], 0)
        assert (np.abs(quantiles) <= np.maximum(1.0, 8 * spread)).all()


def test_ties_are_uniform():
    """Equal arms without noise: the first pulls in any order, then any of the tied."""
    number = 12_000
    bandit = Bandits(jnp.full((number, 3), 0.5))
    out = simulate(jax.random.key(3), agents.ucb(3), agents.UCBParams(0.5), bandit, 6, record=True)
    actions = np.asarray(out.actions)
    for at in (0, 3):  # after three pulls of equal arms the indices are equal again
        orders = actions[at : at + 3].T @ [9, 3, 1]
        _, counts = np.unique(orders, return_counts=True)
        assert len(counts) == 6
        oracles.assert_equally_likely(counts)
