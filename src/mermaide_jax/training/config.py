"""How a principal is trained: one frozen config for MERMAIDE and for its learned baselines."""

import dataclasses
from typing import Literal, get_args

from mermaide_jax import errors, registry
from mermaide_jax.meta import MetaGradient

Credit = Literal["returns", "hits"]
Variation = Literal["none", "relabel", "endless"]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Static side of training (Algorithm 1 of MERMAIDE)."""

    updates: int = 800
    """Outer updates, those that train the world model alone included."""
    world_model_updates: int = 100
    """First updates that train the world model alone, under random interventions; a principal
    without a world model trains its policy in them."""
    tasks_per_update: int = 15
    """Agents in each update."""
    episodes_per_task: int = 16
    """Episodes played with each agent in each update, the same for every learned principal."""
    meta_gradient: str = "second_order"
    """How the outer gradient passes through adaptation; see `mermaide list`."""
    adaptation_episodes: int = 1
    """Episodes K that each inner loop adapts on in training."""
    inner_steps: int = 1
    """SGD steps of the inner loop."""
    inner_learning_rate: float = 7e-4
    """Learning rate of the inner SGD (published: 7e-4)."""
    adapt_world_model: bool = True
    """Whether the inner loop moves the world model."""
    adapt_policy: bool = True
    """Whether the inner loop moves the policy."""
    zero_shot_weight: float = 0.5
    """Share of the outer objective that is earned before adaptation."""
    outer_learning_rate: float = 1e-3
    """Learning rate of the outer Adam (published: 1e-3)."""
    world_model_learning_rate: float | None = None
    """Learning rate of the outer Adam for the world model; None: the same."""
    final_learning_rate: float = 1.0
    """Share of the outer learning rates that is left at the last update (linear decay)."""
    max_gradient_norm: float = 1.0
    """Each network's outer gradient is scaled down to this norm."""
    credit: Credit = "returns"
    """What the outer gradient credits an intervention with: all that follows (returns), or what it
    can have changed (hits), for payments of the target to agents that move before they see them."""
    entropy_start: float = 0.25
    """Entropy bonus of the policy at its first update, for advantages of unit variance."""
    entropy_end: float = 0.0
    """Entropy bonus of the policy at its last update."""
    entropy_decay: float = 1.0
    """Power of the share of training that is left, by which the bonus falls from one to the other
    (1: linearly; above it, sooner)."""
    variation: Variation = "relabel"
    """What is redrawn of the training agents in each update: nothing (none), the names of their
    arms (relabel), or their rewards and targets (endless)."""

    target_first: bool = True
    """Whether the principal counts arms from the target (in training and in the test), so that the
    target is arm 0 in every task."""

    agents_per_block: int | None = None
    """Agents whose activations are held in memory at a time; it divides tasks_per_update. Blocks
    bound the memory of an update and take the inner gradients twice. None: all agents."""

    def __post_init__(self) -> None:
        errors.check_at_least("updates", self.updates, 1)
        errors.check_in_range("world_model_updates", self.world_model_updates, 0, self.updates)
        errors.check_at_least("tasks_per_update", self.tasks_per_update, 1)
        if self.agents_per_block is not None:
            errors.check_at_least("agents_per_block", self.agents_per_block, 1)
            if self.tasks_per_update % self.agents_per_block:
                expected = f"a divisor of tasks_per_update, {self.tasks_per_update}"
                errors.refuse("agents_per_block", self.agents_per_block, expected)
        registry.get("meta_gradient", self.meta_gradient)
        errors.check_at_least("adaptation_episodes", self.adaptation_episodes, 1)
        errors.check_at_least("inner_steps", self.inner_steps, 1)
        errors.check_non_negative("inner_learning_rate", self.inner_learning_rate)
        errors.check_in_range("zero_shot_weight", self.zero_shot_weight, 0.0, 1.0)
        errors.check_positive("outer_learning_rate", self.outer_learning_rate)
        if self.world_model_learning_rate is not None:
            errors.check_positive("world_model_learning_rate", self.world_model_learning_rate)
        errors.check_in_range("final_learning_rate", self.final_learning_rate, 0.0, 1.0)
        errors.check_positive("max_gradient_norm", self.max_gradient_norm)
        errors.check_non_negative("entropy_start", self.entropy_start)
        errors.check_non_negative("entropy_end", self.entropy_end)
        errors.check_positive("entropy_decay", self.entropy_decay)
        errors.check_choice("credit", self.credit, get_args(Credit))
        errors.check_choice("variation", self.variation, get_args(Variation))
        least = 1 if not self.is_meta else self.adaptation_episodes + 1
        errors.check_at_least("episodes_per_task", self.episodes_per_task, least)

    @property
    def is_meta(self) -> bool:
        """Whether there is an inner loop in training."""
        return self.kind.in_training

    @property
    def kind(self) -> MetaGradient:
        """The registered `meta.MetaGradient`."""
        return registry.get("meta_gradient", self.meta_gradient).value

    @property
    def episodes_before(self) -> int:
        """Episodes of each agent that are played before adaptation."""
        if not self.is_meta:
            return self.episodes_per_task
        if self.zero_shot_weight == 0.0:
            return self.adaptation_episodes
        return max(self.adaptation_episodes, self.episodes_per_task // 2)

    @property
    def episodes_after(self) -> int:
        """Episodes of each agent that are played after adaptation."""
        return self.episodes_per_task - self.episodes_before
