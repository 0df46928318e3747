"""What a principal is informed of, against plain loops."""

from typing import Any

import jax
import numpy as np
import pytest

from mermaide_jax import games, registry
from mermaide_jax.agents import make_agent
from mermaide_jax.errors import ConfigError
from mermaide_jax.games.informed import informed_game
from mermaide_jax.principals import random

ARMS, STEPS, BONUS = 4, 30, 0.7


def played(family, knowledge, noise):
    """One episode with random payments: the game, its task and the trajectory."""
    agent = make_agent(family, ARMS)
    plain = games.make_intervention_game(agent, games.GameConfig(ARMS, STEPS))
    economics = games.Economics(noise=noise, bonus=BONUS)
    tasks = games.finite_tasks(jax.random.key(1), family, agent, (0.3,), 1, ARMS, economics)
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    game = informed_game(plain, family, knowledge)
    play = jax.jit(games.rollout, static_argnums=(1, 2))
    seen = play(jax.random.key(2), game, random(game.pay_target), 0.5, task)
    alone = play(jax.random.key(2), plain, random(plain.pay_target), 0.5, task)
    return plain, task, seen, alone


def by_hand(family, actions, rewards):
    """What is known before each step, by a loop: ``[T, 5, A]``."""
    counts, totals, known = np.zeros(ARMS), np.zeros(ARMS), []
    for action, reward in zip(actions, rewards, strict=True):
        means = totals / np.maximum(counts, 1)
        width = np.sqrt(np.log(max(counts.sum(), 1)) / np.maximum(counts, 1))
        index = means + 0.3 * width * (family == "ucb")
        index = np.where(counts == 0, 10.0, index)
        gap = np.array([index[a] - max(np.delete(index, a)) for a in range(ARMS)])
        squashed = np.tanh(gap / 0.05), np.tanh(gap / 0.2)
        known.append([np.clip(gap, -1, 1), *squashed, means, np.full(ARMS, 0.3)])
        counts[action] += 1
        totals[action] += reward
    return np.array(known)


@pytest.mark.parametrize("family", ["ucb", "epsilon_greedy"])
@pytest.mark.parametrize("knowledge", ["task", "state"])
def test_what_is_known_is_the_agents_index(family, knowledge):
    plain, task, seen, alone = played(family, knowledge, noise=0.2)
    size = plain.observation_size
    # The game is the same, and the plain observation comes first.
    np.testing.assert_array_equal(seen.observation[:, :size], alone.observation)
    np.testing.assert_array_equal(seen.step.action, alone.step.action)
    actions = np.asarray(seen.step.action)
    rewards = np.asarray(seen.step.agent_reward, np.float64)
    if knowledge == "task":
        paid = (np.asarray(seen.intervention) > 0) & np.asarray(seen.step.hit)
        rewards = np.asarray(task.env.mean_rewards)[actions] + BONUS * paid
    expected = by_hand(family, actions, rewards)
    found = np.asarray(seen.observation[:, size:]).reshape(STEPS, 5, ARMS)
    # A gap of nearly nothing, squashed, is known to the rounding of an index over 0.05.
    np.testing.assert_allclose(found, expected, atol=2e-4)
    if family == "ucb" and knowledge == "state":  # the agent takes the arm that is ahead
        tried = np.arange(STEPS) >= ARMS
        np.testing.assert_array_equal(found[tried, 0].argmax(axis=1), actions[tried])


def test_without_noise_the_task_tells_the_state():
    task, state = (played("ucb", knowledge, noise=0.0)[2] for knowledge in ("task", "state"))
    np.testing.assert_allclose(task.observation, state.observation, atol=2e-4)


def test_families_without_an_index_and_unknown_knowledge_are_refused():
    game = games.make_intervention_game(make_agent("ucb", ARMS), games.GameConfig(ARMS, STEPS))
    without = [m.name for m in registry.members("family") if "index" not in m.traits]
    for family in without:
        with pytest.raises(ConfigError, match=f"^family: got '{family}'"):
            informed_game(game, family, "task")
    assert "best_response" in without
    unknown: Any = "mind"
    with pytest.raises(ConfigError, match=r"^knowledge: got 'mind'"):
        informed_game(game, "ucb", unknown)
