"""The pieces that several rules share: sample means, and the unbiased argmax."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy_oracles import assert_equally_likely
from numpy_oracles import sample_means as means_oracle
from streams import keys

from mermaide_jax.agents import sample_means, ties

ARMS = 5
finite = st.floats(-100, 100, width=32)
argmax = jax.jit(ties.random_argmax)


@jax.jit
def means_after(actions, rewards, initial_value):
    def step(state, pull):
        return sample_means.update_sample_means(state, *pull), None

    start = sample_means.init_sample_means(ARMS, initial_value)
    return jax.lax.scan(step, start, (actions, rewards))[0]


def test_sample_means_of_thousands_of_sequences():
    rng = np.random.default_rng(0)
    actions = rng.integers(0, ARMS, (3000, 40))
    actions[:300] %= 2  # arms that are never pulled
    rewards = rng.normal(size=(3000, 40)).astype(np.float32)
    initial = rng.normal(size=3000).astype(np.float32)
    state = jax.vmap(means_after)(actions, rewards, initial)
    counts, means = means_oracle(
        np.pad(actions, ((0, 0), (0, 1))), np.pad(rewards, ((0, 0), (0, 1))), ARMS, initial
    )
    np.testing.assert_array_equal(state.counts, counts[:, -1])
    np.testing.assert_allclose(state.means, means[:, -1], rtol=0, atol=2e-6)


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, ARMS - 1), finite), min_size=12, max_size=12), finite
)
def test_sample_means_equal_numpy_means(pulls, initial_value):
    actions, rewards = (np.asarray(x) for x in zip(*pulls, strict=True))
    state = means_after(actions, rewards.astype(np.float32), np.float32(initial_value))
    for arm in range(ARMS):
        own = rewards[actions == arm]
        assert state.counts[arm] == len(own)
        expected = own.mean() if len(own) else initial_value
        np.testing.assert_allclose(state.means[arm], expected, rtol=1e-5, atol=1e-4)


@hypothesis.given(
    st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0, np.inf]), min_size=6, max_size=6),
    st.integers(0, 2**31 - 1),
)
def test_random_argmax_takes_a_greatest_value(values, seed):
    choice = argmax(jax.random.key(seed), jnp.asarray(values, jnp.float32))
    assert choice.dtype == jnp.int32
    assert values[int(choice)] == max(values)


@pytest.mark.parametrize("values", [(1, 1, 1, 1), (0, 3, 3, 1), (-1, -2, -2, -1), (0, 0, 0, 9)])
def test_ties_are_broken_without_bias(values):
    values = np.asarray(values, np.float32)
    choices = jax.vmap(argmax, (0, None))(keys(1, 20_000), values)
    counts = np.bincount(choices, minlength=4)
    tied = values == values.max()
    assert counts[~tied].sum() == 0
    if tied.sum() > 1:
        assert_equally_likely(counts[tied])
