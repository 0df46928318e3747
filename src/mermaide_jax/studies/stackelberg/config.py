"""How the principals of the Stackelberg experiment are trained and tested: one frozen config."""

import dataclasses

from mermaide_jax import errors
from mermaide_jax.games.stackelberg import StackelbergConfig


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """The static side of training and testing in one game; equal configs share one program."""

    game: StackelbergConfig = dataclasses.field(default_factory=StackelbergConfig)
    """The game."""
    features: int = 64
    """Hidden units of the principal's one layer."""
    updates: int = 1500
    """Outer updates, for the meta-learned and for the pre-trained principal alike."""
    agents: int = 32
    """Agents drawn afresh for each update."""
    episodes: int = 2
    """Episodes with each agent in each update."""
    queries: int = 6
    """Offers after each episode, which tell how good the principal has become."""
    most_interactions: int = 100_000
    """Offers are asked for after up to so many interactions; how many is drawn log-uniformly."""
    inner_steps: int = 1
    """SGD steps of the inner loop, on the interactions played one by one."""
    inner_learning_rate: float = 1e-4
    """Rate of the inner step before training; it is learned along."""
    outer_learning_rate: float = 5e-3
    """Rate of the outer Adam at the first update; it falls linearly to a hundredth."""
    entropy: float = 0.05
    """Weight of the entropy bonus at the first update: a policy that narrows too soon gives up the
    agents that are dear."""
    before_weight: float = 0.3
    """Share of the outer objective that is earned in the episode itself, before adaptation."""
    credit: float = 0.0
    """Discount of later rewards in the episode: what an offer earns by what it teaches. Offers
    teach nothing where the principal reads rewards only."""

    def __post_init__(self) -> None:
        counts = ("features", "updates", "agents", "queries", "most_interactions", "inner_steps")
        for name in counts:
            errors.check_at_least(name, getattr(self, name), 1)
        errors.check_at_least("episodes", self.episodes, 2)
        errors.check_at_least("queries", self.queries, 2)
        errors.check_positive("inner_learning_rate", self.inner_learning_rate)
        errors.check_positive("outer_learning_rate", self.outer_learning_rate)
        errors.check_non_negative("entropy", self.entropy)
        errors.check_in_range("before_weight", self.before_weight, 0.0, 1.0)
        errors.check_in_range("credit", self.credit, 0.0, 1.0)
