"""Ablations: a table of studies that differ from a base in one thing each.

Every entry is an ordinary study; `study` runs them and says how to read them.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mermaide_jax.errors import refuse
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.training.config import TrainingConfig

__all__ = ["BASE", "GROUPS", "VARIANTS", "Plan", "Variant", "as_played", "changed", "planned"]

BASE = "base"
"""Name of what every variant changes."""

GROUPS = {
    "meta-gradient": "Meta-gradient",
    "inner-steps": "Steps of the inner loop",
    "inner-rate": "Rate of the inner loop",
    "adapts": "What the inner loop moves",
    "zero-shot-weight": "Weight of 0-shot in the outer objective",
    "observation": "What is observed",
    "belief-gradient": "Policy's gradient into the world model",
    "architecture": "Networks",
    "memory": "Memory",
    "width": "Width",
    "cost": "Cost of an intervention",
    "bonus": "Bonus",
    "noise": "Noise of the rewards",
    "initial-pull": "First pulls of epsilon-greedy agents",
    "cost-on": "What is charged for",
}
"""Group to its title in the figure."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One entry of the table: the base with some fields changed."""

    group: str
    """One of `GROUPS`."""
    label: str
    """What it is called, once in its group."""
    changes: Mapping[str, Any]
    """Field of the `StudyConfig`, as ``part.name``, to its value."""
    against: str = BASE
    """What it is compared with: the base, or the label of an earlier entry of the group."""


def _levels(group: str, symbol: str, field: str, values: Iterable[float]) -> list[Variant]:
    return [Variant(group, f"{symbol} = {value:g}", {field: value}) for value in values]


_GRADIENTS = {
    "second order": "second_order",
    "first order": "first_order",
    "DiCE": "dice",
    "none": "none",
}
_POLICY_TOO = {"training.adapt_policy": True}
_SHARED = {"network.architecture": "arms"}
_OTHER = {"network.memory": False}  # which networks that do not share their weights cannot have
_GRU = {"network.architecture": "gru"} | _OTHER
_NAMED = _GRU | {"training.target_first": False}
_HIDDEN, _UNSEEN = {"game.observe_target": False}, {"game.observe_intervention": False}

VARIANTS: tuple[Variant, ...] = (
    *(
        Variant("meta-gradient", label + suffix, {"training.meta_gradient": kind} | more)
        for suffix, more in (("", {}), (", policy too", _POLICY_TOO))
        for label, kind in _GRADIENTS.items()
    ),
    *_levels("inner-steps", "steps", "training.inner_steps", (1, 3, 10)),
    *_levels("inner-rate", "rate", "training.inner_learning_rate", (7e-5, 7e-4, 5e-3)),
    *(
        Variant("adapts", label, {"training.adapt_policy": p, "training.adapt_world_model": w})
        for label, p, w in (
            ("world model", False, True),
            ("policy", True, False),
            ("both", True, True),
            ("nothing", False, False),
        )
    ),
    *_levels("zero-shot-weight", "weight", "training.zero_shot_weight", (0.0, 0.5, 0.9)),
    Variant("observation", "time too", {"game.observe_time": True}),
    Variant("observation", "GRU", _GRU),
    Variant("observation", "GRU, interventions hidden", _GRU | _UNSEEN, "GRU"),
    Variant("observation", "GRU, a* hidden but arm 0", _GRU | _HIDDEN, "GRU"),
    Variant("observation", "GRU, arms by name", _NAMED, "GRU"),
    Variant("observation", "GRU, arms by name, a* hidden", _NAMED | _HIDDEN, "GRU, arms by name"),
    *(
        Variant("belief-gradient", label, {"network.policy_gradient_to_world_model": passes})
        for label, passes in (("stopped", False), ("passes", True))
    ),
    *(
        Variant("architecture", label, changes)
        for label, changes in (
            ("shared over arms", _SHARED),
            ("GRU", _GRU),
            ("feed-forward", {"network.architecture": "mlp"} | _OTHER),
        )
    ),
    *(
        Variant("memory", label, {"network.memory": kept} | shared)
        for label, kept, shared in (("none", False, {}), ("of former episodes", True, _SHARED))
    ),
    *_levels("width", "units", "network.features", (8, 16, 32)),
    *_levels("cost", "c", "game.cost", (0.1, 0.25, 0.5, 0.75, 0.9)),
    *_levels("bonus", "delta", "game.bonus", (0.5, 1.0, 2.0)),
    *_levels("noise", "sigma", "game.noise", (0.0, 0.1, 0.25)),
    *(
        Variant("initial-pull", label, {"game.initial_pull": pull})
        for label, pull in (("every arm once", True), ("none, Q0 = 0", False))
    ),
    *(Variant("cost-on", name, {"game.cost_on": name}) for name in ("offer", "uptake")),
)
"""The table. Hidden targets and interventions need networks other than `arms`, hence the GRUs."""

Plan = dict[tuple[str, str], tuple[str, StudyConfig]]
"""Group and label of an entry to its directory and its study."""


def changed(config: StudyConfig, changes: Mapping[str, Any]) -> StudyConfig:
    """Changes some fields of the parts of a study.

    Args:
      config: the study.
      changes: ``part.name`` to the new value, such as ``{"game.cost": 0.5}``.

    Raises:
      ConfigError: there is no such field, or the config refuses the value.

    Example:
      >>> changed(StudyConfig(), {"game.cost": 0.5}).game.cost
      0.5
    """
    parts: dict[str, dict[str, Any]] = {}
    for field, value in changes.items():
        part, _, name = field.partition(".")
        known = dataclasses.asdict(config).get(part)
        if not isinstance(known, dict) or name not in known:
            refuse("changes", field, "part.name, a field of a part of the study")
        parts.setdefault(part, {})[name] = value
    # All fields of a part at once: some are refused but together.
    own = {part: dataclasses.replace(getattr(config, part), **new) for part, new in parts.items()}
    return dataclasses.replace(config, **own)


def as_played(config: StudyConfig) -> StudyConfig:
    """Takes out of a study how its principals learn and what they observe.

    Studies that are equal in this play the same game with the same agents (whose arms may be
    counted otherwise), so their scores are on the same scale.

    Example:
      >>> as_played(StudyConfig()) == as_played(changed(StudyConfig(), {"training.updates": 900}))
      True
    """
    observed = {"observe_target": True, "observe_intervention": True, "observe_time": False}
    return dataclasses.replace(
        config,
        game=dataclasses.replace(config.game, **observed),
        network=NetworkConfig(),
        training=TrainingConfig(),
    )


def planned(base: StudyConfig) -> Plan:
    """Plans the whole table around a base, which comes first; equal studies share one directory.

    Example:
      >>> plan = planned(StudyConfig())
      >>> plan["cost", "c = 0.1"][0], plan["cost", "c = 0.75"][0]
      ('cost/c_0.1', 'base')
    """
    places, plan = {base: BASE}, {(BASE, BASE): (BASE, base)}
    for entry in VARIANTS:
        config = changed(base, entry.changes)
        name = re.sub(r"[^a-z0-9.-]+", "_", entry.label.lower()).strip("_")
        place = places.setdefault(config, f"{entry.group}/{name}")
        plan[entry.group, entry.label] = (place, config)
    return plan
