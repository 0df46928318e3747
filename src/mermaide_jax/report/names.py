"""Names as people read them, and the order in which principals and families are shown."""

from collections.abc import Iterable

__all__ = [
    "LEARNED_PRINCIPALS",
    "PRINCIPAL_LABELS",
    "RULE_LABELS",
    "SCRIPTED_PRINCIPALS",
    "coefficient_label",
    "in_order",
    "principal_label",
    "rule_label",
    "rules_and_shots",
]

PRINCIPAL_LABELS: dict[str, str] = {
    "mermaide": "MERMAIDE",
    "maml_without_world_model": "MAML, no world model",
    "world_model_without_meta": "World model, no meta",
    "reinforce": "REINFORCE",
    "never": "Never pay",
    "always": "Always pay",
    "random": "Pay at random",
    "first_k": "Pay the first k",
    "prescient": "Prescient (reads the agent; upper reference)",
    "all_knowing": "All-knowing (has the agent; upper reference)",
    "planner": "Planner (knows all draws; upper reference)",
}
"""Principal to label, in canonical order."""

LEARNED_PRINCIPALS: tuple[str, ...] = tuple(PRINCIPAL_LABELS)[:4]
SCRIPTED_PRINCIPALS: tuple[str, ...] = tuple(PRINCIPAL_LABELS)[4:]

RULE_LABELS: dict[str, str] = {
    "ucb": "UCB",
    "epsilon_greedy": "Epsilon-greedy",
    "best_response": "Best-response",
}
"""Agent rule to label, in canonical order."""

_COEFFICIENTS = {"ucb": "beta", "epsilon_greedy": "epsilon"}


def principal_label(name: str) -> str:
    """The principal's label; an unknown name is shown as it is."""
    return PRINCIPAL_LABELS.get(name, name)


def rule_label(name: str) -> str:
    """The agent rule's label; an unknown name is shown as it is."""
    return RULE_LABELS.get(name, name)


def coefficient_label(rule: str, coefficient: float | None) -> str:
    """Such as "beta = 0.27"; empty if the rule has no coefficient."""
    if coefficient is None or rule == "best_response":
        return ""
    return f"{_COEFFICIENTS.get(rule, 'coefficient')} = {coefficient:g}"


def in_order(names: Iterable[str], order: Iterable[str] = PRINCIPAL_LABELS) -> list[str]:
    """The distinct names, known ones first in canonical order, then the others as they came."""
    present = list(dict.fromkeys(names))
    known = [name for name in order if name in present]
    return known + [name for name in present if name not in known]


def rules_and_shots(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The distinct pairs of agent rule and K: rules in canonical order, K ascending."""
    present = set(pairs)
    rules = in_order((rule for rule, _ in sorted(present)), RULE_LABELS)
    return sorted(present, key=lambda pair: (rules.index(pair[0]), pair[1]))
