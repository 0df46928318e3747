"""The main study: train principals, adapt them to agents they never met, and compare them."""

from mermaide_jax.studies.mermaide.config import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
    principal_configs,
)

__all__ = [
    "AgentOptions",
    "EvaluationOptions",
    "GameOptions",
    "StudyConfig",
    "principal_configs",
]
