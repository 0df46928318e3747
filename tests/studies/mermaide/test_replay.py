"""Playing again: the very episodes of the test, whoever plays them."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.evaluation.protocol import summarise
from mermaide_jax.games import draw_bandit
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.mermaide.beliefs import observe_episodes, recorded_episodes
from mermaide_jax.studies.mermaide.learned import adapt_streams, build
from mermaide_jax.studies.mermaide.new_agents import draw_agents
from mermaide_jax.studies.mermaide.replay import (
    bandits_of,
    play_again,
    play_planned,
    replayed_rows,
)
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.studies.mermaide.timing import Played, stream_profiles


@pytest.mark.parametrize("shots", [0, 1])
def test_a_principal_plays_the_episodes_of_its_test(finished, shots, capsys):
    config, trained = load_study(finished)
    setting = make_setting(config)
    learned, _ = build("mermaide", config, setting)
    params = adapt_streams("mermaide", config, setting, trained["mermaide"], shots)
    own = ("MERMAIDE", setting, learned.principal, params)
    scores = play_again(*own, config.evaluation.episodes)
    rows = replayed_rows("mermaide", config, setting, scores, shots, config.evaluation.episodes)
    known = [
        row
        for row in read_results(finished).rows
        if (row["principal"], row["k_shot"]) == ("mermaide", shots)
    ]
    assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in known])
    assert [row["agent"] for row in rows] == [row["agent"] for row in known]
    assert "MERMAIDE, UCB, seed 1: played" in capsys.readouterr().out
    # Agent by agent, and fewer episodes: the first of the same.
    first = play_again(*own, 1, look=lambda played: played.reward, batch_size=1)
    both = play_again(*own, 2, look=lambda played: played.reward)
    np.testing.assert_allclose(first, both[:, :, :1], atol=1e-6)


def test_what_plans_plays_the_episodes_of_its_test(finished):
    config, _ = load_study(finished)
    setting = make_setting(config)
    scores = play_planned("all_knowing", setting, config.evaluation, summarise)
    known = [
        row["score"]
        for row in read_results(finished).rows
        if (row["principal"], row["k_shot"]) == ("all_knowing", 0)
    ]
    assert np.ravel(scores.score).tolist() == pytest.approx(known)


def test_bandits_of_several_families_come_one_after_the_other(finished):
    config, _ = load_study(finished)
    families = ("ucb", "epsilon_greedy")
    agents = dataclasses.replace(config.agents, families=families, mixed=True)
    setting = make_setting(dataclasses.replace(config, agents=agents))
    tasks = tuple(jax.tree.map(lambda leaf: leaf[0], setting.test[family]) for family in families)
    env = bandits_of(tasks)
    assert env.target.shape == (4,)
    np.testing.assert_array_equal(env.mean_rewards[2:], tasks[1].env.mean_rewards)
    assert type(env) is type(draw_bandit(jax.random.key(0), 3, config.game.economics))


def test_profiles_have_a_line_for_each_stream_and_step(finished):
    setting = make_setting(load_study(finished)[0])
    shape = (len(setting.streams), 2, 2, 4)
    paid: Any = np.zeros(shape, bool)
    paid[1] = True
    table = stream_profiles(Played(paid, ~paid), setting, "mermaide", 1)
    assert len(table) == 2 * 4 and set(table["seed"]) == {0, 1}
    means: Any = table.groupby("seed")["paid"].mean()
    assert means.to_dict() == {0: 0.0, 1: 1.0}
    assert set(table["agents"]) == {"ucb"} and set(table["k_shot"]) == {1}


def test_new_agents_have_every_coefficient_in_turn_and_the_target_first(finished):
    config, _ = load_study(finished)
    few, more = (draw_agents(2, config, "ucb", number) for number in (1, 2))
    np.testing.assert_allclose(more.agent.beta, [0.17, 0.27, 0.42, 0.5, 0.67] * 2, rtol=1e-6)
    np.testing.assert_array_equal(more.env.mean_rewards[:5], few.env.mean_rewards)
    assert config.training.target_first and (more.env.target == 0).all()
    other = draw_agents(3, config, "ucb", 1)
    assert not np.any(other.env.mean_rewards == few.env.mean_rewards)


def test_recorded_episodes_are_followed_by_strangers_and_by_who_is_informed(finished):
    results = read_results(finished)
    table = observe_episodes(results, 8, 1, (0.1, 0.75))
    assert len(table) == 2 * 3 * 4  # agents, predictors, steps
    assert {e["k_shot"] for e in recorded_episodes(results)} == {1}
    # Three arms, none tried yet: whether it is the target is one in three, for all one knows.
    first = table[(table["step"] == 0) & (table["predictor"] != "world model")]["log_likelihood"]
    assert set(first.round(4)) <= {round(np.log(1 / 3), 4), round(np.log(2 / 3), 4)}
    config = results.config | {"game": results.config["game"] | {"kind": "arm"}}
    for changed in ({"episodes": []}, {"config": config}):
        with pytest.raises(ConfigError, match=r"^results: got"):
            recorded_episodes(dataclasses.replace(results, **changed))
