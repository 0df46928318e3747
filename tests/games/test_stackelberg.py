"""The Stackelberg game against plain numpy, its equilibrium against brute force."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import keys

from mermaide_jax import games
from mermaide_jax.agents import BestResponseParams, best_response
from mermaide_jax.errors import ConfigError
from mermaide_jax.games.equilibrium import equilibrium
from mermaide_jax.games.rollout import pay_target_of, preview_of
from mermaide_jax.games.stackelberg import (
    StackelbergConfig,
    add_readings,
    decode_share,
    draw_stackelberg_task,
    make_stackelberg_game,
    start_state,
    summarise_state,
)

ARMS = 4
KINDS = ("binary", "arm", "magnitude", "continuous")
GRID = (0.75, 0.25, 1.0)  # not sorted
# Multiples of 1/64: sums and products with the shares of the grid are exact.
exact = st.integers(0, 64).map(lambda n: n / 64)


def make_task(mu, target, cost, bonus, noise=0.0):
    mu = jnp.asarray(mu, jnp.float32)
    bandit = games.make_bandit(mu, target, games.Economics(cost=cost, bonus=bonus, noise=noise))
    return games.Task(BestResponseParams(mu), bandit)


def brute_force(kind, mu, target, cost, bonus):
    """The best payoff over every intervention, the agent's ties broken for the principal."""
    steps = np.arange(1025) / 1024 if kind == "continuous" else (0.0, *GRID)
    if kind in ("binary", "arm"):
        steps = (0.0, 1.0)
    best = -np.inf
    for arm in range(len(mu)) if kind == "arm" else [target]:
        for share in steps:
            utility = np.array(mu, np.float64)
            utility[arm] += bonus * share
            hit = utility[target] == utility.max()
            best = max(best, hit - cost * bonus * share)
    return best


@functools.cache
def solve(kind):
    return jax.jit(functools.partial(equilibrium, config=StackelbergConfig(ARMS, 3, kind, GRID)))


@pytest.mark.parametrize("kind", KINDS)
@given(
    mu=st.lists(exact, min_size=ARMS, max_size=ARMS),
    target=st.integers(0, ARMS - 1),
    cost=st.integers(0, 12).map(lambda n: n / 4),
    bonus=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0]),
)
def test_equilibrium_equals_brute_force(kind, mu, target, cost, bonus):
    found = solve(kind)(make_task(mu, target, cost, bonus))
    assert found.payoff.dtype == found.share.dtype == found.bonus.dtype == jnp.float32
    np.testing.assert_allclose(found.payoff, brute_force(kind, mu, target, cost, bonus), atol=1e-6)
    assert found.bonus == bonus * found.share
    gap = max(mu) - mu[target]
    if found.payoff > 0:
        assert found.bonus >= gap
        np.testing.assert_allclose(found.payoff, 1 - cost * found.bonus, atol=1e-6)
    else:
        assert found.share == 0


@pytest.mark.parametrize(
    ("cost", "share", "payoff"), [(0.75, 0.5, 0.625), (1.9, 0.5, 0.05), (2.1, 0.0, 0.0)]
)
def test_equilibrium_offers_the_gap_if_it_is_worth_it(cost, share, payoff):
    config = StackelbergConfig(2)
    found = equilibrium(make_task([0.25, 0.75], 0, cost, 1.0), config)
    np.testing.assert_allclose([found.share, found.payoff], [share, payoff], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("mu", "payoff"), [([0.5, 0.5], 1.0), ([0.25, 0.5], 0.0)])
def test_equilibrium_without_a_bonus_is_what_the_agent_does_anyway(kind, mu, payoff):
    found = equilibrium(make_task(mu, 0, 0.75, 0.0), StackelbergConfig(2, 3, kind, GRID))
    np.testing.assert_array_equal([found.share, found.bonus, found.payoff], [0.0, 0.0, payoff])


@pytest.mark.parametrize("kind", KINDS)
def test_offers_equal_the_plain_reading(kind):
    config = StackelbergConfig(ARMS, 3, kind, GRID)
    decode = jax.jit(functools.partial(decode_share, config))
    for target in range(ARMS):
        if kind == "continuous":
            for value, share in [(-1.0, 0.0), (0.25, 0.25), (1.5, 1.0)]:
                offer = decode(jnp.float32(value), jnp.int32(target))
                assert offer.size == share
                np.testing.assert_array_equal(offer.bonus, share * (np.arange(ARMS) == target))
            continue
        for u in range(config.num_interventions):
            arm = (target + u - 1) % ARMS if kind == "arm" else target
            share = (0.0, *GRID)[u] if kind == "magnitude" else float(u > 0)
            offer = decode(jnp.int32(u), jnp.int32(target))
            assert offer.size == share
            np.testing.assert_array_equal(offer.bonus, share * (np.arange(ARMS) == arm))


@pytest.mark.parametrize("observe", ["rewards", "actions", "both"])
def test_interactions_equal_a_plain_replay(observe):
    config = StackelbergConfig(ARMS, 4, observe=observe)
    game = make_stackelberg_game(config)
    mu, target, shares = np.array([0.5, 0.25, 1.0, 0.0]), 1, [0.25, 0.875, 0.5, 0.8125]
    task = make_task(mu, target, 0.75, 1.0)
    observation, state = game.reset(jax.random.key(0), task)
    assert observation.shape == (config.observation_size,) == (game.observation_size,)
    step = jax.jit(game.step)
    refused, accepted = 0.0, 1.0
    for n, (key, share) in enumerate(zip(keys(1, 4), shares, strict=True), 1):
        out = step(key, state, jnp.float32(share), task)
        observation, state, reward, terminated, truncated, info = out
        hit = share > 0.75
        assert int(info.action) == (target if hit else 2)
        assert bool(info.hit) == hit
        np.testing.assert_allclose(reward, hit - 0.75 * share, atol=1e-6)
        np.testing.assert_allclose(info.agent_reward, mu[info.action] + share * hit, atol=1e-6)
        refused, accepted = (
            (refused, min(accepted, share)) if hit else (max(refused, share), accepted)
        )
        expected = [1 / np.sqrt(1 + n), np.log1p(n) / 10]
        if observe != "actions":
            expected += [0.25, 0.75, 0.25, -0.25]
        if observe != "rewards":
            expected += [refused, accepted, share, hit, refused > 0, accepted < 1]
        np.testing.assert_allclose(observation, expected, atol=1e-6)
        assert observation.dtype == reward.dtype == jnp.float32
        assert not terminated
        assert bool(truncated) == (n == 4)


def test_readings_are_noisy_and_average_out():
    task = make_task([0.5, 0.25, 1.0, 0.0], 1, 0.75, 1.0, noise=0.5)
    state = start_state(ARMS)
    draw = jax.jit(jax.vmap(lambda key, n: add_readings(key, state, n, task), (0, None)))
    for number in (1, 100):
        several = draw(keys(0, 2000), jnp.int32(number))
        means = np.asarray(several.readings) / number
        assert (np.asarray(several.time) == number).all()
        np.testing.assert_allclose(means.std(0), 0.5 / np.sqrt(number), rtol=0.1)
        bound = 5 * 0.5 / np.sqrt(2000 * number)
        np.testing.assert_allclose(means.mean(0), task.env.mean_rewards, atol=bound)


def test_names_of_the_other_arms_tell_nothing():
    config = StackelbergConfig(ARMS)
    seen = []
    for mu, target in [([0.5, 0.25, 1.0, 0.0], 1), ([0.0, 1.0, 0.5, 0.25], 3)]:
        task = make_task(mu, target, 0.75, 1.0)
        state = add_readings(jax.random.key(0), start_state(ARMS), jnp.int32(7), task)
        seen.append(summarise_state(config, state, task))
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)


def test_tasks_have_a_target_that_is_not_the_best():
    draw = jax.vmap(lambda key: draw_stackelberg_task(key, ARMS, games.Economics()))
    tasks = jax.jit(draw)(keys(0, 200))
    assert (np.asarray(tasks.env.mean_rewards).argmax(1) != np.asarray(tasks.env.target)).all()
    np.testing.assert_array_equal(tasks.agent.mean_rewards, tasks.env.mean_rewards)


@pytest.mark.parametrize("kind", KINDS)
def test_preview_and_pay_target(kind):
    config = StackelbergConfig(ARMS, 3, kind, GRID)
    game = make_stackelberg_game(config)
    assert make_stackelberg_game(StackelbergConfig(ARMS, 3, kind, GRID)) is game
    task = make_task([0.5, 0.25, 1.0, 0.0], 1, 0.75, 1.0)
    observation, state = game.reset(jax.random.key(0), task)
    assert int(preview_of(game)(jax.random.key(1), state, task).action) == 2
    assert game.agent is best_response(ARMS)
    offer = decode_share(config, pay_target_of(game)(observation), task.env.target)
    np.testing.assert_array_equal(offer.bonus, np.arange(ARMS) == 1)


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("num_arms", 1, "num_arms: got 1, expected an integer >= 2"),
        ("horizon", 0, "horizon: got 0, expected an integer >= 1"),
        ("kind", "binar", "kind: got 'binar', expected one of binary, arm, magnitude, continuous"),
        ("observe", "", "observe: got '', expected one of rewards, actions, both"),
        ("magnitudes", (), "number of magnitudes: got 0, expected an integer >= 1"),
        ("magnitudes", (1.5,), "magnitudes: got 1.5, expected a finite number in [0.0, 1.0]"),
    ],
)
def test_bad_configs_are_refused_in_one_line(field, value, line):
    with pytest.raises(ConfigError) as refusal:
        StackelbergConfig(**{field: value})
    assert str(refusal.value).startswith(line)
