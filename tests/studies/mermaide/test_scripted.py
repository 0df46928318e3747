"""Scripted principals in a study: what their names mean, and on whom their number is chosen."""

import dataclasses
import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.principals import first_k
from mermaide_jax.principals.members import candidates_of
from mermaide_jax.studies.mermaide import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
    scripted,
)
from mermaide_jax.studies.mermaide.learned import stream_keys
from mermaide_jax.studies.mermaide.setting import make_setting

STEPS, COST = 6, 0.2
CONFIG = StudyConfig(
    game=GameOptions(num_arms=3, horizon=STEPS, cost=COST),
    agents=AgentOptions(families=("ucb",), train=3, test=2),
    evaluation=EvaluationOptions(
        episodes=8, random_rate=0.3, clairvoyant_beam=2**STEPS, all_knowing_episodes=3
    ),
    seeds=2,
)


@functools.cache
def setting():
    return make_setting(CONFIG)


@functools.cache
def outcome(name) -> tuple[Any, Any]:
    return scripted.evaluate_scripted(name, CONFIG, setting())


def test_never_pays_nothing():
    scores, value = outcome("never")
    np.testing.assert_array_equal(value, [0, 0])
    np.testing.assert_array_equal(scores.interventions, 0)
    np.testing.assert_allclose(scores.score, STEPS * scores.success_rate, rtol=1e-5)


def test_always_pays_at_every_step():
    scores, value = outcome("always")
    np.testing.assert_array_equal(value, [1, 1])
    np.testing.assert_array_equal(scores.interventions, STEPS)
    expected = STEPS * (scores.success_rate - COST)
    np.testing.assert_allclose(scores.score, expected, rtol=1e-5, atol=1e-5)
    assert (scores.success_rate > outcome("never")[0].success_rate).all()


def test_random_pays_at_its_rate():
    scores, value = outcome("random")
    np.testing.assert_allclose(value, 0.3, rtol=1e-6)
    np.testing.assert_allclose(scores.interventions.mean() / STEPS, 0.3, atol=0.12)
    assert scores.score.shape == (2, 2)


def test_who_predicts_nothing_has_no_world_model_scores():
    for name in ("never", "first_k"):
        assert np.isnan(outcome(name)[0].world_model_log_likelihood).all()
        assert np.isnan(outcome(name)[0].world_model_accuracy).all()


def test_first_k_is_the_best_on_the_training_agents():
    made = setting()
    principal = first_k(made.game.pay_target)

    @jax.jit
    def on_training_agents(stream, k):
        tasks = jax.tree.map(lambda x: x[stream], made.train["ucb"])
        key = stream_keys(made, "tune")[stream]
        return evaluate(key, made.game, principal, k, tasks, scripted._TUNING_EPISODES).score

    scores, value = outcome("first_k")
    for stream in range(2):
        means = [on_training_agents(stream, k).mean() for k in range(STEPS + 1)]
        np.testing.assert_allclose(means[value[stream]], max(means), atol=1e-5)
        np.testing.assert_array_equal(scores.interventions[stream], value[stream])
    assert value.min() > 0


def test_the_number_is_chosen_on_the_training_agents_alone():
    """Costs of 9 for one set of agents: only those of training keep it from paying."""
    made = setting()
    costly = {}
    for role, number in (("train", 3), ("test", 2)):
        tasks = getattr(made, role)["ucb"]
        dear = tasks._replace(env=tasks.env._replace(cost=jnp.full((2, number), 9.0)))
        costly[role] = made._replace(**{role: {"ucb": dear}})
    values = {}
    for role, other in costly.items():
        values[role] = scripted.evaluate_scripted("first_k", CONFIG, other)[1]
    np.testing.assert_array_equal(values["train"], [0, 0])
    np.testing.assert_array_equal(values["test"], outcome("first_k")[1])


def test_prescient_pays_only_for_the_target():
    scores, value = outcome("prescient")
    candidates = np.asarray(candidates_of("prescient", setting().game, CONFIG))
    assert np.isin(value, candidates).all()
    assert candidates[0] == -np.inf and candidates[-1] == np.inf  # never and whenever it is taken
    assert (scores.interventions <= STEPS * scores.success_rate + 1e-5).all()
    assert scores.score.mean() > outcome("never")[0].score.mean()


def test_the_planner_plans_the_episodes_that_the_others_play():
    scores, value = outcome("clairvoyant")
    assert value is None
    assert scores.score.shape == (2, 2)
    for name in ("never", "always", "first_k", "prescient"):
        assert (scores.score >= outcome(name)[0].score - 1e-5).all(), name
    np.testing.assert_allclose(
        scores.score, STEPS * scores.success_rate - COST * scores.interventions, atol=1e-5
    )


def test_the_all_knowing_planner_plays_the_first_few_and_stays_below_the_planner():
    scores, value = outcome("all_knowing")
    assert value is None
    assert scores.score.shape == (2, 2)
    np.testing.assert_allclose(
        scores.score * 3, np.round(scores.score * 3 / COST) * COST, atol=1e-4
    )
    assert outcome("never")[0].score.mean() < scores.score.mean()
    assert scripted.episodes_played("all_knowing", CONFIG.evaluation) == 3
    assert scripted.episodes_played("clairvoyant", CONFIG.evaluation) == 8


def test_the_all_knowing_planner_is_given_its_options(monkeypatch):
    given = []

    def spy(key, tune_key, game, tasks, *numbers, **named):
        given.append((numbers, named))
        raise InterruptedError

    module = importlib.import_module("mermaide_jax.oracles.all_knowing")
    monkeypatch.setattr(module, "play_all_knowing", spy)
    options = dataclasses.replace(
        CONFIG.evaluation, all_knowing_rollouts=5, all_knowing_tuning=7, all_knowing_episodes=2
    )
    config = dataclasses.replace(CONFIG, evaluation=options)
    with pytest.raises(InterruptedError):
        scripted.evaluate_scripted("all_knowing", config, setting())
    assert given == [((2, 5), {"tuning_episodes": 7})]
