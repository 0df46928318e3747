"""The prescient reference: it knows what comes, pays for nothing else, and stops in time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES as ALL
from families import games_of, tasks_of
from streams import assert_same, keys

from mermaide_jax import games, principals, registry
from mermaide_jax.games.rollout import preview_of
from mermaide_jax.oracles.prescient import prescient

ARMS, STEPS, NUMBER = 4, 25, 500
FAMILIES = tuple(f for f in ALL if not registry.get("family", f).traits.get("sees_offers"))
"""Offer-blind families, for which the preview without an offer is what they will do."""
GAMES = dict(zip(ALL, games_of(ALL, games.GameConfig(ARMS, STEPS)), strict=True))


@functools.cache
def runner(family, make):
    game = GAMES[family]
    principal = make(game.pay_target)
    one = lambda key, params, task: games.rollout(key, game, principal, params, task)  # noqa: E731
    return jax.jit(jax.vmap(one, (0, None, 0)))


def run(family, threshold):
    return runner(family, prescient)(keys(1, NUMBER), threshold, tasks(family))


def never(family):
    return runner(family, principals.random)(keys(1, NUMBER), 0.0, tasks(family))


@functools.cache
def tasks(family):
    return tasks_of(jax.random.key(0), family, NUMBER, ARMS, games.Economics(noise=0.1))


def lead(trajectory, target):
    """By how much the agent holds the target to be better than its best rival, before it acts."""
    estimates = np.asarray(trajectory.step.agent_estimates)
    own = np.arange(ARMS) == np.asarray(target)[:, None, None]
    rivals = np.where(own, -np.inf, estimates).max(-1)
    return np.where(own, estimates, 0).sum(-1) - rivals


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("threshold", [-0.2, 0.0, 0.3, np.inf])
def test_it_pays_exactly_when_the_agent_takes_the_target_with_too_small_a_lead(family, threshold):
    trajectory = run(family, threshold)
    paid, hit = np.asarray(trajectory.intervention), np.asarray(trajectory.step.hit)
    assert hit[paid > 0].all(), "paid for another action"
    np.testing.assert_array_equal(
        paid, hit & (lead(trajectory, tasks(family).env.target) < threshold)
    )
    assert 0 < paid.sum() < paid.size


@pytest.mark.parametrize("family", FAMILIES)
def test_threshold_minus_infinity_is_never(family):
    reference = run(family, -np.inf)
    assert not reference.intervention.any()
    assert_same(reference, never(family), 1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_earns_more_than_never(family):
    reference = run(family, 0.3).reward.sum(1).mean()
    assert reference > 1 + never(family).reward.sum(1).mean()


@functools.cache
def preview_and_step(family):
    """Ten steps, each seen beforehand under the key that it then consumes."""
    game = GAMES[family]

    def one(key, intervention, task):
        def step(carry, _):
            key, state = carry
            key, key_step = jax.random.split(key)
            shown = preview_of(game)(jax.random.clone(key_step), state, task)
            _, state, _, _, _, info = game.step(key_step, state, intervention, task)
            return (key, state), (shown, info)

        key_reset, key = jax.random.split(key)
        _, state = game.reset(key_reset, task)
        return jax.lax.scan(step, (key, state), length=10)[1]

    return jax.jit(jax.vmap(one, (0, None, 0)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("intervention", [0, 1])
def test_the_preview_is_what_the_step_does(family, intervention):
    shown, info = preview_and_step(family)(keys(2, NUMBER), jnp.int32(intervention), tasks(family))
    np.testing.assert_array_equal(shown.action, info.action)
    np.testing.assert_array_equal(shown.estimates, info.agent_estimates)
    expected = np.broadcast_to(np.asarray(tasks(family).env.target)[:, None], shown.target.shape)
    np.testing.assert_array_equal(shown.target, expected)


def test_a_responder_that_needs_no_pay_is_not_paid_for_what_it_will_not_do():
    """A best responder never takes the target unpaid, and the preview shows no offer."""
    trajectory = run("best_response", np.inf)
    assert not trajectory.intervention.any()
    assert not trajectory.reward.any()
