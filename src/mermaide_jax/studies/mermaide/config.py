"""What a study is: one frozen, nested config that the command line fills in."""

import dataclasses

from mermaide_jax import errors, registry
from mermaide_jax.games import SPLITS, Economics, GameConfig, split_coefficients
from mermaide_jax.networks import NetworkConfig
from mermaide_jax.principals.members import names_of, role_of
from mermaide_jax.training.config import TrainingConfig

_MAX_SEED = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class GameOptions(GameConfig):
    """The game: its static side, and the terms that all agents share."""

    name: str = "intervention"
    """Which game is played; see `mermaide list`."""
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
        member = registry.get("game", self.name, "name")
        if member.traits.get("config") is not GameConfig:
            errors.refuse("name", self.name, "a game of interventions on a bandit (its GameConfig)")
        errors.check_non_negative("cost", self.cost)
        errors.check_non_negative("bonus", self.bonus)
        errors.check_non_negative("noise", self.noise)
        errors.check_in_range("reward_low", self.reward_low, -1e6, 1e6)
        errors.check_in_range("reward_high", self.reward_high, self.reward_low, 1e6)

    @property
    def static(self) -> GameConfig:
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
    """Families of agents; see `mermaide list`."""
    mixed: bool = False
    """Train one principal on all families together, in place of one for each family."""
    split: str = "interpolation"
    """Coefficients met in training and in the test: interpolation (of five, 1, 3, 5 in training, 2
    and 4 in the test), same, or extrapolation (2, 3, 4 in training, 1 and 5 in the test)."""
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
            registry.get("family", family, "families")
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
    baseline_entropy: tuple[tuple[str, float], ...] = ()
    """First entropy bonus of learned principals that learn best with another one than
    training.entropy_start: name and bonus, one pair after the other."""
    evaluation: EvaluationOptions = dataclasses.field(default_factory=EvaluationOptions)
    """The test."""
    principals: tuple[str, ...] = dataclasses.field(
        default_factory=lambda: names_of("learned", "scripted", "reference")
    )
    """Principals to compare; see `mermaide list`."""
    seeds: int = 2
    """Independent training runs of each learned principal."""
    seed: int = 0
    """Seed of the first run; the others follow from it."""

    @property
    def steps_per_update(self) -> int:
        """Environment steps in one update of all training runs together."""
        runs = self.seeds * len(self.agents.populations)
        episodes = self.training.tasks_per_update * self.training.episodes_per_task
        return episodes * self.game.horizon * runs

    def __post_init__(self) -> None:
        errors.check_at_least("number of principals", len(self.principals), 1)
        for name in self.principals:
            registry.get("principal", name, "principals")
        errors.check_distinct("principals", self.principals)
        self._check_payments()
        self._check_network()
        errors.check_distinct("baseline_entropy", [name for name, _ in self.baseline_entropy])
        for name, bonus in self.baseline_entropy:
            errors.check_choice("baseline_entropy", name, names_of("learned"))
            errors.check_non_negative(f"baseline_entropy of {name}", bonus)
        errors.check_at_least("seeds", self.seeds, 1)
        _check_seed("seed", self.seed)
        if self.seed + self.seeds > _MAX_SEED + 1:
            errors.refuse("seeds", self.seeds, f"at most {_MAX_SEED + 1 - self.seed} from seed on")

    def _check_payments(self) -> None:
        """Refuses principals and credits that the game's interventions do not allow."""
        blind = self.game.kind == "arm" and not self.game.observe_target
        scripted = [name for name in self.principals if role_of(name) != "learned"]
        if blind and scripted:
            expected = "learned ones alone: scripted ones must observe the target to pay its arm"
            errors.refuse("principals", scripted[0], expected)
        if self.training.credit == "hits":
            members = [registry.get("family", family) for family in self.agents.families]
            see_offers = any(member.traits.get("sees_offers") for member in members)
            if self.game.payment_kind != "target" or see_offers:
                known = "'returns' where payments are not all of the target, or are seen beforehand"
                errors.refuse("training.credit", "hits", known)

    def _check_network(self) -> None:
        """Refuses networks that read what is not observed, or that lack what makes MERMAIDE."""
        network = registry.get("network", self.network.architecture)
        for name in network.traits.get("reads", ()):
            if not getattr(self.game, name):
                expected = f"True: networks {network.label} ('network.architecture') read it"
                errors.refuse(f"game.{name}", False, expected)
        if not self.network.world_model:
            expected = "True: MERMAIDE without one is the principal maml_without_world_model"
            errors.refuse("network.world_model", False, expected)


def _check_seed(name: str, seed: int) -> None:
    """Refuses seeds beyond 32 bits, which JAX would cut short."""
    errors.check_at_least(name, seed, 0)
    errors.check_in_range(name, seed, 0, _MAX_SEED)


def principal_configs(name: str, config: StudyConfig) -> tuple[NetworkConfig, TrainingConfig]:
    """Gives the configs of learned principal ``name``: the same code and episode budget for all.

    Baselines may have a first entropy bonus of their own (``baseline_entropy``).

    Raises:
      ConfigError: ``name`` is not a learned principal.

    Example:
      >>> network, training = principal_configs("reinforce", StudyConfig())
      >>> network.world_model, training.is_meta
      (False, False)
    """
    errors.check_choice("principal", name, names_of("learned"))
    member = registry.get("principal", name)
    network, training = member.value.configure(config.network, config.training)
    bonus = dict(config.baseline_entropy).get(name)
    if bonus is not None:
        training = dataclasses.replace(training, entropy_start=bonus)
    return network, training
