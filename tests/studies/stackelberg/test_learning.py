"""Pieces of the Stackelberg training: the inner step, what is not adapted, the objective."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from streams import keys

from mermaide_jax.errors import ConfigError
from mermaide_jax.games import Economics
from mermaide_jax.games.stackelberg import (
    StackelbergConfig,
    draw_stackelberg_task,
    interact,
    state_after,
)
from mermaide_jax.meta import init_meta_sgd, with_inner_rate
from mermaide_jax.studies.stackelberg.learning import (
    LearningConfig,
    make_adapt,
    make_trainer,
    outer_gradient,
)
from mermaide_jax.studies.stackelberg.sweep import SweepConfig
from mermaide_jax.training import train

CONFIG = LearningConfig(game=StackelbergConfig(kind="binary", horizon=4), features=3)
ECONOMICS = Economics(bonus=jnp.float32(0.5), noise=0.25)
TASK = draw_stackelberg_task(jax.random.key(0), 5, ECONOMICS)


def fresh(rate):
    """A fresh principal with one inner rate for all weights."""
    return with_inner_rate(init_meta_sgd(CONFIG.principal.init_params(keys(2, 1)[0]), 0.1), rate)


def played(params):
    principal = CONFIG.principal.principal
    play = jax.jit(lambda key: interact(key, CONFIG.game, principal, params.params, TASK))
    return play(jax.random.key(1))


@pytest.mark.parametrize("number", [0, 2, 4])
def test_the_inner_step_learns_from_the_first_interactions_alone(number):
    params = fresh(0.5)
    support = played(params)
    adapted = jax.jit(make_adapt(CONFIG))(params, (support, jnp.int32(number)))
    # The head's bias, whose gradient at equal chances is sum_t A_t (one_hot(u_t) - 1/2).
    rewards = np.asarray(support.reward)[:number]
    others = (rewards.sum() - rewards) / max(number - 1, 1)
    chosen = np.eye(2)[np.asarray(support.intervention)[:number]]
    slope = ((rewards - others)[:, None] * (chosen - 0.5)).sum(0)
    moved = np.asarray(adapted["head"]["bias"] - params.params["head"]["bias"])
    assert (moved @ slope >= 0).all()
    assert np.abs(moved - 0.5 * slope).max() < 0.05 * np.abs(slope).max() + 1e-6


def test_a_rate_of_zero_does_not_adapt():
    params = fresh(0.0)
    adapted = make_adapt(CONFIG)(params, (played(params), jnp.int32(4)))
    jax.tree.map(np.testing.assert_array_equal, adapted, params.params)


def test_states_go_on_where_the_interactions_end():
    states = played(fresh(0.1)).states
    for number in (0, 3, 4, 50):
        state = state_after(jax.random.key(3), states, jnp.int32(number), TASK)
        assert int(state.time) == number
        if number <= 4:
            np.testing.assert_array_equal(state.readings, states.readings[number])
    np.testing.assert_allclose(state.readings / 50, TASK.env.mean_rewards, atol=0.25)


@pytest.mark.parametrize("is_meta", [True, False])
def test_the_inner_rates_are_learned_with_the_inner_loop_alone(is_meta):
    config = dataclasses.replace(CONFIG, agents=8, queries=4, most_interactions=20)
    params = fresh(0.5)
    gradient = jax.jit(outer_gradient, static_argnums=(1, 4))
    grads, reward = gradient(jax.random.key(4), config, params, ECONOMICS, is_meta)
    assert np.isfinite(reward)
    assert any((np.asarray(leaf) != 0).any() for leaf in jax.tree.leaves(grads.params))
    moved = [bool(leaf != 0) for leaf in jax.tree.leaves(grads.log_rates)]
    assert any(moved) == is_meta


def test_training_pays_where_paying_earns():
    """Agents that a bonus of 1 always sways, at a cost of 0.1: to pay is worth 0.9."""
    config = dataclasses.replace(
        CONFIG, updates=60, agents=8, queries=4, most_interactions=4, outer_learning_rate=0.05
    )
    generous = Economics(*(jnp.full((1,), x) for x in (0.1, 1.0, 0.0, 0.0, 1.0)))
    _, history = train(keys(5, 1), make_trainer(config, True), generous, 60, side_by_side=None)
    reward = np.asarray(history["query_reward"])[0]
    assert reward.shape == (60,)
    assert reward[:5].mean() < 0.7 < 0.85 < reward[-5:].mean()


@pytest.mark.parametrize(
    ("field", "value"), [("updates", 0), ("episodes", 1), ("queries", 1), ("credit", 1.5)]
)
def test_bad_configs_are_refused(field, value):
    with pytest.raises(ConfigError, match=f"^{field}: got"):
        LearningConfig(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost", -0.1),
        ("bonus", 0.0),
        ("noises", (0.0, -0.1)),
        ("noises", (0.1, 0.1)),
        ("number of noises", ()),
        ("seeds", 0),
        ("test_agents", 0),
        ("fresh_agents", 65),
        ("interactions", (0, 2, 1)),
        ("interactions", (0, 1, 1)),
        ("interactions", (-1, 1)),
        ("interactions", (0, 1.5)),
        ("number of interactions", ()),
        ("fresh_batch", 1),
        ("pretrained_rates", (0.0, -1.0)),
        ("number of pretrained_rates", ()),
        ("fresh_rates", (-1.0,)),
        ("number of fresh_rates", ()),
    ],
)
def test_bad_sweeps_are_refused(field, value):
    with pytest.raises(ConfigError, match=f"^{field}: got"):
        SweepConfig(**{field.removeprefix("number of "): value})
    with pytest.raises(ConfigError, match=r"^fresh_interactions: got 4"):
        SweepConfig(interactions=(5, 10), fresh_interactions=4)
