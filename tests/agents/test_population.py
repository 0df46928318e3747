"""A member of a population behaves exactly as the lone agent of its rule."""

import functools

import jax
import numpy as np
import pytest
from streams import assert_same, keys, play

from mermaide_jax import agents

ARMS, STEPS, NUMBER = 4, 20, 60


def lone(family, initial_pull, coefficient, mu):
    if family == "ucb":
        return agents.ucb(ARMS), agents.UCBParams(coefficient)
    if family == "epsilon_greedy":
        params = agents.EpsilonGreedyParams(coefficient, np.zeros_like(coefficient))
        return agents.epsilon_greedy(ARMS, initial_pull), params
    return agents.best_response(ARMS), agents.BestResponseParams(mu)


def cases():
    rng = np.random.default_rng(0)
    family = np.arange(NUMBER) % len(agents.RULES)
    coefficient = rng.uniform(0.1, 0.9, NUMBER).astype(np.float32)
    mu = rng.uniform(size=(NUMBER, ARMS)).astype(np.float32)
    offer = rng.integers(0, 2, (NUMBER, ARMS)).astype(np.float32)
    rewards = rng.normal(size=(NUMBER, STEPS, ARMS)).astype(np.float32)
    return family, coefficient, mu, offer, rewards


@functools.cache
def batched(agent):
    return jax.jit(jax.vmap(functools.partial(play, agent)))


@functools.cache
def together(initial_pull):
    family, coefficient, mu, offer, rewards = cases()
    agent = agents.standard_population(ARMS, initial_pull)
    params = jax.vmap(agents.standard_params)(family, coefficient, mu)
    return batched(agent)(keys(0, NUMBER), params, rewards, offer)


@pytest.mark.parametrize("initial_pull", [True, False])
@pytest.mark.parametrize("family", agents.RULES)
def test_member_equals_lone_agent(family, initial_pull):
    index, coefficient, mu, offer, rewards = cases()
    own = index == agents.RULES.index(family)
    agent, params = lone(family, initial_pull, coefficient[own], mu[own])
    alone = batched(agent)(keys(0, NUMBER)[own], params, rewards[own], offer[own])
    assert_same(jax.tree.map(lambda leaf: leaf[own], together(initial_pull)), alone)


def test_estimates_are_those_of_the_rule():
    family, coefficient, mu, _, _ = cases()
    agent = agents.standard_population(ARMS)

    @jax.vmap
    def estimates(family, coefficient, mu):
        params = agents.standard_params(family, coefficient, mu)
        state = agent.update(params, agent.init(params), np.int32(1), np.float32(0.25))
        return agent.estimates(params, state)

    learned = np.tile(np.float32([0, 0.25, 0, 0]), (NUMBER, 1))
    responds = (family == agents.RULES.index("best_response"))[:, None]
    np.testing.assert_array_equal(
        estimates(family, coefficient, mu), np.where(responds, mu, learned)
    )


def test_equal_populations_are_one_object():
    families = (agents.ucb(ARMS), agents.best_response(ARMS))
    assert agents.population(families) is agents.population(families)
    assert agents.standard_population(ARMS) is agents.standard_population(ARMS)
