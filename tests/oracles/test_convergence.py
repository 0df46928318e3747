"""The upper references of a game, side by side on the same episodes."""

import jax
import numpy as np

from mermaide_jax import games
from mermaide_jax.agents import grid_of, make_agent
from mermaide_jax.oracles.convergence import make_references, measure_reference


def test_no_reference_beats_an_exhaustive_search_of_the_same_episodes():
    agent = make_agent("ucb", 3)
    game = games.make_intervention_game(agent, games.GameConfig(3, 4))
    tasks, others = (
        games.finite_tasks(
            jax.random.key(seed), "ucb", agent, grid_of("ucb"), 5, 3, games.Economics()
        )
        for seed in (1, 2)
    )
    references = make_references(game, (16,), (2,), episodes=2, tuning_episodes=2)
    assert list(references) == [
        *("prescient", "prescient_each", "guided_each", "rule_each", "beam_16", "rollouts_2")
    ]
    key, found = jax.random.key(0), {}
    for name, reference in references.items():
        found[name], spent = measure_reference(reference, key, tasks, others)
        assert found[name].shape == (5, 2) and spent > 0
    # A beam of 16 holds all plans of four steps; who knows fewer draws cannot do better with the
    # same ones.
    for name, scores in found.items():
        assert np.all(scores <= found["beam_16"] + 1e-6), name
    again, _ = measure_reference(references["prescient"], key, tasks, others)
    np.testing.assert_array_equal(again, found["prescient"])
