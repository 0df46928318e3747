"""What a study is: one frozen, nested config that the command line fills in."""

import dataclasses

from mermaide_jax import errors
from mermaide_jax.agents import RULES
from mermaide_jax.games import SPLITS, Economics, GameConfig, split_coefficients
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.training.config import TrainingConfig

LEARNED: tuple[str, ...] = (
    "mermaide",
    "maml_without_world_model",
    "world_model_without_meta",
    "reinforce",
)
"""Learned principals: the same code with parts switched off."""

SCRIPTED: tuple[str, ...] = (
    "never",
    "always",
    "random",
    "first_k",
    "prescient",
    "all_knowing",
    "clairvoyant",
)
"""Principals that learn nothing. Three are upper references: prescient follows a rule but reads the
agent's mind and coming action, all_knowing plans with the true agent but not its coming draws,
planner searches with the very draws of the episode."""

_MAX_SEED = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class GameOptions(GameConfig):
    """The game: its static side, and the terms that all agents share."""

    cost: float = 0.75
    """Cost c of one full intervention (published: 0.75)."""
    bonus: float = 1.0
    """What one full intervention adds to the agent's reward, delta."""
    noise: float = 0.1
    """Standard deviation sigma of the reward noise."""
    reward_low: float = 0.0
    """Least base mean reward."""
    reward_high: float = 1.0
    """Greatest base mean reward."""
    initial_pull: bool = True
    """Whether epsilon-greedy agents pull every arm once before anything else."""

    def __post_init__(self) -> None:
        super().__post_init__()
        errors.check_non_negative("cost", self.cost)
        errors.check_non_negative("bonus", self.bonus)
        errors.check_non_negative("noise", self.noise)
        errors.check_in_range("reward_low", self.reward_low, -1e6, 1e6)
        errors.check_in_range("reward_high", self.reward_high, self.reward_low, 1e6)

    @property
    def families(self) -> GameConfig:
        """The static side alone."""
        names = [field.name for field in dataclasses.fields(GameConfig)]
        return GameConfig(**{name: getattr(self, name) for name in names})

    @property
    def economics(self) -> Economics:
        """The terms that all agents share."""
        return Economics(self.cost, self.bonus, self.noise, self.reward_low, self.reward_high)


@dataclasses.dataclass(frozen=True)
class AgentOptions:
    """The agents: who is trained on and who is tested on."""

    families: tuple[str, ...] = ("ucb", "epsilon_greedy")
    """Learning rules: ucb, epsilon_greedy, best_response."""
    mixed: bool = False
    """Train one principal on all families together, in place of one for each family."""
    split: str = "interpolation"
    """Coefficients met in training and in the test: interpolation (published coefficients 1, 3, 5
    in training, 2 and 4 in the test), same, or extrapolation (2, 3, 4 in training, 1 and 5 in the
    test)."""
    train: int = 15
    """Training agents of each family (published: 15)."""
    test: int = 10
    """Test agents of each family (published: 10)."""
    seed: int = 0
    """Seed that fixes both sets of agents."""

    def __post_init__(self) -> None:
        errors.check_at_least("number of families", len(self.families), 1)
        errors.check_distinct("families", self.families)
        for family in self.families:
            errors.check_choice("families", family, RULES)
            for role in ("train", "test"):
                number = len(split_coefficients(family, self.split, role))
                errors.check_multiple(role, getattr(self, role), number, "the coefficients used")
        errors.check_choice("split", self.split, SPLITS)
        _check_seed("seed", self.seed)

    @property
    def populations(self) -> dict[str, tuple[str, ...]]:
        """What one principal is trained on: group name to families."""
        if self.mixed and len(self.families) > 1:
            return {"mixed": self.families}
        return {family: (family,) for family in self.families}


@dataclasses.dataclass(frozen=True)
class BaselineEntropy:
    """First entropy bonus of a baseline that learns best with another one; None: MERMAIDE's."""

    maml_without_world_model: float | None = None
    """In place of training.entropy_start, for MAML without a world model."""
    world_model_without_meta: float | None = None
    """The same for the world model without meta-learning."""
    reinforce: float | None = None
    """The same for REINFORCE."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if (bonus := getattr(self, field.name)) is not None:
                errors.check_non_negative(field.name, bonus)


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """The test (Algorithm 2)."""

    shots: tuple[int, ...] = (0, 1)
    """Numbers K of episodes to adapt on before the test (published: 0 and 1)."""
    episodes: int = 64
    """Fresh episodes with each agent after adaptation."""
    random_rate: float = 0.5
    """Probability with which the random principal pays."""
    all_knowing_rollouts: int = 32
    """Episodes that the all-knowing planner imagines for each choice; its time grows with it."""
    all_knowing_tuning: int = 64
    """Episodes with each agent for each of its 246 rules, on which it chooses among them."""
    all_knowing_episodes: int = 8
    """Episodes that it plays with each agent, the first of those that the others play."""
    clairvoyant_beam: int = 16
    """Width of the beam of the planner that knows all draws; its time grows with it."""

    def __post_init__(self) -> None:
        errors.check_counts("shots", self.shots)
        errors.check_at_least("episodes", self.episodes, 1)
        errors.check_in_range("random_rate", self.random_rate, 0.0, 1.0)
        errors.check_at_least("all_knowing_rollouts", self.all_knowing_rollouts, 2)
        errors.check_at_least("all_knowing_tuning", self.all_knowing_tuning, 1)
        errors.check_at_least("all_knowing_episodes", self.all_knowing_episodes, 1)
        errors.check_at_least("clairvoyant_beam", self.clairvoyant_beam, 1)


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """One study: train, adapt and compare principals on agents they have never met."""

    game: GameOptions = dataclasses.field(default_factory=GameOptions)
    """The game."""
    agents: AgentOptions = dataclasses.field(default_factory=AgentOptions)
    """Who is steered."""
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    """Networks of the learned principals."""
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    """Training of the learned principals."""
    baseline_entropy: BaselineEntropy = dataclasses.field(default_factory=BaselineEntropy)
    """What training of the baselines has otherwise."""
    evaluation: EvaluationOptions = dataclasses.field(default_factory=EvaluationOptions)
    """The test."""
    principals: tuple[str, ...] = LEARNED + SCRIPTED
    """Principals to compare; see `mermaide list`."""
    seeds: int = 2
    """Independent training runs of each learned principal."""
    seed: int = 0
    """Seed of the first run; the others follow from it."""

    def __post_init__(self) -> None:
        errors.check_at_least("number of principals", len(self.principals), 1)
        for name in self.principals:
            errors.check_choice("principals", name, LEARNED + SCRIPTED)
        errors.check_distinct("principals", self.principals)
        blind = self.game.kind == "arm" and not self.game.observe_target
        scripted = [name for name in self.principals if name in SCRIPTED]
        if blind and scripted:
            expected = "learned ones alone: scripted ones must observe the target to pay its arm"
            errors.refuse("principals", scripted[0], expected)
        if self.network.architecture == "arms":
            for name in ("observe_target", "observe_intervention"):
                if not getattr(self.game, name):
                    expected = "True: networks over arms ('network.architecture') read it"
                    errors.refuse(f"game.{name}", False, expected)
        if not self.network.world_model:
            expected = "True: MERMAIDE without one is the principal maml_without_world_model"
            errors.refuse("network.world_model", False, expected)
        if self.training.credit == "hits":
            known = "'returns' where payments are not all of the target, or are seen beforehand"
            if self.game.payment_kind != "target" or "best_response" in self.agents.families:
                errors.refuse("training.credit", "hits", known)
        errors.check_at_least("seeds", self.seeds, 1)
        _check_seed("seed", self.seed)
        if self.seed + self.seeds > _MAX_SEED + 1:
            errors.refuse("seeds", self.seeds, f"at most {_MAX_SEED + 1 - self.seed} from seed on")


def _check_seed(name: str, seed: int) -> None:
    """Refuses seeds beyond 32 bits, which JAX would cut short."""
    errors.check_at_least(name, seed, 0)
    errors.check_in_range(name, seed, 0, _MAX_SEED)


def principal_configs(name: str, config: StudyConfig) -> tuple[NetworkConfig, TrainingConfig]:
    """The parts that learned principal ``name`` uses, of the same code and episode budget.

    Baselines may have a first entropy bonus of their own (`BaselineEntropy`).

    Raises:
      ConfigError: ``name`` is not a learned principal.
    """
    errors.check_choice("principal", name, LEARNED)
    network, training = config.network, config.training
    if name in ("maml_without_world_model", "reinforce"):
        network = dataclasses.replace(network, world_model=False)
        # Its policy is all it has to adapt.
        training = dataclasses.replace(training, adapt_policy=True)
    if name in ("world_model_without_meta", "reinforce"):
        training = dataclasses.replace(training, meta_gradient="none")
    if not training.is_meta:
        # What is never written in training is never learned to be read.
        network = dataclasses.replace(network, memory=False)
    bonus = getattr(config.baseline_entropy, name, None)
    if bonus is not None:
        training = dataclasses.replace(training, entropy_start=bonus)
    return network, training
