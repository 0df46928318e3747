"""The game and the agents of a study, laid out as streams."""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.agents import RULES, standard_population
from mermaide_jax.base import Game, Task
from mermaide_jax.games import (
    Economics,
    finite_tasks,
    make_intervention_game,
    split_coefficients,
    target_first,
)
from mermaide_jax.studies.mermaide.config import AgentOptions, StudyConfig

_ROLES = ("train", "test")
_SALT = 2**20


class Stream(NamedTuple):
    """Which training run a stream is."""

    population: str
    seed: int


class AgentInfo(NamedTuple):
    """Which agent a row of the results is about.

    Attributes:
      family: its learning rule.
      coefficient: its exploration coefficient.
      index: its number among the test agents of its rule.
    """

    family: str
    coefficient: float
    index: int


class Setting(NamedTuple):
    """Everything that all principals of a study share.

    Attributes:
      game: the game.
      streams: the training runs, group by group, ``S`` in all.
      keys: ``[S]`` typed keys.
      train: training agents, leading axes ``[S, n]``.
      test: test agents, leading axes ``[S, m]``.
      test_agents: who the ``m`` test agents are, for each group.
    """

    game: Game
    streams: tuple[Stream, ...]
    keys: chex.PRNGKey
    train: Task
    test: Task
    test_agents: dict[str, tuple[AgentInfo, ...]]


def make_setting(config: StudyConfig) -> Setting:
    """Builds the game and draws the agents.

    A stream's key depends on its seed and group alone, so adding seeds leaves the others unchanged.
    """
    # Rules that come after those of all families would be computed for nothing.
    num_rules = 1 + max(RULES.index(family) for family in config.agents.families)
    population = standard_population(config.game.num_arms, config.game.initial_pull, num_rules)
    populations = config.agents.populations
    streams = [
        Stream(population, config.seed + s)
        for population in populations
        for s in range(config.seeds)
    ]
    numbers = {population: number for number, population in enumerate(populations)}
    keys, train, test = _draw(
        config.game.num_arms,
        config.agents,
        config.training.target_first,
        tuple(numbers[stream.population] for stream in streams),
        config.game.economics,
        jnp.asarray([stream.seed for stream in streams], jnp.int32),
        jnp.asarray(config.agents.seed, jnp.int32),
    )
    return Setting(
        game=make_intervention_game(population, config.game.families),
        streams=tuple(streams),
        keys=keys,
        train=train,
        test=test,
        test_agents={
            population: _describe(config, families) for population, families in populations.items()
        },
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))  # one program, not a hundred tiny ones
def _draw(
    num_arms: int,
    options: AgentOptions,
    aligned: bool,
    populations: tuple[int, ...],
    economics: Economics,
    seeds: jax.Array,
    agent_seed: jax.Array,
) -> tuple[chex.PRNGKey, Task, Task]:
    """Keys, training agents and test agents of all streams, leading axis ``[S]``.

    Args:
      num_arms: ``A``.
      options: the agents.
      aligned: whether the target is made arm 0.
      populations: for each stream, the number of its group.
      economics: what all agents share.
      seeds: ``[S]`` int32, for each stream.
      agent_seed: int32 scalar, fixes both sets of agents.
    """
    keys = [
        jax.random.fold_in(jax.random.key(s), g) for s, g in zip(seeds, populations, strict=True)
    ]
    # Salted: a seed of training and a seed of agents may well be equal, their draws must not.
    agents_key = jax.random.fold_in(jax.random.key(agent_seed), _SALT)
    role_keys = [jax.random.fold_in(agents_key, role) for role in range(len(_ROLES))]
    families = list(options.populations.values())

    def per_stream(role: str, key: chex.PRNGKey) -> Task:
        draw = functools.partial(_agents, jax.random.clone(key), num_arms, options, role, economics)
        sets = [draw(names) for names in families]
        tasks = jax.tree.map(lambda *leaves: jnp.stack([leaves[g] for g in populations]), *sets)
        return jax.vmap(jax.vmap(target_first))(tasks) if aligned else tasks

    train, test = (per_stream(role, key) for role, key in zip(_ROLES, role_keys, strict=True))
    return jnp.stack(keys), train, test


def _agents(
    key: chex.PRNGKey,
    num_arms: int,
    options: AgentOptions,
    role: str,
    economics: Economics,
    families: tuple[str, ...],
) -> Task:
    """The finite set of one role, the families of the group one after the other."""
    # The families share their draws: rules are compared on the same bandits.
    sets = [
        finite_tasks(
            jax.random.clone(key),
            family,
            split_coefficients(family, options.split, role),
            getattr(options, role),
            num_arms,
            economics,
        )
        for family in families
    ]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *sets)


def _describe(config: StudyConfig, families: tuple[str, ...]) -> tuple[AgentInfo, ...]:
    agents = []
    for family in families:
        values = split_coefficients(family, config.agents.split, "test")
        agents += [
            AgentInfo(family, values[index % len(values)], index)
            for index in range(config.agents.test)
        ]
    return tuple(agents)
