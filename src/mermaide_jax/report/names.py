"""Names as people read them, and the order in which principals and families are shown.

All come from `mermaide_jax.registry`; a name that is not registered is shown as it is, after the
others.
"""

from collections.abc import Iterable

from mermaide_jax import registry
from mermaide_jax.principals.members import names_of, role_of

__all__ = [
    "coefficient_label",
    "families_and_shots",
    "family_label",
    "in_order",
    "is_learned",
    "is_scripted",
    "learned_principals",
    "principal_label",
]


def principal_label(name: str) -> str:
    """Gives the principal's label; an unknown name is shown as it is.

    Example:
      >>> principal_label("mermaide"), principal_label("unheard_of")
      ('MERMAIDE', 'unheard_of')
    """
    return registry.label("principal", name)


def family_label(name: str) -> str:
    """Gives the family's label; an unknown name is shown as it is.

    Example:
      >>> family_label("ucb")
      'UCB'
    """
    return registry.label("family", name)


def is_learned(name: str) -> bool:
    """Tells whether a principal is trained; one that is not registered is not.

    Example:
      >>> is_learned("mermaide"), is_learned("always")
      (True, False)
    """
    return role_of(name) == "learned"


def is_scripted(name: str) -> bool:
    """Tells whether a principal is known not to adapt, so that its scores are the same for every K.

    Example:
      >>> is_scripted("always"), is_scripted("unheard_of")
      (True, False)
    """
    known = [member.name for member in registry.members("principal")]
    return name in known and not is_learned(name)


def learned_principals() -> tuple[str, ...]:
    """Lists the principals that are trained, in canonical order.

    Example:
      >>> learned_principals()[0]
      'mermaide'
    """
    return names_of("learned")


def coefficient_label(family: str, coefficient: float | None) -> str:
    """Writes such as "beta = 0.27"; empty if the family has no coefficient.

    Example:
      >>> coefficient_label("ucb", 0.27), coefficient_label("best_response", 0.0)
      ('beta = 0.27', '')
    """
    member = next((m for m in registry.members("family") if m.name == family), None)
    if coefficient is None or (member is not None and not member.parameters):
        return ""
    name = member.parameters[0].name if member is not None else "coefficient"
    return f"{name} = {coefficient:g}"


def in_order(names: Iterable[str], kind: registry.Kind = "principal") -> list[str]:
    """Sorts distinct names: registered ones in canonical order, then the others as they came.

    Args:
      names: of members.
      kind: what they name.

    Example:
      >>> in_order(["mine", "never", "mermaide", "never"])
      ['mermaide', 'never', 'mine']
    """
    present = list(dict.fromkeys(names))
    known = [name for name in registry.names(kind) if name in present]
    return known + [name for name in present if name not in known]


def families_and_shots(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Sorts the distinct pairs of family and K: families in canonical order, K ascending.

    Example:
      >>> families_and_shots([("epsilon_greedy", 0), ("ucb", 1), ("ucb", 0)])
      [('ucb', 0), ('ucb', 1), ('epsilon_greedy', 0)]
    """
    present = set(pairs)
    families = in_order((family for family, _ in sorted(present)), "family")
    return sorted(present, key=lambda pair: (families.index(pair[0]), pair[1]))
