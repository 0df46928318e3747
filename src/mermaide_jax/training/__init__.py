"""Training: streams, chunks, checkpoints and resuming for any update, and MERMAIDE's own."""

from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.descent import DescentState, descend
from mermaide_jax.training.loop import (
    Phase,
    Progress,
    Trainer,
    TrainingDiverged,
    TrainState,
    train,
)
from mermaide_jax.training.objective import (
    Episodes,
    inner_loss,
    make_adapt,
    outer_loss,
    to_episodes,
)
from mermaide_jax.training.streams import over_streams
from mermaide_jax.training.update import (
    Metrics,
    PrincipalState,
    make_trainer,
    select_tasks,
    warm_up_phases,
)

__all__ = [
    "DescentState",
    "Episodes",
    "Metrics",
    "Phase",
    "PrincipalState",
    "Progress",
    "TrainState",
    "Trainer",
    "TrainingConfig",
    "TrainingDiverged",
    "descend",
    "inner_loss",
    "make_adapt",
    "make_trainer",
    "outer_loss",
    "over_streams",
    "select_tasks",
    "to_episodes",
    "train",
    "warm_up_phases",
]
