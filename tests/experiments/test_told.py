"""What it is worth to be told the agent: what is told against plain loops, and what is written."""

import dataclasses
import json
import shlex

import jax
import numpy as np
import pandas as pd
import pytest
from experiment_scripts import load_experiment

from mermaide_jax import games
from mermaide_jax.agents import standard_population
from mermaide_jax.cli import main
from mermaide_jax.errors import ConfigError
from mermaide_jax.principals import random
from mermaide_jax.results.results import read_results

ARMS, STEPS, BONUS = 4, 30, 0.7
TINY = shlex.split(
    """--preset smoke --seeds 2 --game.horizon 5 --game.num-arms 3 --agents.train 3
    --agents.test 2 --network.architecture arms --network.features 3 --training.updates 2
    --training.world-model-updates 0 --training.tasks-per-update 2 --training.episodes-per-task 2
    --evaluation.episodes 2 --evaluation.all-knowing-rollouts 2
    --principals world_model_without_meta never all_knowing"""
)


@pytest.fixture
def module(monkeypatch):
    """The experiment."""
    return load_experiment("told", monkeypatch)


def played(module, family, told, noise):
    """One episode with random payments: the game, its task and the trajectory."""
    plain = games.make_intervention_game(
        standard_population(ARMS, True, 2), games.GameConfig(ARMS, STEPS)
    )
    economics = games.Economics(noise=noise, bonus=BONUS)
    tasks = games.finite_tasks(jax.random.key(1), family, (0.3,), 1, ARMS, economics)
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    game = module.informed(plain, told)
    play = jax.jit(games.rollout, static_argnums=(1, 2))
    seen = play(jax.random.key(2), game, random(game.pay_target), 0.5, task)
    alone = play(jax.random.key(2), plain, random(plain.pay_target), 0.5, task)
    return plain, task, seen, alone


def by_hand(family, task, actions, rewards):
    """What is told before each step, by a loop: ``[T, 5, A]``."""
    counts, totals, told = np.zeros(ARMS), np.zeros(ARMS), []
    for action, reward in zip(actions, rewards, strict=True):
        means = totals / np.maximum(counts, 1)
        width = np.sqrt(np.log(max(counts.sum(), 1)) / np.maximum(counts, 1))
        index = means + 0.3 * width * (family == "ucb")
        index = np.where(counts == 0, 10.0, index)
        gap = np.array([index[a] - max(np.delete(index, a)) for a in range(ARMS)])
        squashed = np.tanh(gap / 0.05), np.tanh(gap / 0.2)
        told.append([np.clip(gap, -1, 1), *squashed, means, np.full(ARMS, 0.3)])
        counts[action] += 1
        totals[action] += reward
    return np.array(told)


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
@pytest.mark.parametrize("told", ["task", "state"])
def test_what_is_told_is_the_agents_index(module, family, told):
    plain, task, seen, alone = played(module, family, told, noise=0.2)
    size = plain.observation_size
    # The game is the same, and the plain observation comes first.
    np.testing.assert_array_equal(seen.observation[:, :size], alone.observation)
    np.testing.assert_array_equal(seen.step.action, alone.step.action)
    actions = np.asarray(seen.step.action)
    rewards = np.asarray(seen.step.agent_reward, np.float64)
    if told == "task":
        paid = (np.asarray(seen.intervention) > 0) & np.asarray(seen.step.hit)
        rewards = np.asarray(task.mean_rewards)[actions] + BONUS * paid
    expected = by_hand(family, task, actions, rewards)
    found = np.asarray(seen.observation[:, size:]).reshape(STEPS, 5, ARMS)
    # A gap of nearly nothing, squashed, is told to the rounding of an index over 0.05.
    np.testing.assert_allclose(found, expected, atol=2e-4)
    if family == "ucb" and told == "state":  # the agent takes the arm that is told to be ahead
        tried = np.arange(STEPS) >= ARMS
        np.testing.assert_array_equal(found[tried, 0].argmax(axis=1), actions[tried])


def test_without_noise_the_task_tells_the_mind(module):
    task, particle = (played(module, "ucb", told, noise=0.0)[2] for told in ("task", "state"))
    np.testing.assert_allclose(task.observation, particle.observation, atol=2e-4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a tiny study."""
    directory = tmp_path_factory.mktemp("study") / "out"
    assert main(["reproduce", *TINY, "--out", str(directory)]) == 0
    return directory


def test_the_table_holds_the_study_and_both_ways_to_be_told(module, finished, tmp_path, capsys):
    module.main(module.Experiment(finished, tmp_path / "out", seeds=1))
    assert "ucb, told the state: 2 of 2" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "told.csv")
    assert list(table["family"]) == ["ucb"] * 3 + ["epsilon_greedy"] * 3
    assert list(table["told"]) == ["nothing", "task", "state"] * 2
    assert np.isfinite(table["score"]).all() and (table["runs"] == 2).all()
    rows = [
        row["score"]
        for row in read_results(finished).rows
        if (row["principal"], row["family"]) == ("world_model_without_meta", "ucb")
        and (row["k_shot"], row["seed"]) == (0, 0)
    ]
    assert table["score"][0] == pytest.approx(np.mean(rows), abs=1e-4)
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert about["seeds"] == [0]
    assert (tmp_path / "out" / "told.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 3}, r"--seeds: got 3, expected .* 2"),
        ({"families": ("best_response",)}, "--families: got 'best_response'"),
        ({"game": "kind"}, "game.kind: got 'arm'"),
        ({"network": "architecture"}, "network.architecture: got 'gru'"),
        ({"rows": "never"}, "principals: got .* expected .* a script"),
    ],
)
def test_a_study_that_cannot_be_told_more_is_refused(module, finished, change, message):
    results = read_results(finished)
    options = {"seeds": change.get("seeds", 1), "families": change.get("families", ())}
    experiment = module.Experiment(finished, finished, **options)
    config = dict(results.config)
    if "game" in change:
        config["game"] = config["game"] | {"kind": "arm"}
    if "network" in change:
        config["network"] = config["network"] | {"architecture": "gru"}
    rows = [row for row in results.rows if row["principal"] != change.get("rows")]
    with pytest.raises(ConfigError, match=message):
        module.checked_configs(dataclasses.replace(results, config=config, rows=rows), experiment)


def test_each_family_is_a_study_of_its_own(module, finished):
    results = read_results(finished)
    for asked, expected in (((), module.FAMILIES), (("ucb",), ("ucb",))):
        experiment = module.Experiment(finished, finished, seeds=2, families=asked)
        configs = module.checked_configs(results, experiment)
        assert [one.agents.families for one in configs] == [(name,) for name in expected]
        assert all(one.evaluation.shots == (0,) and one.seeds == 2 for one in configs)
