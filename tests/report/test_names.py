"""Names as people read them, and the order in which principals and families are shown."""

import pytest

from mermaide_jax import registry
from mermaide_jax.principals.members import Learned
from mermaide_jax.report.names import (
    coefficient_label,
    families_and_shots,
    family_label,
    in_order,
    is_learned,
    is_scripted,
    learned_principals,
    principal_label,
)


@pytest.fixture
def guests(guest_registry):
    """A family and two principals of other people, for the time of a test."""
    softmax = {"label": "Softmax", "summary": "a guest", "parameters": (temperature,)}
    registry.register("family", "softmax", lambda num_arms: None, params=tuple, **softmax)
    registry.register("principal", "thrifty", lambda game: None, label="Thrifty", summary="a guest")
    learned = Learned(lambda network, training: (network, training))
    registry.register("principal", "pupil", learned, label="Pupil", summary="a guest")


temperature = registry.Parameter("temperature", (0.1, 1.0))


def test_known_names_come_first_in_canonical_order():
    assert in_order(["other", "never", "mermaide", "never"]) == ["mermaide", "never", "other"]
    everyone = registry.names("principal")
    assert in_order([*reversed(everyone), "other"]) == [*everyone, "other"]
    assert in_order(["crowd", "thompson", "ucb"], "family") == ["ucb", "thompson", "crowd"]
    assert in_order([]) == []


def test_families_are_in_canonical_order_whatever_their_names():
    pairs = [("epsilon_greedy", 1), ("other", 0), ("ucb", 1), ("epsilon_greedy", 0), ("ucb", 1)]
    expected = [("ucb", 1), ("epsilon_greedy", 0), ("epsilon_greedy", 1), ("other", 0)]
    assert families_and_shots(pairs) == expected


def test_labels_are_those_of_the_members_and_other_names_as_they_are():
    principals, families = registry.members("principal"), registry.members("family")
    for label, members in ((principal_label, principals), (family_label, families)):
        for member in members:
            assert label(member.name) == member.label != member.name
        assert label("stranger") == "stranger"
    assert (principal_label("mermaide"), family_label("ucb")) == ("MERMAIDE", "UCB")


@pytest.mark.parametrize(
    ("family", "coefficient", "label"),
    [
        ("ucb", 0.27, "beta = 0.27"),
        ("epsilon_greedy", 0.1, "epsilon = 0.1"),
        ("thompson", 0.5, "scale = 0.5"),
        ("best_response", 0.0, ""),
        ("ucb", None, ""),
        ("stranger", 0.5, "coefficient = 0.5"),
    ],
)
def test_coefficients_are_called_what_their_family_calls_them(family, coefficient, label):
    assert coefficient_label(family, coefficient) == label


def test_who_learns_and_who_is_known_not_to():
    """Of one that is not registered neither is known: it is drawn for every K."""
    learned = ("mermaide", "maml_without_world_model", "world_model_without_meta", "reinforce")
    assert learned_principals() == learned
    for name in registry.names("principal"):
        assert is_learned(name) == (name in learned) != is_scripted(name)
    assert not is_learned("stranger") and not is_scripted("stranger")


def test_members_of_other_people_are_named_like_all_others(guests):
    assert family_label("softmax") == "Softmax"
    assert coefficient_label("softmax", 0.1) == "temperature = 0.1"
    assert in_order(["thrifty", "softmax", "never"]) == ["never", "thrifty", "softmax"]
    assert is_scripted("thrifty") and is_learned("pupil")
    assert learned_principals()[-1] == "pupil"
    assert families_and_shots([("softmax", 0), ("stranger", 0), ("ucb", 0)]) == [
        ("ucb", 0), ("softmax", 0), ("stranger", 0)
    ]  # fmt: skip
