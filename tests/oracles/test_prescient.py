"""The prescient reference: it knows what comes, pays for nothing else, and stops in time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same, keys

from mermaide_jax import agents, games, principals
from mermaide_jax.oracles.prescient import prescient

ARMS, STEPS, NUMBER = 4, 25, 500
GAME = games.make_intervention_game(agents.standard_population(ARMS), games.GameConfig(ARMS, STEPS))
run = jax.jit(
    jax.vmap(
        lambda key, threshold, task: games.rollout(
            key, GAME, prescient(GAME.pay_target), threshold, task
        ),
        (0, None, 0),
    )
)
never = jax.jit(
    jax.vmap(
        lambda key, task: games.rollout(key, GAME, principals.random(GAME.pay_target), 0.0, task)
    )
)


@functools.cache
def tasks(family):
    """Offer-blind rules, for which the preview without an offer is what they will do."""
    coefficients = games.COEFFICIENTS[family]
    return games.finite_tasks(
        jax.random.key(0), family, coefficients, NUMBER, ARMS, games.Economics(noise=0.1)
    )


def lead(trajectory, target):
    """By how much the agent holds the target to be better than its best rival, before it acts."""
    estimates = np.asarray(trajectory.step.agent_estimates)
    own = np.arange(ARMS) == np.asarray(target)[:, None, None]
    rivals = np.where(own, -np.inf, estimates).max(-1)
    return np.where(own, estimates, 0).sum(-1) - rivals


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
@pytest.mark.parametrize("threshold", [-0.2, 0.0, 0.3, np.inf])
def test_it_pays_exactly_when_the_agent_takes_the_target_with_too_small_a_lead(family, threshold):
    trajectory = run(keys(1, NUMBER), threshold, tasks(family))
    paid, hit = np.asarray(trajectory.intervention), np.asarray(trajectory.step.hit)
    assert hit[paid > 0].all(), "paid for another action"
    np.testing.assert_array_equal(paid, hit & (lead(trajectory, tasks(family).target) < threshold))
    assert 0 < paid.sum() < paid.size


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
def test_threshold_minus_infinity_is_never(family):
    reference = run(keys(1, NUMBER), -np.inf, tasks(family))
    assert not reference.intervention.any()
    assert_same(reference, never(keys(1, NUMBER), tasks(family)), 1e-5)


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
def test_it_earns_more_than_never(family):
    reference = run(keys(1, NUMBER), 0.3, tasks(family)).reward.sum(1).mean()
    assert reference > 1 + never(keys(1, NUMBER), tasks(family)).reward.sum(1).mean()


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, None, 0))
def preview_and_step(key, intervention, task):
    """Ten steps, each seen beforehand under the key that it then consumes."""

    def step(carry, _):
        key, state = carry
        key, key_step = jax.random.split(key)
        shown = GAME.preview(jax.random.clone(key_step), state, task)
        _, state, _, _, _, info = GAME.step(key_step, state, intervention, task)
        return (key, state), (shown, info)

    key_reset, key = jax.random.split(key)
    _, state = GAME.reset(key_reset, task)
    return jax.lax.scan(step, (key, state), length=10)[1]


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
@pytest.mark.parametrize("intervention", [0, 1])
def test_the_preview_is_what_the_step_does(family, intervention):
    shown, info = preview_and_step(keys(2, NUMBER), jnp.int32(intervention), tasks(family))
    np.testing.assert_array_equal(shown.action, info.action)
    np.testing.assert_array_equal(shown.estimates, info.agent_estimates)
    expected = np.broadcast_to(np.asarray(tasks(family).target)[:, None], shown.target.shape)
    np.testing.assert_array_equal(shown.target, expected)


def test_a_responder_that_needs_no_pay_is_not_paid_for_what_it_will_not_do():
    """A best responder never takes the target unpaid, and the preview shows no offer."""
    trajectory = run(keys(1, NUMBER), np.inf, tasks("best_response"))
    assert not trajectory.intervention.any()
    assert not trajectory.reward.any()
