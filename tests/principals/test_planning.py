"""Planning through the world model: a model that is right must help, and what it refuses."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import assert_same, keys

from mermaide_jax import agents, games
from mermaide_jax.base import Principal
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import Decision, learned_principal
from mermaide_jax.principals.planning import Planner, planning, surely_better

ARMS, STEPS, COST, PAYS = 3, 8, 0.4, 0.3
CONFIG = games.GameConfig(ARMS, STEPS)
AGENT = agents.ucb(ARMS)
GAME = games.make_intervention_game(AGENT, CONFIG)


@functools.cache
def tasks(number=4):
    economics = games.Economics(cost=COST, noise=0.0)
    return games.finite_tasks(jax.random.key(4), "ucb", AGENT, (0.3,), number, ARMS, economics)


def real_learned():
    config = NetworkConfig(architecture="arms", features=3)
    return learned_principal(config, GAME.observation_size, ARMS, GAME.num_interventions)


def knowing():
    """A "learned" principal that pays at random, and whose world model is the agent itself.

    Its params are the task. Without noise, what was observed tells the agent's state.
    """

    def init(task):
        return AGENT.init(task.agent)

    def act(key, task, state, observation):
        action = jnp.argmax(observation[:ARMS]).astype(jnp.int32)
        paid = (observation[ARMS] > 0) & (action == task.env.target)
        reward = task.env.mean_rewards[action] + task.env.bonus * paid
        after = AGENT.update(task.agent, state, action, reward)
        began = jnp.any(observation[:ARMS] > 0)
        state = jax.tree.map(lambda new, old: jnp.where(began, new, old), after, state)
        law = AGENT.probabilities(task.agent, state, jnp.zeros((ARMS,)))
        choice = jax.random.bernoulli(key, PAYS).astype(jnp.int32)
        told = Decision(jnp.float32(0), jnp.float32(0), jnp.float32(PAYS), jnp.log(law))
        return choice, state, told

    return real_learned()._replace(principal=Principal(init, act))


@functools.cache
def played(planned, episodes=40):
    learned, met = knowing(), tasks()
    params: Any = met
    principal = learned.principal
    if planned:
        principal, params = planning(CONFIG, learned, 16, 1.0), Planner(params, met.env.cost)
    run = jax.jit(
        lambda key: games.collect(key, GAME, principal, params, met, episodes, params_axis=0)
    )
    return jax.tree.map(np.asarray, run(jax.random.key(1)))


def test_planning_through_a_model_that_is_right_earns_more():
    alone, above = (played(planned).reward.sum(-1) for planned in (False, True))
    gain = (above - alone).mean(axis=-1)
    assert (gain > 0).all() and gain.mean() > 0.5


def test_nothing_is_paid_where_nothing_can_come_of_it():
    """In the last step, and where the agent is sure to take another arm."""
    above = played(True)
    assert above.intervention.any()
    assert not above.intervention[..., -1].any()
    target = np.asarray(tasks().env.target)[:, None, None, None]
    chance = np.exp(np.take_along_axis(above.principal.prediction, target, axis=-1))[..., 0]
    assert (chance < 1e-3).any()
    assert not above.intervention[chance < 1e-3].any()


def test_batched_is_one_after_the_other():
    learned = real_learned()
    principal = planning(CONFIG, learned, 4)
    params = Planner(learned.init_params(jax.random.key(0)), jnp.float32(COST))
    run = lambda key, task: games.rollout(key, GAME, principal, params, task)  # noqa: E731
    together = jax.jit(jax.vmap(run))(keys(2, 4), tasks())
    one = jax.jit(run)
    for index, key in enumerate(keys(2, 4)):
        own = jax.tree.map(lambda leaf: leaf[index], (tasks(), together))  # noqa: B023
        assert_same(one(key, own[0]), own[1], 1e-5)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 1), (1.0, 1), (3.0, 0)])
def test_more_errors_ask_for_more(margin, expected):
    worth = jnp.asarray([[0.0, 0.0], [3.0, 1.0]])  # gains 2, by an error of 0.7
    assert int(surely_better(worth, jnp.int32(0), margin)) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": games.GameConfig(ARMS, STEPS, "arm")}, "kind: got 'arm'"),
        ({"config": games.GameConfig(ARMS, STEPS, cost_on="uptake")}, "cost_on: got 'uptake'"),
        ({"config": games.GameConfig(ARMS, STEPS, observe_target=False)}, "observe_target: got F"),
        ({"num_rollouts": 1}, "num_rollouts: got 1, expected an integer >= 2"),
        ({"margin": -1.0}, "margin: got -1.0"),
        ({"world_model": False}, "world_model: got False"),
    ],
)
def test_impossible_planners_are_refused(change, message):
    config = NetworkConfig("arms", features=3, world_model=change.pop("world_model", True))
    sizes = (GAME.observation_size, ARMS, GAME.num_interventions)
    options = {
        "config": CONFIG,
        "learned": learned_principal(config, *sizes),
        "num_rollouts": 2,
        "margin": 1.0,
    } | change
    with pytest.raises(ConfigError, match=f"^{message}"):
        planning(**options)
