"""Rows, curves and episodes say what the arrays say."""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax.base import StepInfo, Trajectory
from mermaide_jax.evaluation.protocol import Scores
from mermaide_jax.principals import Decision
from mermaide_jax.results.schema import CURVE_COLUMNS, EPISODE_KEYS, ROW_COLUMNS, check_records
from mermaide_jax.studies.mermaide import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
    records,
)
from mermaide_jax.studies.mermaide.learned import Trained
from mermaide_jax.studies.mermaide.records import (
    curve_rows,
    episode_records,
    score_rows,
    without_world_model,
)
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import Metrics

ARMS, STEPS, STREAMS, AGENTS = 3, 4, 4, 2
CONFIG = StudyConfig(
    game=GameOptions(num_arms=ARMS, horizon=STEPS),
    agents=AgentOptions(families=("ucb", "epsilon_greedy"), train=3, test=AGENTS),
    evaluation=EvaluationOptions(episodes=9),
    seeds=2,
    seed=5,
)
WHO = [
    (family, coefficient, seed, index)
    for family, coefficients in (("ucb", (0.27, 0.5)), ("epsilon_greedy", (0.2, 0.4)))
    for seed in (5, 6)
    for index, coefficient in enumerate(coefficients)
]
"""Family, coefficient, seed and index of every row, in order."""


@functools.cache
def setting():
    return make_setting(CONFIG)


def scores():
    """Each value tells its place: field, stream, agent."""
    place: Any = np.arange(STREAMS * AGENTS, dtype=np.float32).reshape(STREAMS, AGENTS)
    return Scores(*(100.0 * field + place for field in range(5)))


def test_rows_say_who_and_how_much():
    rows = score_rows("mermaide", CONFIG, setting(), scores(), 1)
    check_records("rows", rows, ROW_COLUMNS)
    assert len(rows) == len(WHO)
    for place, (row, (family, coefficient, seed, index)) in enumerate(zip(rows, WHO, strict=True)):
        assert row == {
            "principal": "mermaide",
            "family": family,
            "coefficient": coefficient,
            "split": "interpolation",
            "k_shot": 1,
            "seed": seed,
            "agent": index,
            "score": 0.0 + place,
            "success_rate": 100.0 + place,
            "interventions": 200.0 + place,
            "world_model_log_likelihood": 300.0 + place,
            "world_model_accuracy": 400.0 + place,
            "horizon": STEPS,
            "episodes": 9,
        }
        assert set(row) == set(ROW_COLUMNS)


def test_rows_of_scripted_principals_hold_their_number():
    parameter = np.array([1, 2, 3, np.inf])
    rows = score_rows("first_k", CONFIG, setting(), without_world_model(scores()), 0, parameter)
    check_records("rows", rows, ROW_COLUMNS)
    assert [row["parameter"] for row in rows] == [1, 1, 2, 2, 3, 3, None, None]
    assert [row["score"] for row in rows] == list(range(8))
    for row in rows:
        assert row["world_model_log_likelihood"] is None and row["world_model_accuracy"] is None


def history(updates=25):
    """Each value tells its place: field, stream, update."""
    place: Any = 1000.0 * np.arange(STREAMS)[:, None] + np.arange(updates)
    return Metrics(*(100_000.0 * field + place for field in range(6)))


@pytest.mark.parametrize("every", [1, 10, 100])
def test_curves_are_means_over_their_updates(monkeypatch, every):
    monkeypatch.setattr(records, "CURVE_EVERY", every)
    state: Any = None  # of which no curve is made
    rows = curve_rows("mermaide", setting(), Trained(state, history()), warm_up=10)
    check_records("curves", rows, CURVE_COLUMNS)
    starts = range(0, 25, every)
    assert len(rows) == STREAMS * len(starts)
    for number, row in enumerate(rows):
        s, start = number // len(starts), starts[number % len(starts)]
        covered = list(range(start, min(start + every, 25)))
        assert row["update"] == covered[-1] + 1
        assert row["phase"] == ("world_model" if covered[-1] < 10 else "joint")
        assert row["family"] == ("ucb", "ucb", "epsilon_greedy", "epsilon_greedy")[s]
        assert row["seed"] == (5, 6)[s % 2]
        for field, name in enumerate(Metrics._fields):
            expected = 100_000 * field + 1000 * s + sum(covered) / len(covered)
            assert row[name] == pytest.approx(expected)


def played():
    rng: Any = np.random.default_rng(0)
    shape = (STREAMS, AGENTS, STEPS)
    logits = rng.normal(size=(*shape, ARMS))
    return Trajectory(
        observation=jnp.zeros((*shape, 1)),
        intervention=rng.integers(0, 2, shape),
        reward=rng.normal(size=shape),
        step=StepInfo(
            rng.integers(0, ARMS, shape),
            rng.normal(size=shape),
            rng.random(shape) < 0.5,
            rng.normal(size=(*shape, ARMS)),
        ),
        principal=Decision(
            rng.normal(size=shape),
            rng.random(shape),
            rng.random(shape),
            logits - np.log(np.exp(logits).sum(-1, keepdims=True)),
        ),
    )


def test_episodes_are_those_of_the_first_seed_of_each_group():
    # Targets other than arm 0, so that reading the wrong one shows.
    targets = jnp.asarray([[1, 2], [0, 0], [2, 0], [0, 0]], jnp.int32)
    made = setting()
    test = {
        family: tasks._replace(env=tasks.env._replace(target=targets))
        for family, tasks in made.test.items()
    }
    made = made._replace(test=test)
    trajectory = played()
    found = episode_records("mermaide", CONFIG, made, trajectory, 1)
    check_records("episodes", found, EPISODE_KEYS)
    places = [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert len(found) == len(places)
    for record, (s, m) in zip(found, places, strict=True):
        family, coefficient, seed, index = WHO[AGENTS * s + m]
        who = [record[n] for n in ("principal", "family", "coefficient", "seed", "agent")]
        assert who == ["mermaide", family, coefficient, seed, index]
        assert record["k_shot"] == 1 and record["target"] == int(targets[s, m])
        means = made.test[family].env.mean_rewards[s, m]
        np.testing.assert_array_equal(np.float32(record["mean_rewards"]), means)
        np.testing.assert_array_equal(record["action"], trajectory.step.action[s, m])
        np.testing.assert_array_equal(record["intervention"], trajectory.intervention[s, m])
        # What the agent received; what the principal earned is its score.
        for key, values in (
            ("agent_estimates", trajectory.step.agent_estimates),
            ("policy_probability", trajectory.principal.pay_prob),
            ("reward", trajectory.step.agent_reward),
        ):
            np.testing.assert_array_equal(np.float32(record[key]), np.float32(values[s, m]))
        assert record["score"] == pytest.approx(sum(trajectory.reward[s, m]))
        predicted = [
            np.exp(trajectory.principal.prediction[s, m, t, targets[s, m]]) for t in range(4)
        ]
        shown = record["predicted_target_probability"]
        np.testing.assert_allclose(shown, predicted, rtol=1e-6)


def test_numbers_are_as_exact_as_float32_and_no_longer():
    trajectory = played()
    estimates: Any = np.asarray(trajectory.step.agent_estimates, np.float32)
    estimates[0, 0, 0, 0] = 0.1  # which is 0.10000000149011612 as a double
    made = trajectory._replace(step=trajectory.step._replace(agent_estimates=estimates))
    record = episode_records("mermaide", CONFIG, setting(), made, 0)[0]
    assert record["agent_estimates"][0][0] == 0.1
    np.testing.assert_array_equal(
        np.asarray(record["agent_estimates"], np.float32), estimates[0, 0]
    )


@pytest.mark.parametrize("name", ["mermaide", "world_model_without_meta"])
@pytest.mark.parametrize("seed", [5, 6])
def test_predictions_are_shown_for_principals_that_predict(name, seed):
    config = dataclasses.replace(CONFIG, seed=seed)
    found = episode_records(name, config, make_setting(config), played(), 0)
    assert len(found) == 4 and {record["seed"] for record in found} == {seed}
    assert all(len(record["predicted_target_probability"]) == STEPS for record in found)


@pytest.mark.parametrize("name", ["maml_without_world_model", "reinforce"])
def test_no_predictions_without_a_world_model(name):
    found = episode_records(name, CONFIG, setting(), played(), 0)
    assert all(record["predicted_target_probability"] is None for record in found)
    check_records("episodes", found, EPISODE_KEYS)
