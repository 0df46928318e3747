"""For each promise of a game and of an environment, one that breaks it is refused by its name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax import agents, checks, games
from mermaide_jax.base import Environment
from mermaide_jax.errors import ContractError
from mermaide_jax.games.rollout import preview_of

pytestmark = pytest.mark.contract

ARMS, STEPS = 3, 4
AGENT = agents.epsilon_greedy(ARMS)
GAME = games.make_intervention_game(AGENT, games.GameConfig(ARMS, STEPS))
BANDIT = games.make_bandit(jnp.array([0.2, 0.5, 0.8]), 0, games.Economics())
TASK = games.make_task(AGENT, agents.make_params("epsilon_greedy", 0.5), BANDIT)


PREVIEW = preview_of(GAME)


def refusal(promise, function, game, check: Any = checks.check_game, task: Any = TASK, **options):
    with pytest.raises(ContractError) as caught:
        check(game, task, **options)
    assert (caught.value.promise, caught.value.function) == (promise, function), str(caught.value)
    return str(caught.value)


def stepping(change):
    """The game with a step whose six values are changed."""
    return GAME._replace(step=lambda *args: change(*GAME.step(*args)))


def test_an_observation_of_another_length():
    line = refusal("shapes", "reset", GAME._replace(observation_size=5))
    assert line == "reset breaks 'shapes': got float32[7], expected float32[5]"


def test_a_step_without_six_values():
    assert "truncated" in refusal("shapes", "step", stepping(lambda *six: six[:5]))


def test_a_reward_of_another_dtype():
    game = stepping(lambda o, s, r, *rest: (o, s, jnp.int32(0), *rest))
    assert "int32[]" in refusal("shapes", "step", game)


def test_a_state_that_hardens():
    game = stepping(lambda o, s, *rest: (o, s._replace(time=jnp.asarray(0)), *rest))
    refusal("carry", "step", game)


def test_info_that_is_no_step_info():
    game = stepping(lambda *six: (*six[:5], six[5].action))
    assert "StepInfo" in refusal("shapes", "step", game)


def test_an_end_that_comes_early_or_never():
    assert "an end after 4 steps" in refusal("horizon", "step", GAME._replace(horizon=5))
    assert "no end in 3 steps" in refusal("horizon", "step", GAME._replace(horizon=3))


def autoreset(key, state, intervention, task):
    key_step, key_reset = jax.random.split(key)
    observation, state, reward, done, over, info = GAME.step(key_step, state, intervention, task)
    anew = GAME.reset(key_reset, task)
    observation, state = jax.tree.map(
        lambda new, old: jnp.where(over, new, old), anew, (observation, state)
    )
    return observation, state, reward, done, over, info


def test_a_hidden_autoreset():
    refusal("no autoreset", "step", GAME._replace(step=autoreset))


def test_a_hidden_autoreset_after_an_early_end():
    """A corridor whose end is found in two steps at least, and which then starts anew."""

    def step(key, state, action, task):
        del key, task
        place, time = state
        place, time = place + action, time + jnp.int32(1)
        done, over = place >= 2, time >= STEPS
        anew = lambda x: jnp.where(done, jnp.int32(0), x)  # noqa: E731
        seen = place.astype(jnp.float32)[None]
        return seen, (anew(place), anew(time)), jnp.float32(0), done, over, ()

    def reset(key, task):
        del key, task
        return jnp.zeros(1, jnp.float32), (jnp.int32(0), jnp.int32(0))

    corridor = Environment(reset, step, 2, 1, STEPS)
    forward = lambda key: jnp.int32(1)  # noqa: E731
    check = checks.check_environment
    refusal("no autoreset", "step", corridor, check, (), draw_action=forward)


def test_a_step_that_uses_its_key_twice():
    def step(key, state, intervention, task):
        *rest, info = GAME.step(key, state, intervention, task)
        return *rest, info._replace(agent_reward=jax.random.normal(key, dtype=jnp.float32))

    refusal("keys", "step", GAME._replace(step=step))


def test_a_reset_with_hidden_randomness():
    rng = np.random.default_rng(0)

    def reset(key, task):
        observation, state = GAME.reset(key, task)
        return observation + np.float32(rng.uniform()), state

    refusal("purity", "reset", GAME._replace(reset=reset))


def test_a_preview_of_another_key():
    preview = lambda key, state, task: PREVIEW(jax.random.split(key)[0], state, task)  # noqa: E731
    refusal("preview", "preview", GAME._replace(preview=preview))


def test_a_preview_of_other_estimates():
    def preview(key, state, task):
        return PREVIEW(key, state, task)._replace(estimates=task.env.mean_rewards)

    refusal("preview", "preview", GAME._replace(preview=preview))


def test_a_preview_of_another_law():
    law = jnp.full(ARMS, 1 / ARMS, jnp.float32)

    def preview(key, state, task):
        return PREVIEW(key, state, task)._replace(probabilities=law)

    greedy = games.make_task(AGENT, agents.make_params("epsilon_greedy", 0.1), BANDIT)
    refusal("law", "preview", GAME._replace(preview=preview), task=greedy)


def test_a_payment_that_is_nothing():
    game = GAME._replace(pay_target=lambda observation: jnp.int32(0))
    refusal("range", "pay_target", game)


def test_a_payment_of_another_dtype():
    game = GAME._replace(pay_target=lambda observation: jnp.float32(1))
    refusal("shapes", "pay_target", game)


def test_a_game_that_is_made_anew():
    anew = lambda: GAME._replace(step=lambda *args: GAME.step(*args))  # noqa: E731
    refusal("one trace", "the game", anew(), remake=anew)


def test_an_environment_with_continuous_actions_passes():
    config = games.StackelbergConfig(ARMS, STEPS, "continuous")
    game = games.make_stackelberg_game(config)
    task = games.draw_stackelberg_task(jax.random.key(0), ARMS, games.Economics())
    steps = checks.check_environment(game.environment, task)
    assert steps.actions.dtype == jnp.float32
