"""The planner against every sequence there is, against its replay, and against itself."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES, games_of
from streams import assert_same, keys

from mermaide_jax import agents, games
from mermaide_jax.errors import ConfigError
from mermaide_jax.oracles.clairvoyant import plan_episode, play_clairvoyant, replay
from mermaide_jax.oracles.guided import Guide, guide_grid, guided, tune_each
from mermaide_jax.oracles.prescient import leads

pytestmark = pytest.mark.exact

ARMS = 3
GUIDES = Guide(lead=jnp.asarray([0.3, -jnp.inf]), quiet=jnp.asarray([0.0, 0.0]))
TERMS = games.Economics(cost=0.4, noise=0.2)


def ucb_tasks(number=6):
    return games.finite_tasks(
        jax.random.key(4), "ucb", agents.ucb(ARMS), (0.3,), number, ARMS, TERMS
    )


def ucb_game(horizon):
    return games.make_intervention_game(agents.ucb(ARMS), games.GameConfig(ARMS, horizon))


def play(game):
    """Replays ``[N, T]`` sequences."""
    return jax.vmap(lambda k, u, task: games.rollout(k, game, replay(), u, task), (0, 0, 0))


def search(game, width, guides=GUIDES):
    return jax.vmap(lambda k, task: plan_episode(k, game, task, width, guides))


@pytest.mark.parametrize(
    ("horizon", "kind", "cost_on"),
    [
        (6, "binary", "offer"),
        (5, "binary", "uptake"),
        (4, "arm", "offer"),
        (4, "magnitude", "uptake"),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_wide_beam_finds_the_best_of_all_sequences(family, horizon, kind, cost_on):
    config = games.GameConfig(ARMS, horizon, kind=kind, magnitudes=(0.5, 1.0), cost_on=cost_on)
    (game,), least = games_of([family], config), agents.grid_of(family)[:1]
    agent = agents.make_agent(family, ARMS)
    met = games.finite_tasks(jax.random.key(3), family, agent, least, 6, ARMS, TERMS)
    every = jnp.asarray(list(itertools.product(range(game.num_interventions), repeat=horizon)))
    found = jax.jit(search(game, 2 * len(every)))(keys(0, 6), met)
    score = lambda k, task: jax.vmap(  # noqa: E731
        lambda u: games.rollout(k, game, replay(), u, task).reward.sum()
    )(every.astype(jnp.int32))
    brute = jax.jit(jax.vmap(score))(keys(0, 6), met)
    np.testing.assert_allclose(found.score, brute.max(axis=1), atol=1e-5)
    assert found.interventions.dtype == jnp.int32 and found.score.dtype == jnp.float32
    assert np.ptp(brute, axis=1).min() > 0.3
    assert (brute.max(axis=1) > brute[:, 0]).any(), "nothing to gain by paying"


@functools.cache
def by_width():
    """Plans of each width for the same 30 episodes, and what each guide earns, ``[C, 30]``."""
    game, number = ucb_game(12), 30
    many = ucb_tasks(number)
    grid = jax.tree.map(lambda leaf: leaf[::13], guide_grid(12))
    plans = [jax.jit(search(game, w, grid))(keys(2, number), many) for w in (1, 4, 32)]
    principal = guided(game.pay_target, 12)
    one = lambda g, k, t: games.rollout(k, game, principal, g, t).reward.sum()  # noqa: E731
    guides = jax.vmap(jax.vmap(one, (None, 0, 0)), (0, None, None))
    played = jax.jit(play(game))
    replayed = [played(keys(2, number), plan.interventions, many) for plan in plans]
    return plans, replayed, np.asarray(jax.jit(guides)(grid, keys(2, number), many))


def test_replaying_the_plan_earns_its_score():
    for plan, played in zip(*by_width()[:2], strict=True):
        np.testing.assert_array_equal(played.intervention, plan.interventions)
        np.testing.assert_allclose(played.reward.sum(1), plan.score, atol=1e-5)
        assert (plan.interventions > 0).any() and (plan.interventions == 0).any()


def test_a_wider_beam_earns_more_on_average():
    means = [plan.score.mean() for plan in by_width()[0]]
    assert means[0] <= means[1] + 1e-6 and means[1] <= means[2] + 1e-6
    assert means[2] > means[0]


def test_no_width_earns_less_than_the_best_guide_of_the_episode():
    plans, _, guides = by_width()
    for plan in plans:
        assert (plan.score >= guides.max(axis=0) - 1e-5).all()
    assert plans[0].score.mean() > guides.max(axis=0).mean()


def test_compiled_is_eager():
    game, task = ucb_game(3), jax.tree.map(lambda leaf: leaf[0], ucb_tasks())
    function = functools.partial(plan_episode, game=game, task=task, width=2, guides=GUIDES)
    assert_same(function(jax.random.key(0)), jax.jit(function)(jax.random.key(0)), 1e-6)


def test_many_are_one_after_the_other():
    game = ucb_game(8)
    together = jax.jit(search(game, 3))(keys(4, 6), ucb_tasks())
    one = jax.jit(lambda k, task: plan_episode(k, game, task, 3, GUIDES))
    for i, key in enumerate(keys(4, 6)):
        alone = one(key, jax.tree.map(lambda leaf: leaf[i], ucb_tasks()))  # noqa: B023
        assert_same(alone, jax.tree.map(lambda leaf: leaf[i], together), 1e-6)  # noqa: B023


def test_planned_episodes_are_those_that_others_play():
    """Same key, same draws: what the agent does before the first payment is the same."""
    game = ucb_game(8)
    run = lambda k: play_clairvoyant(k, game, ucb_tasks(), 5, 2, GUIDES)  # noqa: E731
    planned = jax.jit(run)(jax.random.key(5))
    principal = guided(game.pay_target, 8)
    never = Guide(-jnp.inf, jnp.float32(0))
    other = jax.jit(lambda k: games.collect(k, game, principal, never, ucb_tasks(), 5))(
        jax.random.key(5)
    )
    assert planned.reward.shape == (6, 5, 8)
    before = np.cumsum(np.asarray(planned.intervention) > 0, axis=-1) == 0
    assert before.sum() > 30
    np.testing.assert_array_equal(planned.step.action[before], other.step.action[before])
    assert (planned.reward.sum(-1) >= other.reward.sum(-1) - 1e-5).all()


def test_the_quiet_end_is_quiet():
    game = ucb_game(8)
    guides = Guide(lead=jnp.asarray([jnp.inf, jnp.inf]), quiet=jnp.asarray([0.0, 3.0]))
    principal = guided(game.pay_target, 8)
    one = lambda g, k, t: games.rollout(k, game, principal, g, t)  # noqa: E731
    run = jax.vmap(jax.vmap(one, (None, 0, 0)), (0, None, None))
    loud, quiet = np.asarray(jax.jit(run)(guides, keys(6, 6), ucb_tasks()).intervention)
    np.testing.assert_array_equal(quiet[:, :5], loud[:, :5])
    assert not quiet[:, 5:].any() and loud[:, 5:].any()


def test_the_grid_holds_the_prescient_thresholds():
    grid: Any = guide_grid(50, 2.0)
    plain = np.asarray(grid.lead)[np.asarray(grid.quiet) == 0]
    np.testing.assert_allclose(plain[1:-1], 2 * np.linspace(0, 1, 21), atol=1e-6)
    np.testing.assert_array_equal(plain, leads(2.0))
    assert plain[0] == -np.inf and plain[-1] == np.inf
    assert grid.lead.shape == grid.quiet.shape == (78,)


def test_each_agent_gets_its_own_best():
    game = ucb_game(8)
    principal = guided(game.pay_target, 8)
    tune = lambda k: tune_each(k, game, principal, GUIDES, ucb_tasks(), 8)  # noqa: E731
    chosen = jax.jit(tune)(jax.random.key(7))
    score = lambda g: games.collect(jax.random.key(7), game, principal, g, ucb_tasks(), 8).reward  # noqa: E731
    scores = np.asarray(jax.jit(jax.vmap(score))(GUIDES)).sum(-1).mean(-1)
    np.testing.assert_array_equal(chosen.lead, np.asarray(GUIDES.lead)[scores.argmax(0)])
    assert chosen.quiet.shape == (6,)


def test_no_beam_is_refused():
    with pytest.raises(ConfigError, match=r"^width: got 0"):
        plan_episode(jax.random.key(0), ucb_game(3), jax.tree.map(lambda x: x[0], ucb_tasks()), 0)
