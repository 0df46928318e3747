"""The main job: train principals, adapt them to agents they never met, and compare them."""

from mermaide_jax.studies.mermaide.config import (
    LEARNED,
    SCRIPTED,
    AgentOptions,
    BaselineEntropy,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
    principal_configs,
)
from mermaide_jax.studies.mermaide.presets import DESCRIPTIONS, PRESETS

__all__ = [
    "DESCRIPTIONS",
    "LEARNED",
    "PRESETS",
    "SCRIPTED",
    "AgentOptions",
    "BaselineEntropy",
    "EvaluationOptions",
    "GameOptions",
    "StudyConfig",
    "principal_configs",
]
