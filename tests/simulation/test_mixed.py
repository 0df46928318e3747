"""Several families in one simulation: each agent as it would be alone, in any company."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax import agents
from mermaide_jax.errors import ConfigError
from mermaide_jax.simulation import Bandits, simulate, simulate_families

pytestmark = pytest.mark.exact

KEY = jax.random.key(3)
SIZES = (3, 5, 2)
FAMILIES = (agents.ucb(4), agents.epsilon_greedy(4), agents.thompson(4))
PARAMS = (
    agents.UCBParams(jnp.linspace(0.1, 0.6, 3)),
    agents.EpsilonGreedyParams(jnp.linspace(0.1, 0.5, 5)),
    agents.make_params("thompson", 1.0),
)


def bandits():
    means = jax.random.uniform(jax.random.key(0), (sum(SIZES), 4))
    ends = np.cumsum(SIZES)
    return tuple(
        Bandits(means[e - n : e], 0.1, jnp.arange(n) % 4) for e, n in zip(ends, SIZES, strict=True)
    )


@pytest.mark.parametrize("implementation", ["auto", "reference"])
@pytest.mark.parametrize("by_agent", [True, False])
def test_each_family_is_as_it_would_be_alone(implementation, by_agent):
    schedule = jax.random.uniform(jax.random.key(1), (12, sum(SIZES)) if by_agent else (12,))
    options = {"record": True, "implementation": implementation}
    together: Any = simulate_families(
        jax.random.clone(KEY),
        FAMILIES,
        PARAMS,
        bandits(),
        12,
        schedule=schedule,
        first_agent=7,
        **options,
    )
    start = 0
    for agent, params, own, size in zip(FAMILIES, PARAMS, bandits(), SIZES, strict=True):
        end = start + size
        paid = schedule[:, start:end] if by_agent else schedule
        alone = simulate(
            jax.random.clone(KEY),
            agent,
            params,
            own,
            12,
            schedule=paid,
            first_agent=7 + start,
            **options,
        )
        part = together._replace(
            actions=together.actions[:, start:end],
            rewards=together.rewards[:, start:end],
            counts=together.counts[start:end],
            total_reward=together.total_reward[start:end],
            target_share=together.target_share[start:end],
        )
        chex.assert_trees_all_equal(part, alone)
        start = end


def test_without_a_record_there_is_none():
    found = simulate_families(jax.random.clone(KEY), FAMILIES, PARAMS, bandits(), 5)
    assert found.actions is None and found.rewards is None
    np.testing.assert_array_equal(found.counts.sum(1), 5)


@pytest.mark.parametrize(
    "families, params, line",
    [
        (FAMILIES, PARAMS[:2], "number of params: got 2, expected one for each of 3 families"),
        ((), (), "number of families: got 0, expected an integer >= 1"),
    ],
)
def test_what_does_not_fit_is_refused(families, params, line):
    with pytest.raises(ConfigError, match=line):
        simulate_families(jax.random.clone(KEY), families, params, bandits(), 5)
