"""Pieces of the Stackelberg training: the inner step, the interactions, what is not adapted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.games import Economics
from mermaide_jax.games.stackelberg import StackelbergConfig, draw_stackelberg_task
from mermaide_jax.studies.stackelberg.config import LearningConfig
from mermaide_jax.studies.stackelberg.learning import (
    bounded_sgd,
    init_params,
    make_adapt,
    to_support,
)
from mermaide_jax.studies.stackelberg.play import interact, make_principal, state_after
from mermaide_jax.studies.stackelberg.run import SweepConfig
from mermaide_jax.studies.stackelberg.testing import with_inner_rate

CONFIG = LearningConfig(game=StackelbergConfig(kind="binary", horizon=4), features=3)
PRINCIPAL = make_principal(CONFIG.game, CONFIG.features)
TASK = draw_stackelberg_task(jax.random.key(0), 5, Economics(bonus=jnp.float32(0.5), noise=0.25))


def played(params):
    play = jax.jit(lambda key: interact(key, CONFIG.game, PRINCIPAL, params["network"], TASK))
    return play(jax.random.key(1))


def test_the_bounded_step_has_a_rate_for_each_leaf_and_a_length_at_most():
    grads = {"a": jnp.array([300.0, 400.0]), "b": jnp.float32(0.0)}
    rates = {"a": jnp.log(jnp.float32(0.1)), "b": jnp.log(jnp.float32(2.0))}
    optimizer = bounded_sgd(rates)
    updates, _ = optimizer.update(grads, optimizer.init(grads))
    expected = -0.1 * np.array([300.0, 400.0]) / np.sqrt(1 + 2500.0)
    np.testing.assert_allclose(updates["a"], expected, rtol=1e-6)
    slope = jax.grad(lambda x: optimizer.update({"a": x, "b": x[0]}, ())[0]["a"][0])(jnp.zeros(2))
    np.testing.assert_allclose(slope, [-0.1, 0.0], rtol=1e-6)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_the_inner_step_learns_from_the_first_interactions_alone(number):
    params = with_inner_rate(init_params(jax.random.key(2), CONFIG), 0.5)
    support = to_support(played(params), jnp.int32(number))
    adapted = jax.jit(make_adapt(PRINCIPAL, 1))(params, support)
    # The head's bias, whose gradient at equal chances is sum_t A_t (one_hot(u_t) - 1/2).
    rewards = np.asarray(support.reward)[:number]
    others = (rewards.sum() - rewards) / max(number - 1, 1)
    chosen = np.eye(2)[np.asarray(support.intervention)[:number]]
    slope = ((rewards - others)[:, None] * (chosen - 0.5)).sum(0)
    moved = np.asarray(adapted["head"]["bias"] - params["network"]["head"]["bias"])
    assert (moved @ slope >= 0).all()
    assert np.abs(moved - 0.5 * slope).max() < 0.05 * np.abs(slope).max() + 1e-6


def test_a_rate_of_zero_does_not_adapt():
    params = with_inner_rate(init_params(jax.random.key(2), CONFIG), 0.0)
    adapted = make_adapt(PRINCIPAL, 1)(params, to_support(played(params), jnp.int32(4)))
    jax.tree.map(np.testing.assert_array_equal, adapted, params["network"])


def test_states_go_on_where_the_interactions_end():
    states = played(init_params(jax.random.key(2), CONFIG)).states
    for number in (0, 3, 4, 50):
        state = state_after(jax.random.key(3), states, jnp.int32(number), TASK)
        assert int(state.time) == number
        if number <= 4:
            np.testing.assert_array_equal(state.readings, states.readings[number])
    np.testing.assert_allclose(state.readings / 50, TASK.mean_rewards, atol=0.25)


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
