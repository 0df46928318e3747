"""What `mermaide list` says, from the registry."""

from mermaide_jax import registry

_SECTIONS: dict[registry.Kind, str] = {
    "family": "Agents (--agents.families)",
    "principal": "Principals (--principals)",
    "game": "Games (--game.name)",
    "environment": "Environments (mermaide_jax.registry)",
    "network": "Networks (--network.architecture)",
    "meta_gradient": "Meta-gradients (--training.meta-gradient)",
    "preset": "Presets (--preset)",
    "study": "Studies (mermaide run NAME)",
}
"""Kind to heading, with the option that takes the names."""


def text() -> str:
    """Lists all members by kind, a line each.

    Example:
      >>> text().splitlines()[0]
      'Agents (--agents.families)'
    """
    sections = [(title, registry.members(kind)) for kind, title in _SECTIONS.items()]
    return "\n\n".join(_block(title, members) for title, members in sections if members)


def _block(title: str, members: list[registry.Member]) -> str:
    width = max((len(member.name) for member in members), default=0)
    return "\n".join([title, *(f"  {m.name:<{width}}  {m.summary}" for m in members)])
