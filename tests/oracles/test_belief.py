"""The value of a principal that sees only actions: brute force, order of values, and play."""

import functools
import itertools
from unittest import mock

import expectimax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expectimax import Rules, Spec, bind, exactly
from streams import keys

from mermaide_jax import games
from mermaide_jax.errors import ConfigError
from mermaide_jax.oracles import (
    belief_principal,
    belief_table,
    solve_belief,
    solve_exact,
)

pytestmark = pytest.mark.exact

TWO, SWAPPED, NEAR = exactly(0.7, 0.31), exactly(0.31, 0.7), exactly(0.55, 0.47)
THREE, OTHER = exactly(0.7, 0.31, 0.52), exactly(0.1, 0.31, 0.92)
BOTH = (-1.0, 1.0)


def two_of(family, coefficients, mus, **economics):
    return tuple(
        Spec(family, c, mu, economics.get("target", 1), *(economics.get(k, d) for k, d in DEFAULTS))
        for c, mu in zip(coefficients, mus, strict=True)
    )


DEFAULTS = (("cost", 0.75), ("bonus", 1.0), ("sigma", 0.0))
CASES = {
    "ucb": (two_of("ucb", (0.2, 0.6), (TWO, SWAPPED)), (0.3, 0.7), Rules(5)),
    "ucb, noise": (
        two_of("ucb", (0.4, 0.4), (TWO, NEAR), sigma=0.25),
        (0.5, 0.5),
        Rules(4, draws=BOTH),
    ),
    "ucb, three arms": (two_of("ucb", (0.3, 0.5), (THREE, OTHER)), (0.4, 0.6), Rules(4)),
    "eps": (
        two_of("epsilon_greedy", (0.1, 0.5, 0.3), (TWO, SWAPPED, NEAR), cost=0.3),
        (0.2, 0.3, 0.5),
        Rules(5),
    ),
    "eps, noise": (
        two_of("epsilon_greedy", (0.1, 0.5), (NEAR, NEAR), cost=0.2, bonus=0.25, sigma=0.25),
        (0.5, 0.5),
        Rules(4, draws=BOTH),
    ),
    "eps, penalty, uptake": (
        two_of("epsilon_greedy", (0.2, 0.4), (TWO, NEAR), cost=0.4),
        (0.5, 0.5),
        Rules(4, "penalty", "uptake"),
    ),
    "responders, magnitude": (
        two_of("best_response", (0.0, 0.0), (TWO, NEAR), cost=0.9),
        (0.5, 0.5),
        Rules(4, "magnitude"),
    ),
    "responders, arm": (
        two_of("best_response", (0.0, 0.0), (THREE, OTHER), cost=0.5),
        (0.6, 0.4),
        Rules(3, "arm"),
    ),
}


def stack(specs, families):
    """Agent, config and tasks with a leading axis."""
    bound = [bind(spec, families) for spec in specs]
    tasks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[task for _, _, task in bound])
    return bound[0][0], bound[0][1], tasks


@functools.cache
def solved(name):
    specs, prior, families = CASES[name]
    return solve_belief(*stack(specs, families), prior, draws=families.draws)


@pytest.mark.parametrize("name", CASES)
def test_the_value_is_that_of_brute_force(name):
    specs, prior, families = CASES[name]
    expected = expectimax.belief(expectimax.start(specs, prior), families)
    assert abs(solved(name).value - expected) < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_the_policy_earns_the_value_from_any_history(name):
    specs, prior, families = CASES[name]
    choose = lambda history: solved(name).intervention(history, 1)  # noqa: E731
    earned = expectimax.follow(expectimax.start(specs, prior), families, choose)
    assert abs(solved(name).value - earned) < 1e-6


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
def test_the_value_is_the_best_of_all_deterministic_policies(family):
    """Three steps, two arms: a decision for each of 7 sequences of actions, so 128 policies."""
    specs, prior = two_of(family, (0.3, 0.3), (TWO, SWAPPED), cost=0.4), (0.5, 0.5)
    seen = [h for n in range(3) for h in itertools.product(range(2), repeat=n)]
    best = -np.inf
    for decisions in itertools.product(range(2), repeat=len(seen)):
        table = dict(zip(seen, decisions, strict=True))
        choose = lambda history: table[tuple(a for _, a in history)]  # noqa: B023, E731
        particles = expectimax.start(specs, prior)
        best = max(best, expectimax.follow(particles, Rules(3), choose))
    value = solve_belief(*stack(specs, Rules(3)), prior).value
    assert abs(value - best) < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_to_know_the_task_is_worth_something_and_to_know_the_state_more(name):
    specs, prior, families = CASES[name]
    agent, config, tasks = stack(specs, families)
    told, all_knowing = [], []
    for i in range(len(specs)):
        alone = jax.tree.map(lambda leaf: leaf[i : i + 1], tasks)  # noqa: B023
        told.append(solve_belief(agent, config, alone, draws=families.draws).value)
        task = jax.tree.map(lambda leaf: leaf[i], tasks)  # noqa: B023
        all_knowing.append(solve_exact(agent, config, task, draws=families.draws).value)
    assert solved(name).value <= np.dot(prior, told) + 1e-9
    assert np.dot(prior, told) <= np.dot(prior, all_knowing) + 1e-9
    if len(families.draws) == 1:  # the actions tell the agent's state
        np.testing.assert_allclose(told, all_knowing, rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
def test_ignorance_costs(family):
    """The inequalities are strict where there is something to know: rewards, or the task."""
    specs, families = (
        two_of(family, (0.2, 0.2), (TWO, NEAR), cost=0.5, sigma=0.25),
        Rules(8, draws=BOTH),
    )
    agent, config, tasks = stack(specs, families)
    told = []
    for i in range(2):
        task = jax.tree.map(lambda leaf: leaf[i], tasks)  # noqa: B023
        alone = jax.tree.map(lambda leaf: leaf[i : i + 1], tasks)  # noqa: B023
        told.append(solve_belief(agent, config, alone, draws=BOTH).value)
        assert told[i] < solve_exact(agent, config, task, draws=BOTH).value - 0.1
    assert solve_belief(agent, config, tasks, draws=BOTH).value < np.mean(told) - 0.01


def test_the_value_is_convex_in_the_prior():
    specs, _, families = CASES["eps"]
    bound = stack(specs, families)
    value = lambda prior: solve_belief(*bound, prior).value  # noqa: E731
    rng = np.random.default_rng(0)
    for _ in range(4):
        left, right, share = rng.dirichlet([1, 1, 1]), rng.dirichlet([1, 1, 1]), rng.uniform()
        between = value(share * left + (1 - share) * right)
        assert between <= share * value(left) + (1 - share) * value(right) + 1e-9


def test_a_target_that_is_seen_splits_the_prior():
    families = Rules(5)
    specs = [Spec("ucb", 0.4, mu, t) for mu in (TWO, SWAPPED, NEAR) for t in (0, 1)]
    prior = np.arange(1.0, 7) / 21
    agent, config, tasks = stack(specs, families)
    solution = solve_belief(agent, config, tasks, prior)
    expected = sum(
        expectimax.belief(expectimax.start(specs[t::2], prior[t::2]), families) for t in (0, 1)
    )
    assert abs(solution.value - expected) < 1e-6
    blind_config = games.GameConfig(2, 5, observe_target=False)
    blind = solve_belief(agent, blind_config, tasks, prior)
    expected = expectimax.belief(expectimax.start(specs, prior), families)
    assert abs(blind.value - expected) < 1e-6
    assert blind.value < solution.value - 0.01
    assert set(solution.roots) == {0, 1}
    assert set(blind.roots) == {None}
    assert blind.intervention([]) in (0, 1)
    with pytest.raises(ConfigError, match=r"target: got None, expected one of \[0, 1\]"):
        solution.intervention([])


def coins(key, shape=(), dtype=jnp.float32):
    """Stands for `jax.random.normal`: plus or minus one."""
    return jax.random.rademacher(key, shape, dtype)


@pytest.mark.parametrize(("sigma", "observed"), [(0.0, False), (0.25, True)])
def test_played_in_the_game_it_earns_its_value(sigma, observed):
    """The policy as a principal, in rollouts of every task of the prior."""
    number, families = 6_000, Rules(7, draws=BOTH if sigma else (0.0,))
    specs = [
        Spec("epsilon_greedy", eps, mu, target, 0.5, 1.0, sigma)
        for eps, mu, target in ((0.1, TWO, 1), (0.4, SWAPPED, 0), (0.3, NEAR, 1))
    ]
    agent, _, tasks = stack(specs, families)
    config = games.GameConfig(2, 7, observe_target=observed, observe_intervention=observed)
    solution = solve_belief(agent, config, tasks, draws=families.draws)
    game, principal = games.make_intervention_game(agent, config), belief_principal(config)
    table = belief_table(solution)
    play = lambda key, task: games.rollout(key, game, principal, table, task).reward.sum()  # noqa: E731
    many = jax.tree.map(lambda leaf: jnp.tile(leaf, (number // 3,) + (1,) * (leaf.ndim - 1)), tasks)
    with mock.patch.object(jax.random, "normal", coins):
        scores = np.asarray(jax.jit(jax.vmap(play))(keys(0, number), many), np.float64)
    assert abs(scores.mean() - solution.value) < 4 * scores.std() / np.sqrt(number)


def test_a_principal_that_meets_the_impossible_does_nothing():
    """Solved for an agent that starts over every time, met by one that does not."""
    specs, families = two_of("best_response", (0.0,), (NEAR,), cost=0.5), Rules(4)
    agent, config, tasks = stack(specs, families)
    solution = solve_belief(agent, config, tasks)
    assert solution.intervention([], 1) == 1
    principal, table = belief_principal(config), belief_table(solution)
    game = games.make_intervention_game(agent, config)
    stubborn = tasks.agent._replace(mean_rewards=jnp.asarray([5.0, 0.0]))
    task = jax.tree.map(lambda leaf: leaf[0], tasks)._replace(
        agent=jax.tree.map(lambda leaf: leaf, stubborn)
    )
    trajectory = games.rollout(jax.random.key(0), game, principal, table, task)
    np.testing.assert_array_equal(trajectory.step.action, [0, 0, 0, 0])
    np.testing.assert_array_equal(trajectory.intervention, [1, 0, 0, 0])
    with pytest.raises(ConfigError, match=r"history: .* expected actions that the prior holds"):
        solution.intervention([(1, 0)], 1)
    with pytest.raises(ConfigError, match=r"history: .* expected fewer than 4 steps"):
        solution.intervention([(1, 1)] * 4, 1)


def test_equal_beliefs_are_one():
    """Twins cannot be told apart."""
    specs, _, families = CASES["eps"]
    alone = solve_belief(*stack(specs[:1], families))
    twins = solve_belief(*stack((specs[0], specs[0]), families), (0.2, 0.8))
    assert twins.value == pytest.approx(alone.value, abs=1e-9)
    assert twins.num_beliefs == alone.num_beliefs
    assert twins.num_states == 2 * alone.num_states


def test_what_is_too_big_or_makes_no_sense_is_refused():
    specs, prior, families = CASES["eps"]
    bound, size = stack(specs, families), solved("eps").num_beliefs
    assert solve_belief(*bound, prior, max_beliefs=size).num_beliefs == size
    with pytest.raises(ConfigError, match=f"number of beliefs: got {size}, .* than max_beliefs"):
        solve_belief(*bound, prior, max_beliefs=size - 1)
    with pytest.raises(ConfigError, match=r"number of states: got .* than max_states"):
        solve_belief(*bound, prior, max_states=solved("eps").num_states - 1)
    with pytest.raises(ConfigError, match=r"prior: got \(2,\), expected one weight for each"):
        solve_belief(*bound, (0.5, 0.5))
    with pytest.raises(ConfigError, match=r"prior: got 0.0, expected a finite number > 0"):
        solve_belief(*bound, (0.5, 0.5, 0.0))
    alone = jax.tree.map(lambda leaf: leaf[0], bound[2])
    with pytest.raises(ConfigError, match=r"tasks: got \(\), expected tasks with one leading"):
        solve_belief(bound[0], bound[1], alone)
