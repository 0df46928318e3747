"""Streams that many tests play: agents on tables of rewards, batches of episodes, their noise."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np


def play(agent: Any, key: chex.PRNGKey, params: Any, rewards: Any, offer: Any = None):
    """One agent on a table of rewards ``[T, A]``; returns actions and rewards, ``[T]``."""
    offer = jnp.zeros(rewards.shape[1]) if offer is None else offer

    def step(carry, row):
        key, state = carry
        key, key_act = jax.random.split(key)
        action = agent.act(key_act, params, state, offer)
        state = agent.update(params, state, action, row[action])
        return (key, state), (action, row[action])

    (_, _), out = jax.lax.scan(step, (key, agent.init(params)), rewards)
    return out


def act_keys(key: chex.PRNGKey, num_steps: int) -> list[chex.PRNGKey]:
    """The keys that `play` gives to ``act``."""
    keys = []
    for _ in range(num_steps):
        key, key_act = jax.random.split(key)
        keys.append(key_act)
    return keys


def reward_noise(key: chex.PRNGKey, horizon: int) -> chex.Array:
    """The standard normal draws of a rollout under ``key``, ``[T]``."""

    def step(key, _):
        key, _, key_game = jax.random.split(key, 3)
        _, key_noise = jax.random.split(key_game)
        return key, jax.random.normal(key_noise, dtype=jnp.float32)

    _, key = jax.random.split(key)
    return jax.lax.scan(step, key, length=horizon)[1]


def keys(seed: int, number: int) -> chex.PRNGKey:
    return jax.random.split(jax.random.key(seed), number)


def assert_same(left: Any, right: Any, tolerance: float = 0.0) -> None:
    """Same structure and dtypes; integers equal, floats within ``tolerance``."""
    chex.assert_trees_all_equal_shapes_and_dtypes(left, right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        if tolerance and jnp.issubdtype(a.dtype, jnp.floating):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
        else:
            np.testing.assert_array_equal(a, b)
