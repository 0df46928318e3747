"""What every learning rule must satisfy, run for each of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES, HabitsParams, bandit_of, habits, params_of
from streams import assert_same, keys, play

from mermaide_jax import agents
from mermaide_jax.checks import check_agent
from mermaide_jax.errors import ConfigError

pytestmark = pytest.mark.contract

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


@pytest.mark.parametrize("coefficient", [0.05, 0.6])
def test_every_promise_of_an_agent_is_kept(family, coefficient):
    agent, make_params = family
    mu = jnp.asarray(np.random.default_rng(2).uniform(size=ARMS), jnp.float32)
    params = make_params(jnp.float32(coefficient), mu)
    check_agent(agent, params, key=jax.random.key(3), num_draws=3_000)


def test_renaming_back_gives_the_params_and_renaming_twice_is_renaming_once(family):
    agent, make_params = family
    params = make_params(jnp.float32(0.3), jnp.linspace(0, 1, ARMS, dtype=jnp.float32))
    first, second = jnp.int32([2, 0, 3, 1]), jnp.int32([1, 3, 2, 0])
    assert_same(agent.permute(agent.permute(params, first), jnp.argsort(first)), params)
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
