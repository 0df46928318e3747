"""Families by name: their agents, params and grids, and what is refused."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES

from mermaide_jax import agents, registry
from mermaide_jax.errors import ConfigError


def test_the_families_of_the_paper_come_first():
    assert FAMILIES[:3] == ("ucb", "epsilon_greedy", "best_response")
    assert agents.grid_of("ucb") == (0.17, 0.27, 0.42, 0.5, 0.67)
    assert agents.grid_of("epsilon_greedy") == (0.1, 0.2, 0.3, 0.4, 0.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_its_factory_with_the_options_it_knows(family):
    member = registry.get("family", family)
    known = member.traits.get("options", ())
    assert set(known) <= set(inspect.signature(member.value).parameters)
    assert agents.make_agent(family, 4) is member.value(4)
    changed = agents.make_agent(family, 4, initial_pull=False, unheard_of=3)
    assert (changed is member.value(4)) == ("initial_pull" not in known)


@pytest.mark.parametrize("family", FAMILIES)
def test_params_hold_the_coefficient_as_a_float32_leaf(family):
    parameters = registry.get("family", family).parameters
    params = agents.make_params(family, 0.25)
    for leaf in jax.tree.leaves(params):
        assert leaf.dtype == jnp.float32 and leaf.shape == ()
    if parameters:
        assert float(getattr(params, parameters[0].name)) == 0.25
    many = jax.vmap(lambda c: agents.make_params(family, c))(jnp.linspace(0, 1, 3))
    assert {leaf.shape for leaf in jax.tree.leaves(many)} == {(3,)}
    assert jax.tree.structure(many) == jax.tree.structure(params)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_grid_is_of_values_that_agents_can_have(family):
    grid, parameters = agents.grid_of(family), registry.get("family", family).parameters
    assert grid == (parameters[0].grid if parameters else (0.0,))
    assert all(np.isfinite(grid)) and list(grid) == sorted(set(grid))
    agents.check_coefficients(family, grid)
    if parameters:
        with pytest.raises(ConfigError, match=rf"^{parameters[0].name}: got -1.0, expected"):
            agents.check_coefficients(family, (*grid, -1.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda name: agents.make_agent(name, 4),
        lambda name: agents.make_params(name, 0.5),
        agents.grid_of,
        lambda name: agents.check_coefficients(name, ()),
    ],
)
def test_unknown_families_are_refused_in_one_line(call):
    with pytest.raises(ConfigError) as refusal:
        call("ubc")
    known = ", ".join(FAMILIES)
    assert str(refusal.value) == f"family: got 'ubc', expected one of {known} (did you mean 'ucb'?)"
