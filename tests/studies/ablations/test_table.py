"""The table of variants: what each changes, where it runs, what its networks accept."""

import dataclasses

import jax
import pytest

from mermaide_jax import registry
from mermaide_jax.agents import make_agent
from mermaide_jax.errors import ConfigError
from mermaide_jax.games import make_intervention_game
from mermaide_jax.principals import learned_principal
from mermaide_jax.studies.ablations.table import BASE, GROUPS, VARIANTS, changed, planned


def preset(name):
    return registry.get("preset", name).value


def flat(config):
    """Every field of every part, as ``part.name``."""
    found = {}
    for part, value in dataclasses.asdict(config).items():
        for name, leaf in value.items() if isinstance(value, dict) else [("", value)]:
            found[f"{part}.{name}"] = leaf
    return found


@pytest.mark.parametrize("name", ["default", "standard"])
def test_every_variant_differs_from_the_base_in_what_it_says(name):
    base = preset(name)
    plan, before = planned(base), flat(base)
    assert plan[BASE, BASE] == (BASE, base)
    for entry in VARIANTS:
        _, config = plan[entry.group, entry.label]
        after = flat(config)
        assert {name: after[name] for name in entry.changes} == dict(entry.changes)
        untouched = set(after) - set(entry.changes)
        assert {n: after[n] for n in untouched} == {n: before[n] for n in untouched}


def test_the_networks_of_every_variant_accept_what_it_observes():
    game = dataclasses.replace(preset("default").game, horizon=50)
    base = dataclasses.replace(preset("default"), game=game)
    configs = {config for _, config in planned(base).values()}
    for options, network in {(config.game.static, config.network) for config in configs}:
        game = make_intervention_game(make_agent("ucb", 10), options)
        sizes = game.observation_size, game.num_arms, game.num_interventions
        learned = learned_principal(network, *sizes)
        assert "world_model" in jax.eval_shape(learned.init_params, jax.random.key(0))


def test_every_group_has_variants_and_every_run_a_place_of_its_own():
    assert list(dict.fromkeys(entry.group for entry in VARIANTS)) == list(GROUPS)
    plan = planned(preset("default"))
    assert len(plan) == len(VARIANTS) + 1  # labels are used once in a group
    places = {}
    for place, config in plan.values():
        assert places.setdefault(place, config) == config
    assert len(set(places.values())) == len(places)
    for entry in VARIANTS:
        assert entry.against == BASE or (entry.group, entry.against) in plan
        assert place_of(plan, entry) in (BASE, *places)
    same = [entry.label for entry in VARIANTS if place_of(plan, entry) == BASE]
    assert {"second order", "steps = 1", "c = 0.75", "units = 16", "offer"} <= set(same)


def place_of(plan, entry):
    return plan[entry.group, entry.label][0]


def test_hidden_observations_are_compared_with_networks_of_the_same_kind():
    plan = planned(preset("default"))
    hidden = [e for e in VARIANTS if "game.observe_target" in e.changes]
    assert len(hidden) == 2
    for entry in hidden:
        own, other = (flat(plan[entry.group, n][1]) for n in (entry.label, entry.against))
        assert {name for name in own if own[name] != other[name]} == {"game.observe_target"}


def test_changes_of_no_field_or_to_no_value_are_refused():
    with pytest.raises(ConfigError, match=r"changes: got 'game.costs'"):
        changed(preset("default"), {"game.costs": 1.0})
    with pytest.raises(ConfigError, match="inner_steps: got 0, expected an integer >= 1"):
        changed(preset("default"), {"training.inner_steps": 0})
