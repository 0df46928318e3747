"""Scripted principals against closed forms, exact or by the law of a binomial."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
from streams import assert_same, keys

from mermaide_jax import agents, games, principals
from mermaide_jax.errors import ConfigError
from mermaide_jax.oracles.prescient import prescient

ARMS, STEPS, NUMBER, COST = 4, 20, 500, 0.75
PLAIN = games.Economics(cost=COST, bonus=1.0, noise=0.0)
KINDS = ("binary", "arm", "penalty", "magnitude")


@functools.cache
def tasks(family, coefficient):
    agent, key = agents.make_agent(family, ARMS), jax.random.key(0)
    return games.finite_tasks(key, family, agent, (coefficient,), NUMBER, ARMS, PLAIN)


@functools.cache
def runner(name, family, initial_pull=True, kind: Any = "binary", cost_on: Any = "offer"):
    config = games.GameConfig(ARMS, STEPS, kind, cost_on=cost_on)
    agent = agents.make_agent(family, ARMS, initial_pull=initial_pull)
    game = games.make_intervention_game(agent, config)
    principal = {
        "random": lambda: principals.random(game.pay_target),
        "first_k": lambda: principals.first_k(game.pay_target),
    }[name]()
    run = lambda key, p, task: games.rollout(key, game, principal, p, task)  # noqa: E731
    return jax.jit(jax.vmap(run, (0, None, 0)))


binary = games.make_intervention_game(agents.ucb(ARMS), games.GameConfig(ARMS, STEPS))


def decide(principal, params, number, observation=None):
    """What a principal does for ``number`` episodes of a game that it cannot see, ``[N, T]``."""
    observation = jnp.zeros(binary.observation_size) if observation is None else observation

    def episode(key):
        def step(carry, _):
            key, memory = carry
            key, key_act = jax.random.split(key)
            intervention, memory, _ = principal.act(key_act, params, memory, observation)
            return (key, memory), intervention

        return jax.lax.scan(step, (key, principal.init(params)), length=STEPS)[1]

    return np.asarray(jax.jit(jax.vmap(episode))(keys(3, number)))


def play(name, params, family="ucb", coefficient=0.3, seed=1, **options):
    out = runner(name, family, **options)(keys(seed, NUMBER), params, tasks(family, coefficient))
    return jax.tree.map(np.asarray, out)


@pytest.mark.parametrize(
    ("kind", "cost_on"),
    [(kind, "offer") for kind in KINDS] + [("binary", "uptake"), ("penalty", "uptake")],
)
def test_always_and_never_on_a_best_responder(kind, cost_on):
    """A bonus of 1 lifts the target over arms in [0, 1]; without it the target is never best."""
    options = {"family": "best_response", "coefficient": 0.0, "kind": kind, "cost_on": cost_on}
    always, never = (play("random", p, **options) for p in (1.0, 0.0))
    assert always.step.hit.all()
    # A tax on the others that is charged on uptake is never charged: nobody takes the others.
    free = kind == "penalty" and cost_on == "uptake"
    np.testing.assert_allclose(always.reward.sum(1), STEPS * (1 - COST * (not free)), rtol=1e-6)
    assert not never.step.hit.any()
    assert not never.intervention.any()
    assert not never.reward.any()


@pytest.mark.parametrize("initial_pull", [True, False])
def test_never_on_an_agent_that_only_explores(initial_pull):
    never = play("random", 0.0, "epsilon_greedy", 1.0, initial_pull=initial_pull)
    hits = never.step.hit.sum(1)
    np.testing.assert_array_equal(never.reward.sum(1), hits)
    pulls = ARMS * initial_pull  # each arm once, in any order
    oracles.assert_binomial(never.step.hit[:, pulls:].sum(), NUMBER * (STEPS - pulls), 1 / ARMS)
    if initial_pull:
        assert (never.step.hit[:, :ARMS].sum(1) == 1).all()
        oracles.assert_equally_likely(never.step.hit[:, :ARMS].sum(0))


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_never_and_always_on_epsilon_greedy(epsilon):
    """Without noise it knows every arm after A pulls.

    Then it takes its best arm, which is the target if and only if the target was paid, unless it
    explores: never earns 1 + Bin(T - A, eps/A), always 1 + Bin(T - A, 1 - eps + eps/A) - c T.
    """
    explored = epsilon / ARMS
    for rate, hit in ((0.0, explored), (1.0, 1 - epsilon + explored)):
        episodes = play("random", rate, "epsilon_greedy", epsilon)
        hits = episodes.step.hit.sum(1)
        assert (episodes.step.hit[:, :ARMS].sum(1) == 1).all()
        oracles.assert_binomial((hits - 1).sum(), NUMBER * (STEPS - ARMS), hit)
        np.testing.assert_allclose(episodes.reward.sum(1), hits - rate * COST * STEPS, atol=1e-4)


def test_never_and_always_on_a_greedy_ucb_agent():
    """With beta = 0 and no noise it keeps to the best arm once it has pulled each of them."""
    never, always = (play("random", rate, "ucb", 0.0) for rate in (0.0, 1.0))
    np.testing.assert_array_equal(never.reward.sum(1), np.ones(NUMBER))
    hits = 1 + STEPS - ARMS
    np.testing.assert_allclose(
        always.reward.sum(1), np.full(NUMBER, hits - COST * STEPS), atol=1e-4
    )


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_random_pays_independently_at_its_rate(rate):
    paid = decide(principals.random(binary.pay_target), rate, 500)
    oracles.assert_binomial(paid.sum(), paid.size, rate)
    oracles.assert_binomial((paid[:, 1:] & paid[:, :-1]).sum(), paid[:, 1:].size, rate**2)
    spread = paid.sum(1).var() / (STEPS * rate * (1 - rate))
    assert abs(spread - 1) < 5 * np.sqrt(2 / len(paid))


@pytest.mark.parametrize("kind", KINDS)
def test_first_k_pays_the_target_in_the_first_k_steps(kind):
    config, target = games.GameConfig(ARMS, STEPS, kind), 2
    game = games.make_intervention_game(agents.ucb(ARMS), config)
    seen = games.encode_observation(config, *(jnp.int32(x) for x in (0, 1, target, 3)))
    expected = {"arm": 1 + target, "magnitude": 4}.get(kind, 1)
    for k in (0, 1, 7, STEPS, STEPS + 5):
        paid = decide(principals.first_k(game.pay_target), k, 3, seen)
        np.testing.assert_array_equal(paid, np.tile(expected * (np.arange(STEPS) < k), (3, 1)))


def test_first_k_in_a_game():
    episodes = play("first_k", 7)
    np.testing.assert_array_equal(episodes.intervention, np.tile(np.arange(STEPS) < 7, (NUMBER, 1)))
    expected = episodes.step.hit.sum(1) - 7 * COST
    np.testing.assert_allclose(episodes.reward.sum(1), expected, atol=1e-5)


def test_first_none_is_never_and_first_all_is_always():
    assert_same(play("first_k", 0), play("random", 0.0))
    assert_same(play("first_k", STEPS), play("random", 1.0))


@pytest.mark.parametrize("num_kinds", [1, 4])
def test_random_rate_has_a_rate_per_episode(num_kinds):
    """With a rate from U[0, 1] the number of interventions is uniform on {0, ..., T}."""
    seen = decide(principals.random_rate(1 + num_kinds), None, 2000)
    per_episode = (seen > 0).sum(1)
    oracles.assert_equally_likely(np.bincount(per_episode, minlength=STEPS + 1))
    assert abs(per_episode.mean() / STEPS - 0.5) < 4 * np.sqrt((1 / 12 + 1 / STEPS / 6) / len(seen))
    which = np.bincount(seen[seen > 0])[1:]
    assert len(which) == num_kinds
    if num_kinds > 1:
        oracles.assert_equally_likely(which)
    # Given the rate, steps are independent: P(two given steps paid) = E[p^2] = 1/3.
    oracles.assert_binomial((seen[:, 0] > 0).sum(), len(seen), 0.5)
    oracles.assert_binomial(((seen[:, 0] > 0) & (seen[:, 5] > 0)).sum(), len(seen), 1 / 3)


def test_principals_of_one_game_are_one_object():
    config = games.GameConfig(ARMS, STEPS)
    game = games.make_intervention_game(agents.ucb(ARMS), config)
    assert games.make_intervention_game(config=config, agent=agents.ucb(num_arms=ARMS)) is game
    for make in (principals.random, principals.first_k, prescient):
        assert make(game.pay_target) is make(pay_target=game.pay_target)
    assert principals.random_rate(2) is principals.random_rate(num_interventions=2)
    with pytest.raises(ConfigError, match="num_interventions: got 1"):
        principals.random_rate(1)


def test_interventions_are_int32():
    game = games.make_intervention_game(agents.ucb(ARMS), games.GameConfig(ARMS, STEPS))
    seen = jnp.zeros(game.observation_size)
    for principal, params in (
        (principals.random(game.pay_target), 0.5),
        (principals.first_k(game.pay_target), 3),
        (principals.random_rate(2), None),
    ):
        carry = principal.init(params)
        intervention, after, info = principal.act(jax.random.key(0), params, carry, seen)
        assert (intervention.shape, intervention.dtype) == ((), jnp.int32)
        assert (after.shape, after.dtype, info) == (carry.shape, carry.dtype, ())
