"""Names as people read them, and the order in which principals and families are shown."""

from collections.abc import Iterable

__all__ = [
    "FAMILY_LABELS",
    "LEARNED_PRINCIPALS",
    "PRINCIPAL_LABELS",
    "SCRIPTED_PRINCIPALS",
    "coefficient_label",
    "families_and_shots",
    "family_label",
    "in_order",
    "principal_label",
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
    "clairvoyant": "Planner (knows all draws; upper reference)",
}
"""Principal to label, in canonical order."""

LEARNED_PRINCIPALS: tuple[str, ...] = tuple(PRINCIPAL_LABELS)[:4]
SCRIPTED_PRINCIPALS: tuple[str, ...] = tuple(PRINCIPAL_LABELS)[4:]

FAMILY_LABELS: dict[str, str] = {
    "ucb": "UCB",
    "epsilon_greedy": "Epsilon-greedy",
    "best_response": "Best-response",
}
"""Agent rule to label, in canonical order."""

_COEFFICIENTS = {"ucb": "beta", "epsilon_greedy": "epsilon"}


def principal_label(name: str) -> str:
    """The principal's label; an unknown name is shown as it is."""
    return PRINCIPAL_LABELS.get(name, name)


def family_label(name: str) -> str:
    """The agent rule's label; an unknown name is shown as it is."""
    return FAMILY_LABELS.get(name, name)


def coefficient_label(family: str, coefficient: float | None) -> str:
    """Such as "beta = 0.27"; empty if the rule has no coefficient."""
    if coefficient is None or family == "best_response":
        return ""
    return f"{_COEFFICIENTS.get(family, 'coefficient')} = {coefficient:g}"


def in_order(names: Iterable[str], order: Iterable[str] = PRINCIPAL_LABELS) -> list[str]:
    """The distinct names, known ones first in canonical order, then the others as they came."""
    present = list(dict.fromkeys(names))
    known = [name for name in order if name in present]
    return known + [name for name in present if name not in known]


def families_and_shots(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The distinct pairs of agent rule and K: rules in canonical order, K ascending."""
    present = set(pairs)
    families = in_order((family for family, _ in sorted(present)), FAMILY_LABELS)
    return sorted(present, key=lambda pair: (families.index(pair[0]), pair[1]))
