"""Has the pages show the examples of docstrings as code, wherever in a docstring they stand.

Without it what follows ``>>>`` is read as Markdown, and ``x["a"]["b"]`` as a link. An extension of
griffe, which mkdocstrings reads docstrings by; named in ``mkdocs.yml``.
"""

from typing import Any

import griffe


def fence(text: str) -> str:
    """Puts each example of a docstring, from ``>>>`` to a blank line, between fences."""
    lines: list[str] = []
    indent: str | None = None
    for line in [*text.splitlines(), ""]:
        if indent is None and line.lstrip().startswith(">>> "):
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}```pycon")
        elif indent is not None and not line.strip():
            lines.append(f"{indent}```")
            indent = None
        lines.append(line)
    return "\n".join(lines[:-1])


class FenceExamples(griffe.Extension):
    """Fences the examples of every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called for everything that is read."""
        if obj.docstring is not None:
            obj.docstring.value = fence(obj.docstring.value)
