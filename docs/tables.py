"""Writes the lists of members in ``docs/reference/members.md`` from the registry.

    python docs/tables.py

What stands between a line ``<!-- members: KIND -->`` and ``<!-- /members -->`` is replaced; a test
holds the page to it.
"""

import re
from pathlib import Path
from typing import cast

from mermaide_jax import registry

PAGE = Path(__file__).resolve().parent / "reference" / "members.md"
_BLOCK = re.compile(r"(<!-- members: (\w+) -->\n).*?(<!-- /members -->)", re.DOTALL)


def updated(text: str) -> str:
    """The page with the tables of now."""
    renew = lambda found: f"{found[1]}\n{table(cast(registry.Kind, found[2]))}\n{found[3]}"  # noqa: E731
    return _BLOCK.sub(renew, text)


def table(kind: registry.Kind) -> str:
    """The members of one kind in Markdown, a line each."""
    members = registry.members(kind)
    numbered = any(member.parameters for member in members)
    heads = ["name", "label", "what it is", *(["its number"] if numbered else [])]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for member in members:
        cells = [f"`{member.name}`", member.label, member.summary]
        cells += [", ".join(map(_number, member.parameters))] if numbered else []
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(parameter: registry.Parameter) -> str:
    """A parameter and the values that studies give it."""
    if callable(parameter.grid):
        return f"`{parameter.name}`, by the game and the options"
    return f"`{parameter.name}`: {', '.join(f'{value:g}' for value in parameter.grid)}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
