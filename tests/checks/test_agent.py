"""For each promise of an agent, one that breaks it is refused by the name of the promise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from mermaide_jax import agents, checks
from mermaide_jax.agents import sample_means, ties
from mermaide_jax.base import Agent
from mermaide_jax.errors import ContractError

pytestmark = pytest.mark.contract

ARMS = 3


class Prior(NamedTuple):
    """Params with a value for each arm."""

    means: jax.Array


PARAMS = Prior(jnp.array([0.1, 0.9, 0.4]))


def softmax():
    """An agent that keeps the contract: softmax of its means, which start from a prior."""

    def values(params, state):
        return jnp.where(state.counts > 0, state.means, params.means)

    def act(key, params, state, offer):
        return jax.random.categorical(key, values(params, state) + offer).astype(jnp.int32)

    def probabilities(params, state, offer):
        return jax.nn.softmax(values(params, state) + offer)

    return sample_means.sample_mean_agent(ARMS, act, probabilities)


GOOD = softmax()


def refusal(promise, function, agent, params=PARAMS, **options):
    with pytest.raises(ContractError) as caught:
        checks.check_agent(agent, params, **options)
    assert (caught.value.promise, caught.value.function) == (promise, function), str(caught.value)
    return str(caught.value)


def test_one_that_keeps_all_of_them_passes():
    checks.check_agent(GOOD, PARAMS, remake=lambda: GOOD)


def test_an_action_that_is_no_int32():
    act = lambda *args: GOOD.act(*args).astype(jnp.float32)  # noqa: E731
    line = refusal("shapes", "act", GOOD._replace(act=act))
    assert line == "act breaks 'shapes': got float32[], expected int32[]"


def test_probabilities_of_another_length():
    law = lambda *args: GOOD.probabilities(*args)[:2]  # noqa: E731
    refusal("shapes", "probabilities", GOOD._replace(probabilities=law))


def test_estimates_that_are_no_vector():
    refusal("shapes", "estimates", GOOD._replace(estimates=lambda params, state: state))


def test_a_state_that_hardens():
    init = lambda params: GOOD.init(params)._replace(counts=jnp.full(ARMS, 0.0))  # noqa: E731
    weak = GOOD._replace(init=init)
    assert "weak float32" in refusal("carry", "init", weak)


def test_a_state_that_grows():
    update = lambda params, state, action, reward: (state, reward)  # noqa: E731
    refusal("carry", "update", GOOD._replace(update=update))


def test_a_state_with_a_key():
    keyed = Agent(
        lambda params: (GOOD.init(params), jax.random.key(0)),
        lambda key, params, state, offer: GOOD.act(key, params, state[0], offer),
        lambda params, state, action, reward: (
            GOOD.update(params, state[0], action, reward),
            jax.random.fold_in(state[1], 1),
        ),
        lambda params, state: GOOD.estimates(params, state[0]),
        lambda params, state, offer: GOOD.probabilities(params, state[0], offer),
    )
    refusal("keys", "init", keyed)


def test_a_wrong_number_of_arguments():
    refusal("call", "act", GOOD._replace(act=lambda key, params, state: jnp.int32(0)))


def test_an_act_with_a_memory_of_its_own():
    turns = []

    def act(key, params, state, offer):
        turns.append(None)
        return (GOOD.act(key, params, state, offer) + jnp.int32(len(turns))) % ARMS

    refusal("purity", "act", GOOD._replace(act=act))


def test_an_act_that_uses_its_key_twice():
    def act(key, params, state, offer):
        again = jax.random.bernoulli(key)
        return jnp.where(again, GOOD.act(key, params, state, offer), jnp.int32(0))

    # The scan that plays the first steps would be the first to say so.
    refusal("keys", "act", GOOD._replace(act=act))


def test_an_act_with_a_key_of_its_own():
    def act(key, params, state, offer):
        del key
        return GOOD.act(jax.random.key(3), params, state, offer)

    refusal("keys", "act", GOOD._replace(act=act))


def test_an_update_that_is_another_one_compiled():
    def update(params, state, action, reward):
        traced = isinstance(reward, Tracer)
        return GOOD.update(params, state, action, reward + np.float32(traced))

    refusal("jit", "update", GOOD._replace(update=update))


def test_a_law_that_is_not_that_of_act():
    law = lambda *args: jnp.full(ARMS, 1 / ARMS, jnp.float32)  # noqa: E731
    refusal("law", "act", GOOD._replace(probabilities=law))


def test_a_law_that_does_not_sum_to_one():
    law = lambda *args: 1.1 * GOOD.probabilities(*args)  # noqa: E731
    refusal("range", "act", GOOD._replace(probabilities=law))


def test_an_action_that_is_no_arm():
    act = lambda *args: GOOD.act(*args) + jnp.int32(1)  # noqa: E731
    assert f"the action {ARMS}" in refusal("range", "act", GOOD._replace(act=act))


def test_ties_that_go_to_the_first_arm():
    def law(params, state, offer):
        del params, offer
        return jax.nn.one_hot(jnp.argmax(state.means), ARMS, dtype=jnp.float32)

    first = GOOD._replace(
        act=lambda key, params, state, offer: jnp.argmax(state.means).astype(jnp.int32),
        probabilities=law,
    )
    refusal("permutation", "probabilities", first)


def test_a_permute_that_leaves_a_param_of_each_arm_where_it_was():
    unmoved = GOOD._replace(permute=lambda params, order: params)
    refusal("permutation", "probabilities", unmoved)


def test_a_permute_by_the_inverse_order():
    back = lambda params, order: Prior(params.means[jnp.argsort(order)])  # noqa: E731
    refusal("permutation", "probabilities", GOOD._replace(permute=back))


def test_a_permute_that_changes_more_than_names():
    """The law does not see what is added to every arm, but the params are not the former ones."""
    more = lambda params, order: Prior(params.means[order] + np.float32(1))  # noqa: E731
    unchanged = GOOD._replace(
        act=lambda key, params, state, offer: ties.random_argmax(key, state.means),
        probabilities=lambda params, state, offer: ties.argmax_probabilities(state.means),
        permute=more,
    )
    refusal("permutation", "permute", unchanged)


def test_a_law_that_is_right_but_for_ties():
    def act(key, params, state, offer):
        return jnp.argmax(sample_means.untried_first(state, state.means)).astype(jnp.int32)

    def law(params, state, offer):
        return ties.argmax_probabilities(sample_means.untried_first(state, state.means))

    refusal("law", "act", GOOD._replace(act=act, probabilities=law))


def test_a_permute_that_gives_other_params():
    wrong = GOOD._replace(permute=lambda params, order: params.means[order])
    refusal("shapes", "permute", wrong)


def test_an_agent_that_is_made_anew():
    line = refusal("one trace", "the agent", GOOD, remake=softmax)
    assert line == (
        "the agent breaks 'one trace': got another one, "
        "expected an equal one from equal arguments, so that jit knows it again"
    )


def test_the_greatest_of_values_with_ties_at_random_is_equivariant():
    greedy = GOOD._replace(
        act=lambda key, params, state, offer: ties.random_argmax(key, state.means),
        probabilities=lambda params, state, offer: ties.argmax_probabilities(state.means),
    )
    checks.check_agent(greedy, agents.UCBParams(0.3))
