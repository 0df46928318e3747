"""Ways to adapt move what they say."""

from typing import Any

import jax
import numpy as np

from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.studies.mermaide.adaptation import BOTH, MEMORY, STEP, ways_to_adapt
from mermaide_jax.training import TrainingConfig
from mermaide_jax.training.objective import Episodes


def test_ways_to_adapt_move_what_they_say():
    learned = learned_principal(NetworkConfig("arms", 3, memory=True), 7, 3, 2)
    ways = ways_to_adapt(TrainingConfig(inner_learning_rate=0.1), learned)
    params = learned.init_params(jax.random.key(0))
    rng: Any = np.random.default_rng(0)
    actions, payments = rng.integers(0, 3, (2, 5)), rng.integers(0, 2, (2, 5))
    shown = Episodes(rng.random((2, 5, 7), np.float32), payments, actions, rng.random((2, 5)))
    remembers = {BOTH: True, STEP: False, MEMORY: True}
    assert list(ways) == [BOTH, STEP, MEMORY]
    for way, adapt in ways.items():
        (before, after) = (dict(p["world_model"]) for p in (params, adapt(params, shown)))
        assert np.any(after.pop("memory")) == remembers[way]
        before.pop("memory")
        moved = jax.tree.map(lambda x, y: bool(np.any(x != y)), before, after)
        assert any(jax.tree.leaves(moved)) == (way != MEMORY)
    plain = learned_principal(NetworkConfig("arms", 3), 7, 3, 2)
    assert list(ways_to_adapt(TrainingConfig(), plain)) == [STEP]
