"""Registered principals: their roles, the numbers they are given, and how they are made."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax import agents, games, registry
from mermaide_jax.base import Principal
from mermaide_jax.errors import ConfigError
from mermaide_jax.principals import members

GAME = games.make_intervention_game(agents.ucb(3), games.GameConfig(3, 6))
OPTIONS = types.SimpleNamespace(
    evaluation=types.SimpleNamespace(random_rate=0.4), game=types.SimpleNamespace(bonus=2.0)
)
NAMES = tuple(registry.names("principal"))


def test_every_principal_has_one_role():
    roles = {name: members.role_of(name) for name in NAMES}
    assert set(roles.values()) == {"learned", "scripted", "reference"}
    for role in ("learned", "scripted", "reference"):
        assert members.names_of(role) == tuple(name for name in NAMES if roles[name] == role)
    assert members.names_of("learned", "reference", "scripted") == NAMES
    assert members.names_of() == ()
    assert members.role_of("nobody") == "scripted"


def test_those_of_the_paper_are_there_in_their_order():
    learned = ("mermaide", "maml_without_world_model", "world_model_without_meta", "reinforce")
    assert members.names_of("learned")[:4] == learned
    assert members.names_of("scripted")[:4] == ("never", "always", "random", "first_k")
    assert {"prescient", "all_knowing", "clairvoyant"} <= set(members.names_of("reference"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("never", [0.0]),
        ("always", [1.0]),
        ("random", [0.4]),
        ("first_k", range(7)),
        ("prescient", [-np.inf, *np.linspace(0, 2, 21), np.inf]),
    ],
)
def test_the_numbers_that_are_tried(name, expected):
    found = members.candidates_of(name, GAME, OPTIONS)
    np.testing.assert_allclose(found, list(expected), rtol=1e-6, atol=1e-6)
    assert found.ndim == 1


def test_a_principal_without_a_number_is_tried_once(monkeypatch):
    bare = registry.Member("principal", "bare", lambda game: None, "Bare", "does nothing")
    monkeypatch.setattr(registry, "get", lambda kind, name: bare)
    np.testing.assert_array_equal(members.candidates_of("bare", GAME, OPTIONS), jnp.zeros(1))


@pytest.mark.parametrize("name", [n for n in NAMES if members.role_of(n) == "scripted"])
def test_a_scripted_principal_is_made_for_a_game(name):
    principal = members.make_scripted(name, GAME)
    assert isinstance(principal, Principal) and not principal.privileged
    assert members.make_scripted(name, GAME) is principal
    with pytest.raises(ConfigError, match=r"pay_target: got None"):
        members.make_scripted(name, GAME._replace(pay_target=None))


def test_learned_principals_switch_parts_off_and_touch_nothing_else():
    from mermaide_jax.networks.world_model_policy import NetworkConfig
    from mermaide_jax.training import TrainingConfig

    network, training = NetworkConfig("arms", memory=True), TrainingConfig()
    made = {
        name: registry.get("principal", name).value.configure(network, training)
        for name in members.names_of("learned")
    }
    assert made["mermaide"] == (network, training)
    parts = {name: (n.world_model, t.is_meta) for name, (n, t) in made.items()}
    assert list(parts.values())[:4] == [(True, True), (False, True), (True, False), (False, False)]
    for own, schedule in list(made.values())[:4]:
        assert own.memory == schedule.is_meta
        assert own.world_model or schedule.adapt_policy
        assert (own.features, schedule.updates) == (network.features, training.updates)
