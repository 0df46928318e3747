"""Sweeps: who the members are, what is drawn for them, what is chosen, what is recorded."""

import jax
import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.studies.kit import seed_keys
from mermaide_jax.studies.sweep import Sweep

SWEEP = Sweep(seeds=3, levels=(0.0, 0.5))


def data(keys):
    return np.asarray(jax.random.key_data(keys))


def test_members_of_one_seed_have_the_same_keys_at_all_levels():
    keys = data(SWEEP.keys(1))
    np.testing.assert_array_equal(keys[0::2], keys[1::2])
    np.testing.assert_array_equal(keys[0::2], data(seed_keys(range(3), 1)))
    assert len(np.unique(keys, axis=0)) == 3
    assert not np.any((keys == data(SWEEP.keys(2))).all(axis=-1))
    np.testing.assert_array_equal(SWEEP.at_levels(), [0.0, 0.5] * 3)
    np.testing.assert_array_equal(SWEEP.at_levels((7.0, 8.0)), [7.0, 8.0] * 3)


def test_things_are_drawn_by_the_terms_of_each_member():
    draw = lambda key, scale: scale * jax.random.uniform(key)  # noqa: E731
    keys, things = SWEEP.draw(0, 4, draw, 1.0 + SWEEP.at_levels())
    assert things.shape == (6, 4) and keys.shape == (6,)
    np.testing.assert_allclose(things[1::2], 1.5 * things[0::2], rtol=1e-6)
    assert len(np.unique(things)) == things.size
    assert not np.any(data(keys) == data(SWEEP.keys(0)))


def test_each_level_has_the_candidate_of_the_best_mean_over_seeds():
    scores = {0.1: [1, 0, 1, 0, 1, 0], 0.2: [0, 1, 0, 1, 2.9, 1], 0.3: [0, 1, 0, 1, 0, 1]}
    asked = []

    def score(values):
        asked.append(np.asarray(values))
        return scores[round(float(values[0]), 1)]

    assert SWEEP.choose(tuple(scores), score) == (0.1, 0.2)  # the first of equals
    assert all(values.shape == (6,) and (values == values[0]).all() for values in asked)


def test_records_have_seed_level_and_further_axes():
    table = np.arange(12.0).reshape(6, 2)
    rows = SWEEP.records("noise", {"step": ["a", "b"]}, score=table)
    assert rows[3] == {"seed": 0, "noise": 0.5, "step": "b", "score": 3.0}
    assert [row["score"] for row in rows] == list(range(12))
    assert [row["seed"] for row in rows] == sorted([0, 1, 2] * 4)


@pytest.mark.parametrize("options", [(0, (0.0,)), (1, ()), (1, (0.1, 0.1))])
def test_impossible_sweeps_are_refused(options):
    with pytest.raises(ConfigError):
        Sweep(*options)
