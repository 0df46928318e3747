"""Meta-training of a principal: one update as a pure function, and the loop around it."""

from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.loop import (
    Progress,
    TrainingDiverged,
    over_streams,
    train,
)
from mermaide_jax.training.objective import (
    Episodes,
    inner_loss,
    make_adapt,
    outer_loss,
    to_episodes,
)
from mermaide_jax.training.update import Metrics, TrainState, Update, make_update

__all__ = [
    "Episodes",
    "Metrics",
    "Progress",
    "TrainState",
    "TrainingConfig",
    "TrainingDiverged",
    "Update",
    "inner_loss",
    "make_adapt",
    "make_update",
    "outer_loss",
    "over_streams",
    "to_episodes",
    "train",
]
