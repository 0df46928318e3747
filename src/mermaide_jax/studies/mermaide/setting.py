"""The games and the agents of a study, laid out as streams."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import registry
from mermaide_jax.agents import make_agent
from mermaide_jax.base import Game, Task
from mermaide_jax.errors import refuse
from mermaide_jax.games import Bandit, Economics, finite_tasks, split_coefficients, target_first
from mermaide_jax.studies.mermaide.config import AgentOptions, StudyConfig

_ROLES = ("train", "test")
_SALT = 2**20


class Stream(NamedTuple):
    """Which training run a stream is: of which population of agents, with which seed."""

    population: str
    seed: int


class AgentInfo(NamedTuple):
    """Which agent a row of the results is about.

    Attributes:
      family: its family.
      coefficient: its exploration coefficient.
      index: its number among the test agents of its family.
    """

    family: str
    coefficient: float
    index: int


@dataclasses.dataclass(frozen=True)
class Populations:
    """Who meets one principal: the families of each population, and the game with each family.

    Static and value-equal. Streams of different populations are one program with a part for each
    population, of which a stream runs its own.
    """

    games: tuple[tuple[str, Game], ...]
    """Family to game."""
    families: tuple[tuple[str, tuple[str, ...]], ...]
    """Population to its families, in order."""

    def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Makes ``run(index, tasks, *args)`` of one stream.

        Args:
          function: ``function(games, tasks, *args)``, with a tuple of games and one of tasks, one
            for each family of the population. What it returns is alike for all populations.

        Returns:
          ``run`` that takes the number of the population, and tasks by family.
        """
        branches = [functools.partial(self._run, function, own) for _, own in self.families]

        def run(index: jax.Array, tasks: Mapping[str, Task], *args: Any) -> Any:
            if len(branches) == 1:
                return branches[0](tasks, *args)
            # Under `vmap` all branches would run: `over_streams` takes streams one by one on CPUs.
            return jax.lax.switch(index, branches, tasks, *args)

        return run

    def games_of(self, population: str) -> tuple[Game, ...]:
        """The game with each family of a population."""
        games = dict(self.games)
        return tuple(games[family] for family in dict(self.families)[population])

    def _run(
        self, function: Callable[..., Any], families: tuple[str, ...], tasks: Any, *args: Any
    ) -> Any:
        games = dict(self.games)
        own = tuple(games[family] for family in families)
        return function(own, tuple(tasks[family] for family in families), *args)


class Setting(NamedTuple):
    """Everything that all principals of a study share.

    Attributes:
      populations: who meets one principal.
      streams: the training runs, population by population, ``S`` in all.
      keys: ``[S]`` typed keys.
      index: ``[S]`` int32, the number of each stream's population.
      train: family to training agents, leading axes ``[S, n]``.
      test: family to test agents, leading axes ``[S, n]``.
      agents: population to who its ``m`` test agents are, family by family.
    """

    populations: Populations
    streams: tuple[Stream, ...]
    keys: chex.PRNGKey
    index: jax.Array
    train: dict[str, Task]
    test: dict[str, Task]
    agents: dict[str, tuple[AgentInfo, ...]]

    @property
    def game(self) -> Game:
        """The game with the first family; sizes and kinds are the same with all."""
        return self.populations.games[0][1]

    def bandits_met(self, stream: int) -> Bandit:
        """The bandits of the test agents of one stream, as numpy arrays ``[m, ...]``."""
        families = dict(self.populations.families)[self.streams[stream].population]
        parts = [jax.tree.map(lambda leaf: leaf[stream], self.test[f].env) for f in families]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    def only(self, streams: Sequence[int]) -> "Setting":
        """The same setting with some of its streams, by number, and their populations alone."""
        places = np.asarray(streams)
        pick = lambda tree: jax.tree.map(lambda leaf: leaf[places], tree)  # noqa: E731
        kept = tuple(self.streams[place] for place in streams)
        met = {stream.population for stream in kept}
        families = tuple(pair for pair in self.populations.families if pair[0] in met)
        numbers = {name: number for number, (name, _) in enumerate(families)}
        return self._replace(
            populations=dataclasses.replace(self.populations, families=families),
            streams=kept,
            keys=pick(self.keys),
            index=jnp.asarray([numbers[stream.population] for stream in kept], jnp.int32),
            train=pick(self.train),
            test=pick(self.test),
        )


def make_setting(config: StudyConfig) -> Setting:
    """Builds the games and draws the agents.

    A stream's key depends on its seed and population alone, so adding seeds leaves the others
    unchanged.

    Example:
      >>> setting = make_setting(StudyConfig(seeds=1))
      >>> [stream.population for stream in setting.streams]
      ['ucb', 'epsilon_greedy']
    """
    populations = config.agents.populations
    numbers = {population: number for number, population in enumerate(populations)}
    streams = [Stream(name, config.seed + s) for name in populations for s in range(config.seeds)]
    index = tuple(numbers[stream.population] for stream in streams)
    games = make_games(config)
    keys, train, test = _draw(
        tuple(games.items()),
        config.agents,
        config.training.target_first,
        index,
        config.game.economics,
        jnp.asarray([stream.seed for stream in streams], jnp.int32),
        jnp.asarray(config.agents.seed, jnp.int32),
    )
    return Setting(
        populations=Populations(tuple(games.items()), tuple(populations.items())),
        streams=tuple(streams),
        keys=keys,
        index=jnp.asarray(index, jnp.int32),
        train=train,
        test=test,
        agents={name: _describe(config, families) for name, families in populations.items()},
    )


def make_games(config: StudyConfig) -> dict[str, Game]:
    """Makes the game with each family of a study.

    Example:
      >>> sorted(make_games(StudyConfig()))
      ['epsilon_greedy', 'ucb']
    """
    member, options = registry.get("game", config.game.name), config.game
    pull = options.initial_pull
    return {
        family: member.value(
            make_agent(family, options.num_arms, initial_pull=pull), options.static
        )
        for family in config.agents.families
    }


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))  # one program, not a hundred tiny ones
def _draw(
    games: tuple[tuple[str, Game], ...],
    options: AgentOptions,
    aligned: bool,
    index: tuple[int, ...],
    economics: Economics,
    seeds: jax.Array,
    agent_seed: jax.Array,
) -> tuple[chex.PRNGKey, dict[str, Task], dict[str, Task]]:
    """Keys, training agents and test agents of all streams, leading axis ``[S]``.

    Args:
      games: family to game.
      options: the agents.
      aligned: whether the target is made arm 0.
      index: for each stream, the number of its population.
      economics: what all agents share.
      seeds: ``[S]`` int32, for each stream.
      agent_seed: int32 scalar, fixes both sets of agents.
    """
    keys = [jax.random.fold_in(jax.random.key(s), p) for s, p in zip(seeds, index, strict=True)]
    # Salted: a seed of training and a seed of agents may well be equal, their draws must not.
    agents_key = jax.random.fold_in(jax.random.key(agent_seed), _SALT)

    def of_role(number: int, role: str) -> dict[str, Task]:
        key = jax.random.fold_in(agents_key, number)
        # The families share their draws: they are compared on the same bandits.
        sets = {
            family: _agents(jax.random.clone(key), family, game, options, role, economics, aligned)
            for family, game in games
        }
        streams = lambda leaf: jnp.broadcast_to(leaf, (len(index), *leaf.shape))  # noqa: E731
        return jax.tree.map(streams, sets)

    train, test = (of_role(number, role) for number, role in enumerate(_ROLES))
    return jnp.stack(keys), train, test


def _agents(
    key: chex.PRNGKey,
    family: str,
    game: Game,
    options: AgentOptions,
    role: str,
    economics: Economics,
    aligned: bool,
) -> Task:
    """The finite set of one role and family."""
    agent = game.agent
    if agent is None:
        refuse("game", family, "a game that names its agent (Game.agent)")
    coefficients = split_coefficients(family, options.split, role)
    number = getattr(options, role)
    tasks = finite_tasks(key, family, agent, coefficients, number, game.num_arms, economics)
    return jax.vmap(lambda task: target_first(agent, task))(tasks) if aligned else tasks


def _describe(config: StudyConfig, families: tuple[str, ...]) -> tuple[AgentInfo, ...]:
    agents = []
    for family in families:
        values = split_coefficients(family, config.agents.split, "test")
        agents += [
            AgentInfo(family, values[index % len(values)], index)
            for index in range(config.agents.test)
        ]
    return tuple(agents)
