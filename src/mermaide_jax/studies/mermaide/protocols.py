"""What tells the protocol of one study from that of another: its name in tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from mermaide_jax.errors import refuse
from mermaide_jax.principals.members import names_of
from mermaide_jax.results.results import Results
from mermaide_jax.results.schema import to_plain
from mermaide_jax.studies.mermaide.config import StudyConfig

__all__ = ["FIRST", "name_protocols", "protocol_name"]

FIRST = "base"
"""Name of the first study, which the others differ from."""
_OWN_ENTROPY = "baseline_entropy"
_PARTS = ("game", "agents", "network", "training", _OWN_ENTROPY)
"""What makes a protocol."""
_UNNAMED = ("agents.families", "network.recurrence", "training.agents_per_block")
"""What was run apart, or changes nothing but speed."""
_SCHEDULE = ("training.entropy_start", "training.entropy_end", "training.entropy_decay")


def name_protocols(studies: Sequence[Results]) -> dict[str, Results]:
    """Names each study by what its protocol has that the first one's has not.

    Raises:
      ConfigError: two studies of the same protocol.

    Example:
      >>> plain = to_plain(StudyConfig())
      >>> longer = plain | {"game": plain["game"] | {"horizon": 200}}
      >>> study = lambda config: Results(config, {}, "", 0.0, "", [], [], [], "")
      >>> list(name_protocols([study(plain), study(longer)]))
      ['base', 'horizon 200']
    """
    names = [protocol_name(study.config, studies[0].config) for study in studies]
    for name in names:
        if names.count(name) > 1:
            refuse("results", name, "each protocol once")
    return dict(zip(names, studies, strict=True))


def protocol_name(config: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """Says what a study has that the first has not, such as ``"split same"``.

    Args:
      config: of the study, as in `Results.config`.
      base: of the first.

    >>> plain = to_plain(StudyConfig())
    >>> protocol_name(plain | {"game": plain["game"] | {"horizon": 200}}, plain)
    'horizon 200'
    """
    # Records of an earlier release lack what it did not have: it is as by default. But baselines
    # had bonuses of their own there too, in runs of their own: these are compared if both tell.
    default = to_plain(StudyConfig())
    both = _OWN_ENTROPY in config and _OWN_ENTROPY in base
    own, other = (_protocol(default) | _protocol(one) for one in (config, base))
    different = [key for key in own if own[key] != other.get(key)]
    if not both:
        different = [key for key in different if not key.startswith(_OWN_ENTROPY)]
    changed = [_phrase(key, own[key]) for key in different if key not in _SCHEDULE]
    if not set(different).isdisjoint(_SCHEDULE):
        start, end, decay = (own[key] for key in _SCHEDULE)
        shape = {1.0: "linearly", 2.0: "by the square"}.get(decay, f"by the power {decay:g}")
        until = f" to {end:g}" if end else ""
        changed.append(f"entropy {start:g}{until} {shape}")
    return ", ".join(changed).replace("mixed True", "mixed").replace("_", " ") or FIRST


def _phrase(key: str, value: Any) -> str:
    """A field and its value; whose entropy it is, if a baseline's."""
    part, _, name = key.rpartition(".")
    return f"entropy of {name} {value}" if part == _OWN_ENTROPY else f"{name} {value}"


def _protocol(config: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The fields that make a protocol, ``part.name`` to value."""
    found = {}
    for key, value in config.items():
        path = where + key
        if path == _OWN_ENTROPY:  # pairs of name and bonus
            value = dict.fromkeys(names_of("learned")) | dict(value)
        if isinstance(value, Mapping):
            found |= _protocol(value, path + ".")
        elif path.startswith(_PARTS) and path not in _UNNAMED:
            found[path] = value
    return found
