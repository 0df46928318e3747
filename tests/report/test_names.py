"""The order in which principals and families are shown."""

from mermaide_jax.report.names import families_and_shots, in_order


def test_known_names_come_first_in_canonical_order():
    assert in_order(["other", "never", "mermaide", "never"]) == ["mermaide", "never", "other"]


def test_rules_are_in_canonical_order_whatever_their_names():
    pairs = [("epsilon_greedy", 1), ("other", 0), ("ucb", 1), ("epsilon_greedy", 0), ("ucb", 1)]
    expected = [("ucb", 1), ("epsilon_greedy", 0), ("epsilon_greedy", 1), ("other", 0)]
    assert families_and_shots(pairs) == expected
