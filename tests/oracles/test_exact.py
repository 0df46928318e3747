"""The all-knowing and the clairvoyant value against brute force, and above what is played."""

import functools
from unittest import mock

import expectimax
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from expectimax import Rules, Spec, bind, exactly
from families import FAMILIES, coefficient_of, games_of
from streams import keys

from mermaide_jax import agents, games, principals
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.oracles import policy_value, reachable_states, solve_exact
from mermaide_jax.oracles.all_knowing import all_knowing, by_script, script_grid
from mermaide_jax.oracles.prescient import prescient

pytestmark = pytest.mark.exact

TWO, THREE = (0.7, 0.31), (0.7, 0.31, 0.52)
BOTH = (-1.0, 1.0)


CASES = {
    "ucb, binary": (Spec("ucb", 0.5, exactly(*TWO), 1), Rules(6)),
    "ucb, three arms": (Spec("ucb", 0.17, exactly(*THREE), 1), Rules(5, cost_on="uptake")),
    "ucb, noise": (Spec("ucb", 0.42, exactly(*TWO), 1, sigma=0.25), Rules(4, draws=BOTH)),
    "ucb, penalty": (Spec("ucb", 0.3, exactly(*TWO), 1), Rules(5, "penalty")),
    "ucb, arm": (Spec("ucb", 0.3, exactly(*THREE), 1, cost=0.25), Rules(4, "arm")),
    "eps, arm, uptake": (
        Spec("epsilon_greedy", 0.3, exactly(*THREE), 2, cost=0.5),
        Rules(4, "arm", "uptake"),
    ),
    "eps, noise, cheap": (
        Spec("epsilon_greedy", 0.2, exactly(*TWO), 1, 0.25, 0.5, 0.25),
        Rules(4, draws=BOTH),
    ),
    "eps, penalty, uptake": (
        Spec("epsilon_greedy", 0.5, exactly(*TWO), 1, 0.25),
        Rules(5, "penalty", "uptake"),
    ),
    "eps, magnitude": (
        Spec("epsilon_greedy", 0.1, exactly(*TWO), 1, 0.5),
        Rules(5, "magnitude", "uptake"),
    ),
    "thompson": (Spec("thompson", 0.5, exactly(*TWO), 1, 0.5), Rules(5)),
}
RESPONDERS = {
    kind: (Spec("best_response", 0.0, exactly(*THREE), 1, 0.5), Rules(4, kind))
    for kind in ("binary", "penalty", "arm", "magnitude")
} | {"uptake": (Spec("best_response", 0.0, exactly(*TWO), 1, 0.5), Rules(4, "penalty", "uptake"))}
ALL = CASES | RESPONDERS


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_the_all_knowing_value_is_that_of_brute_force(case):
    spec, families = case
    solution = solve_exact(*bind(spec, families), draws=families.draws)
    assert abs(solution.value - expectimax.all_knowing(spec, families)) < 1e-6


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_clairvoyant_value_is_that_of_brute_force(case):
    spec, families = case
    solution = solve_exact(*bind(spec, families), draws=families.draws, sees_draw=True)
    assert abs(solution.value - expectimax.clairvoyant(spec, families)) < 1e-6
    assert solution.value >= solve_exact(*bind(spec, families), draws=families.draws).value - 1e-6


@pytest.mark.parametrize("case", RESPONDERS.values(), ids=RESPONDERS)
def test_clairvoyance_is_nothing_without_chance(case):
    """A best responder without ties has no draws: to know them is worth nothing."""
    values = [solve_exact(*bind(*case), sees_draw=sees).value for sees in (False, True)]
    assert values[0] == pytest.approx(values[1], abs=1e-9)


def one_hot(solution):
    width = solution.graph.rewards.shape[0]
    return lambda time, states: np.eye(width)[solution.policy[time]]


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_the_policy_earns_the_value_and_no_other_earns_more(case):
    spec, families = case
    solution = solve_exact(*bind(spec, families), draws=families.draws)
    graph, rng = solution.graph, np.random.default_rng(0)
    assert policy_value(graph, one_hot(solution)) == pytest.approx(solution.value, abs=1e-9)

    def at_random(time, states):
        shape = solution.policy[time].size, graph.rewards.shape[0]
        return rng.dirichlet(np.full(shape[1], 0.2), shape[0])

    assert all(policy_value(graph, at_random) <= solution.value + 1e-9 for _ in range(20))


@hypothesis.given(
    st.sampled_from(["ucb", "epsilon_greedy"]),
    st.floats(0.0625, 0.9375, width=32),
    st.tuples(*[st.integers(0, 64)] * 2),
    st.floats(0, 1, width=16),
    st.floats(0.125, 2, width=16),
)
def test_any_two_armed_game_equals_brute_force(family, coefficient, mu, cost, bonus):
    """Means on a coarse grid, so that exact ties occur and near ones do not."""
    hypothesis.assume(mu[0] != mu[1])
    spec = Spec(family, coefficient, (mu[0] / 64, mu[1] / 64), 0, cost, bonus)
    solution = solve_exact(*bind(spec, Rules(4)))
    assert abs(solution.value - expectimax.all_knowing(spec, Rules(4))) < 1e-5


ARMS, STEPS, NUMBER, SIGMA = 3, 8, 3_000, 0.25
CONFIG = games.GameConfig(ARMS, STEPS)
GAMES = dict(zip(FAMILIES, games_of(FAMILIES, CONFIG), strict=True))
STEERED = {"ucb": 0.5, "epsilon_greedy": 0.2}


@functools.cache
def steered(family, sigma):
    agent, mu = agents.make_agent(family, ARMS), jnp.asarray(THREE, jnp.float32)
    bandit = games.make_bandit(mu, 1, games.Economics(cost=0.6, noise=sigma))
    params = agents.make_params(family, coefficient_of(family, STEERED.get(family, 0.3)))
    return games.make_task(agent, params, bandit)


@functools.cache
def solved(family, sigma, sees_draw=False):
    draws = BOTH if sigma else (0.0,)
    agent = agents.make_agent(family, ARMS)
    return solve_exact(agent, CONFIG, steered(family, sigma), draws=draws, sees_draw=sees_draw)


NORMAL = jax.random.normal


def coins(key, shape=(), dtype=jnp.float32):
    """Stands for `jax.random.normal`: plus or minus one for the noise of a reward, a scalar."""
    return NORMAL(key, shape, dtype) if shape else jax.random.rademacher(key, shape, dtype)


@functools.cache
def runner(principal, game):
    run = lambda key, params, task: games.rollout(key, game, principal, params, task).reward  # noqa: E731
    return jax.jit(jax.vmap(run, (0, None, None)))


def play(principal, params, family, sigma, number=NUMBER):
    """Mean score of many episodes, and its standard error."""
    with mock.patch.object(jax.random, "normal", coins):
        rewards = runner(principal, GAMES[family])(keys(5, number), params, steered(family, sigma))
    scores = np.asarray(rewards.sum(-1), np.float64)
    return scores.mean(), scores.std() / np.sqrt(number) + 1e-6


SCRIPTED = {
    "never": (principals.random, 0.0, lambda time: 0.0),
    "always": (principals.random, 1.0, lambda time: 1.0),
    "random": (principals.random, 0.3, lambda time: 0.3),
    "first_k": (principals.first_k, 5, lambda time: float(time < 5)),
}


@pytest.mark.parametrize("sigma", [0.0, SIGMA])
@pytest.mark.parametrize("family", FAMILIES)
def test_scripted_principals_earn_their_exact_value_which_is_below_the_oracle(family, sigma):
    solution = solved(family, sigma)
    for make, params, rate in SCRIPTED.values():
        mean, error = play(make(GAMES[family].pay_target), jnp.float32(params), family, sigma)
        exact = policy_value(solution.graph, lambda t, s: np.array([1 - rate(t), rate(t)]))  # noqa: B023
        assert abs(mean - exact) < 4 * error
        # Nothing but to pay always moves an agent that has nothing to learn.
        assert exact < solution.value + (0.0 if family in STEERED else 1e-9)
        assert mean < solution.value + 4 * error


@pytest.mark.parametrize("family", STEERED)
def test_a_prescient_principal_is_bounded_by_the_clairvoyant_value_alone(family):
    above = False
    for sigma in (0.0, SIGMA):
        reading = prescient(GAMES[family].pay_target)
        for threshold in (-0.1, 0.2, np.inf):
            mean, error = play(reading, jnp.float32(threshold), family, sigma)
            assert mean < solved(family, sigma, True).value + 4 * error
            above |= mean > solved(family, sigma).value + 4 * error
    assert above, "it sees the coming action, which the all-knowing principal does not"


@pytest.mark.parametrize("family", STEERED)
def test_the_all_knowing_planner_comes_close_to_the_value_and_not_above(family):
    families = jax.tree.map(lambda leaf: leaf[::41], script_grid(STEPS))
    alone = [
        play(
            by_script(GAMES[family]),
            jax.tree.map(lambda leaf, c=c: leaf[c], families),
            family,
            SIGMA,
        )[0]
        for c in range(6)
    ]
    best, order = max(alone), np.argsort(alone)[::-1]
    ordered = jax.tree.map(lambda leaf: leaf[order[:3]], families)
    mean, error = play(all_knowing(GAMES[family], 16), ordered, family, SIGMA, 600)
    value = solved(family, SIGMA).value
    assert mean < value + 4 * error
    assert mean > value - 0.5 * (value - best) - 4 * error
    assert best < value - 0.1, "a rule alone would do"


@pytest.mark.parametrize("family", STEERED)
def test_a_principal_fresh_from_initialisation_is_below_the_oracle(family):
    config = NetworkConfig(features=8, num_layers=1)
    learned = principals.learned_principal(config, GAMES[family].observation_size, ARMS, 2)
    params = learned.init_params(jax.random.key(1))
    mean, error = play(learned.principal, params, family, 0.0)
    assert mean < solved(family, 0.0).value - 4 * error


@pytest.mark.parametrize("family", STEERED)
def test_the_policy_played_in_the_game_earns_the_value(family, monkeypatch):
    monkeypatch.setattr(jax.random, "normal", coins)
    solution, task = solved(family, SIGMA), steered(family, SIGMA)
    game = GAMES[family]
    step = jax.jit(jax.vmap(game.step, (0, 0, 0, None)))
    _, state = jax.vmap(lambda key: game.reset(key, task))(keys(0, NUMBER))
    score = np.zeros(NUMBER)
    for time in range(STEPS):
        chosen = jnp.asarray(solution.interventions(time, state.agent), jnp.int32)
        _, state, reward, _, _, _ = step(keys(time + 1, NUMBER), state, chosen, task)
        score += reward
    assert abs(score.mean() - solution.value) < 4 * score.std() / np.sqrt(NUMBER)


def test_states_are_few_and_known_by_their_time():
    solution = solved("epsilon_greedy", 0.0)
    assert solution.num_states < 150
    layer = solution.graph.layers[5]
    np.testing.assert_array_equal(
        solution.graph.locate(5, layer.states), np.arange(layer.law.shape[0])
    )
    np.testing.assert_allclose(layer.law.sum(-1), 1, atol=1e-12)
    with pytest.raises(ConfigError, match="expected states that 3 steps can lead to"):
        solution.interventions(3, layer.states)


def test_draws_are_weighed_by_repetition_and_idle_without_noise():
    spec, families = CASES["eps, noise, cheap"]
    agent, config, task = bind(spec, families)
    weighed = solve_exact(agent, config, task, draws=(1.0, -1.0, 1.0, -1.0))
    assert weighed.value == pytest.approx(solve_exact(agent, config, task, draws=BOTH).value)
    quiet = task._replace(env=task.env._replace(noise=jnp.float32(0)))
    assert solve_exact(agent, config, quiet, draws=BOTH).num_states == (
        solve_exact(agent, config, quiet).num_states
    )


def test_what_is_too_big_or_makes_no_sense_is_refused():
    agent, config, task = bind(*CASES["ucb, binary"])
    size = solve_exact(agent, config, task).num_states
    assert solve_exact(agent, config, task, max_states=size).num_states == size
    with pytest.raises(ConfigError, match=f"number of states: got {size}, .* than max_states"):
        solve_exact(agent, config, task, max_states=size - 1)
    with pytest.raises(ConfigError, match="max_states: got 0"):
        solve_exact(agent, config, task, max_states=0)
    with pytest.raises(ConfigError, match="number of draws: got 0"):
        solve_exact(agent, config, task, draws=())
    with pytest.raises(ConfigError, match="draws: got nan, expected finite"):
        reachable_states(agent, config, task, (float("nan"),), 10)
    batch = jax.tree.map(lambda leaf: leaf[None], task)
    with pytest.raises(ConfigError, match="expected one task with shape"):
        solve_exact(agent, config, batch)


def test_clairvoyance_is_refused_where_a_draw_has_no_meaning_across_offers():
    spec, families = Spec("best_response", 0.0, (0.5, 0.5), 1), Rules(2)
    assert (
        abs(solve_exact(*bind(spec, families)).value - expectimax.all_knowing(spec, families))
        < 1e-6
    )
    with pytest.raises(ConfigError, match="sees_draw: got True, expected False where"):
        solve_exact(*bind(spec, families), sees_draw=True)
