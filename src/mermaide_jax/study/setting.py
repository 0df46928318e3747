"""The game and the agents of a study, laid out as streams."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.agents import standard_population
from mermaide_jax.games import (
    Game,
    Task,
    finite_tasks,
    make_intervention_game,
    split_coefficients,
    target_first,
)
from mermaide_jax.study.config import StudyConfig

_ROLES = ("train", "test")


class Stream(NamedTuple):
    """Which training run a stream is."""

    group: str
    seed: int


class TestAgent(NamedTuple):
    """Which agent a row of the results is about.

    Attributes:
      rule: its learning rule.
      coefficient: its exploration coefficient.
      index: its number among the test agents of its rule.
    """

    rule: str
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
    test_agents: dict[str, tuple[TestAgent, ...]]


def make_setting(config: StudyConfig) -> Setting:
    """Builds the game and draws the agents.

    A stream's key depends on its seed and group alone, so adding seeds leaves the others unchanged.
    """
    population = standard_population(config.game.num_arms, config.game.initial_pull)
    groups = config.agents.groups
    streams = [Stream(group, config.seed + s) for group in groups for s in range(config.seeds)]
    numbers = {group: number for number, group in enumerate(groups)}
    keys = [jax.random.fold_in(jax.random.key(s.seed), numbers[s.group]) for s in streams]
    sets = {
        (group, role): _agents(config, groups[group], role) for group in groups for role in _ROLES
    }

    def per_stream(role: str) -> Task:
        tasks = [sets[stream.group, role] for stream in streams]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)

    return Setting(
        game=make_intervention_game(population, config.game.rules),
        streams=tuple(streams),
        keys=jnp.stack(keys),
        train=per_stream("train"),
        test=per_stream("test"),
        test_agents={group: _describe(config, families) for group, families in groups.items()},
    )


def _agents(config: StudyConfig, families: tuple[str, ...], role: str) -> Task:
    """The finite set of one role, the families of the group one after the other."""
    options = config.agents
    key = jax.random.fold_in(jax.random.key(options.seed), _ROLES.index(role))
    # The families share their draws: rules are compared on the same bandits.
    sets = [
        finite_tasks(
            jax.random.clone(key),
            family,
            split_coefficients(family, options.split, role),
            getattr(options, role),
            config.game.num_arms,
            config.game.terms,
        )
        for family in families
    ]
    tasks = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *sets)
    return jax.vmap(target_first)(tasks) if config.training.target_first else tasks


def _describe(config: StudyConfig, families: tuple[str, ...]) -> tuple[TestAgent, ...]:
    agents = []
    for family in families:
        values = split_coefficients(family, config.agents.split, "test")
        agents += [
            TestAgent(family, values[index % len(values)], index)
            for index in range(config.agents.test)
        ]
    return tuple(agents)
