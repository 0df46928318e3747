"""What is played: the bandit intervention game, its tasks, and rollouts."""

from mermaide_jax.base import Game, StepInfo, Task, Trajectory
from mermaide_jax.games.intervention import (
    GameConfig,
    GameState,
    decode_intervention,
    encode_observation,
    make_intervention_game,
    num_interventions,
    observed_target,
    respond,
)
from mermaide_jax.games.rollout import collect, rollout
from mermaide_jax.games.stackelberg import (
    StackelbergConfig,
    draw_stackelberg_task,
    make_stackelberg_game,
)
from mermaide_jax.games.tasks import (
    COEFFICIENTS,
    SPLITS,
    Economics,
    draw_task,
    finite_tasks,
    make_task,
    redraw_rewards,
    relabel_arms,
    split_coefficients,
    target_first,
)

__all__ = [
    "COEFFICIENTS",
    "SPLITS",
    "Economics",
    "Game",
    "GameConfig",
    "GameState",
    "StackelbergConfig",
    "StepInfo",
    "Task",
    "Trajectory",
    "collect",
    "decode_intervention",
    "draw_stackelberg_task",
    "draw_task",
    "encode_observation",
    "finite_tasks",
    "make_intervention_game",
    "make_stackelberg_game",
    "make_task",
    "num_interventions",
    "observed_target",
    "redraw_rewards",
    "relabel_arms",
    "respond",
    "rollout",
    "split_coefficients",
    "target_first",
]
