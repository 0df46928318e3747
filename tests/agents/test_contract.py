"""What every learning rule must satisfy, run for each of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from families import FAMILIES, HabitsParams, bandit_of, habits, params_of
from streams import assert_same, keys, play

from mermaide_jax import agents
from mermaide_jax.errors import ConfigError

ARMS, STEPS = 4, 6


def _registered(name):
    return agents.make_agent(name, ARMS), functools.partial(params_of, name)


MEMBERS = {name: _registered(name) for name in FAMILIES} | {
    "epsilon_greedy without pull": (
        agents.epsilon_greedy(ARMS, initial_pull=False),
        lambda c, mu: agents.EpsilonGreedyParams(c, mu[0]),
    ),
    "habits": (habits(ARMS), lambda c, mu: HabitsParams(mu, c)),
}


@pytest.fixture(params=MEMBERS)
def family(request):
    return MEMBERS[request.param]


def inputs(make_params, number):
    rng = np.random.default_rng(0)
    coefficient = rng.uniform(0.05, 0.95, 8).astype(np.float32)[:number]
    mu = rng.uniform(size=(8, ARMS)).astype(np.float32)[:number]
    rewards = rng.normal(size=(8, STEPS, ARMS)).astype(np.float32)[:number]
    offer = rng.uniform(size=(8, ARMS)).astype(np.float32)[:number]
    return jax.vmap(make_params)(jnp.asarray(coefficient), jnp.asarray(mu)), rewards, offer


def eagerly(agent, key, params, rewards, offer):
    """What `play` does, one call after the other."""
    state, actions, gained = agent.init(params), [], []
    for row in rewards:
        key, key_act = jax.random.split(key)
        actions.append(int(agent.act(key_act, params, state, offer)))
        gained.append(row[actions[-1]])
        state = agent.update(params, state, jnp.int32(actions[-1]), gained[-1])
    return actions, gained


@functools.cache
def batched(agent):
    return jax.jit(jax.vmap(functools.partial(play, agent)))


def test_jit_equals_eager_and_batch_equals_loop_and_grows(family):
    agent, make_params = family
    params, rewards, offer = inputs(make_params, 8)
    eight = batched(agent)(keys(0, 8), params, rewards, offer)
    take = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)  # noqa: E731
    single = jax.jit(functools.partial(play, agent))
    for i in range(8):
        alone = single(keys(0, 8)[i], take(params, i), rewards[i], offer[i])
        assert_same(take(eight, i), alone)
    actions, gained = eagerly(agent, keys(0, 8)[3], take(params, 3), rewards[3], offer[3])
    np.testing.assert_array_equal(eight[0][3], actions)
    np.testing.assert_array_equal(eight[1][3], gained)
    five = batched(agent)(keys(0, 5), *inputs(make_params, 5))
    assert_same(take(eight, slice(5)), five)


def test_dtypes_and_state_are_stable_under_strict_promotion(family, strict_dtypes):
    agent, make_params = family
    params = make_params(jnp.float32(0.3), jnp.linspace(0, 1, ARMS, dtype=jnp.float32))

    def act_and_update(key, state, offer, reward):
        action = agent.act(key, params, state, offer)
        following = agent.update(params, state, action, reward)
        law = agent.probabilities(params, state, offer)
        return action, agent.estimates(params, state), law, following

    state = jax.eval_shape(agent.init, params)
    offer, reward = jnp.zeros(ARMS, jnp.float32), jnp.float32(1)
    out = jax.eval_shape(act_and_update, jax.random.key(0), state, offer, reward)
    action, estimates, law, following = out
    assert (action.shape, action.dtype) == ((), jnp.int32)
    assert (estimates.shape, estimates.dtype) == ((ARMS,), jnp.float32)
    assert (law.shape, law.dtype) == ((ARMS,), jnp.float32)
    assert jax.tree.structure(following) == jax.tree.structure(state)
    # `weak_type` too: a carry that hardens is traced twice by `scan`.
    describe = lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type)  # noqa: E731
    assert jax.tree.map(describe, following) == jax.tree.map(describe, state)


def test_actions_are_arms_and_keys_are_consumed(family):
    agent, make_params = family
    params, rewards, offer = inputs(make_params, 8)
    actions, _ = batched(agent)(keys(1, 8), params, rewards, offer)
    assert ((actions >= 0) & (actions < ARMS)).all()
    params = make_params(jnp.float32(0.3), jnp.linspace(0, 1, ARMS))
    key = jax.random.key(0)
    agent.act(key, params, agent.init(params), jnp.zeros(ARMS))
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.uniform(key)


DRAWS, MOMENTS = 3_000, (0, 2, STEPS)


@functools.cache
def states_met(agent):
    """The states of a played stream before its first step, in the initial pulls, and later."""

    def states(key, params, rewards, offer):
        def step(carry, row):
            key, state = carry
            key, key_act = jax.random.split(key)
            action = agent.act(key_act, params, state, offer)
            following = agent.update(params, state, action, row[action])
            return (key, following), following

        start = agent.init(params)
        _, later = jax.lax.scan(step, (key, start), rewards)
        joined = jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), start, later)
        return jax.tree.map(lambda leaf: leaf[jnp.asarray(MOMENTS)], joined)

    return jax.jit(jax.vmap(states))


def situations(make_params, agent, rewards=None):
    """Params, states and offers of 8 streams at 3 moments, all with leading axis 24."""
    params, drawn, offer = inputs(make_params, 8)
    drawn = drawn if rewards is None else rewards
    states = states_met(agent)(keys(2, 8), params, drawn, offer)
    repeat = lambda leaf: jnp.repeat(leaf, len(MOMENTS), axis=0)  # noqa: E731
    flatten = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])  # noqa: E731
    return jax.tree.map(repeat, params), jax.tree.map(flatten, states), repeat(jnp.asarray(offer))


@functools.cache
def frequencies(agent):
    def one(key, params, state, offer):
        actions = jax.vmap(lambda k: agent.act(k, params, state, offer))(keys_of(key))
        return jnp.bincount(actions, length=ARMS)

    keys_of = lambda key: jax.random.split(key, DRAWS)  # noqa: E731
    return jax.jit(jax.vmap(one))


@functools.cache
def law_of(agent):
    return jax.jit(jax.vmap(agent.probabilities))


@pytest.mark.parametrize("tied", [False, True])
def test_probabilities_are_the_law_of_act(family, tied):
    agent, make_params = family
    rewards = np.zeros((8, STEPS, ARMS), np.float32) if tied else None
    met = situations(make_params, agent, rewards)
    counts = np.asarray(frequencies(agent)(keys(3, 24), *met))
    law = np.asarray(law_of(agent)(*met), np.float64)
    assert (law >= 0).all()
    np.testing.assert_allclose(law.sum(-1), 1, rtol=0, atol=1e-6)
    assert not counts[law < 1e-7].any()
    expected = DRAWS * law / law.sum(-1, keepdims=True)
    economics = np.where(law < 1e-7, 0, (counts - expected) ** 2 / np.maximum(expected, 1))
    freedom = np.maximum((law >= 1e-7).sum(-1) - 1, 1)
    p_values = scipy.stats.chi2.sf(economics.sum(-1), freedom)
    assert p_values.min() > 1e-4, (law[p_values.argmin()], counts[p_values.argmin()])


def test_probabilities_batched_compiled_and_eager_agree(family):
    agent, make_params = family
    met = situations(make_params, agent)
    together, alone = law_of(agent)(*met), jax.jit(agent.probabilities)
    for i in range(24):
        situation = jax.tree.map(lambda leaf: leaf[i], met)  # noqa: B023
        assert_same(together[i], alone(*situation), 1e-6)
    assert_same(together[23], agent.probabilities(*situation), 1e-6)


@functools.cache
def told(agent):
    """Laws and estimates before each step of a stream whose actions are given."""

    def one(params, actions, rewards, offer):
        def step(state, event):
            seen = agent.probabilities(params, state, offer), agent.estimates(params, state)
            return agent.update(params, state, *event), seen

        return jax.lax.scan(step, agent.init(params), (actions, rewards))[1]

    return jax.jit(jax.vmap(one))


def test_an_agent_whose_arms_are_renamed_does_the_same_under_the_new_names(family):
    agent, make_params = family
    params, rewards, offer = inputs(make_params, 8)
    rng = np.random.default_rng(1)
    order = np.stack([rng.permutation(ARMS) for _ in range(8)]).astype(np.int32)
    actions = rng.integers(0, ARMS, (8, STEPS)).astype(np.int32)
    gains = np.take_along_axis(rewards, actions[..., None], 2)[..., 0]
    names = np.argsort(order)  # [8, old] the new name of each arm
    plain = told(agent)(params, actions, gains, offer)
    renamed = told(agent)(
        jax.vmap(agent.permute)(params, order),
        np.take_along_axis(names, actions, 1).astype(np.int32),
        gains,
        np.take_along_axis(offer, order, 1),
    )
    for seen, former in zip(renamed, plain, strict=True):  # laws, estimates
        expected = np.take_along_axis(np.asarray(former), order[:, None], 2)
        np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-6)


def test_renaming_back_gives_the_params_and_renaming_twice_is_renaming_once(family):
    agent, make_params = family
    params = make_params(jnp.float32(0.3), jnp.linspace(0, 1, ARMS, dtype=jnp.float32))
    first, second = np.int32([2, 0, 3, 1]), np.int32([1, 3, 2, 0])
    assert_same(agent.permute(agent.permute(params, first), np.argsort(first)), params)
    twice = agent.permute(agent.permute(params, first), second)
    assert_same(twice, agent.permute(params, first[second]))


def test_what_an_agent_is_told_is_in_the_names_of_the_game(family):
    agent, make_params = family
    mu, order = jnp.linspace(0, 1, ARMS, dtype=jnp.float32), jnp.int32([2, 0, 3, 1])
    params = make_params(jnp.float32(0.3), mu)
    informed = agent.inform(agent.permute(params, order), bandit_of(mu[order]))
    assert_same(informed, agent.permute(agent.inform(params, bandit_of(mu)), order))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_arms", [1, 0, -3, 2.5])
def test_too_few_arms_are_refused(family, num_arms):
    with pytest.raises(ConfigError) as refusal:
        agents.make_agent(family, num_arms)
    assert str(refusal.value) == f"num_arms: got {num_arms!r}, expected an integer >= 2"
