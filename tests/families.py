"""The registered families as the tests meet them, and a made-up one whose params are of arms."""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import agents, games, registry
from mermaide_jax.base import Agent, Game, Params, Task

FAMILIES = tuple(registry.names("family"))


class HabitsParams(NamedTuple):
    """An agent that has a liking of its own for each arm.

    Attributes:
      liking: ``[A]`` float32, added to its estimates.
      patience: scalar, how many rewards the first estimate of an arm, zero, counts for.
    """

    liking: jax.Array
    patience: chex.Numeric


def habits(num_arms: int) -> Agent:
    """Takes the arm of the greatest liking plus shrunk mean; not registered."""

    def values(params: HabitsParams, state: agents.SampleMeans) -> jax.Array:
        return params.liking + estimates(params, state)

    def estimates(params: HabitsParams, state: agents.SampleMeans) -> jax.Array:
        return state.means * state.counts / (state.counts + params.patience)

    return Agent(
        init=lambda params: agents.init_sample_means(num_arms),
        act=lambda key, params, state, offer: agents.random_argmax(key, values(params, state)),
        update=lambda params, state, action, reward: agents.update_sample_means(
            state, action, reward
        ),
        estimates=estimates,
        probabilities=lambda params, state, offer: agents.argmax_probabilities(
            values(params, state)
        ),
    )


def coefficient_of(family: str, coefficient: chex.Numeric) -> chex.Numeric:
    """The nearest coefficient that an agent of the family can have."""
    parameters = registry.get("family", family).parameters
    return jnp.clip(coefficient, parameters[0].low, parameters[0].high) if parameters else 0.0


def params_of(family: str, coefficient: chex.Numeric, mean_rewards: jax.Array) -> Params:
    """Params of one agent that is told what its family knows beforehand of its rewards."""
    agent = agents.make_agent(family, mean_rewards.shape[0])
    params = agents.make_params(family, coefficient_of(family, coefficient))
    return games.make_task(agent, params, bandit_of(mean_rewards)).agent


def bandit_of(mean_rewards: jax.Array) -> games.Bandit:
    return games.make_bandit(mean_rewards, 0, games.Economics())


def tasks_of(
    key: chex.PRNGKey,
    family: str,
    number: int,
    num_arms: int,
    economics: games.Economics | None = None,
) -> Task:
    """``number`` agents of a family, their coefficients drawn from its grid."""
    agent, grid = agents.make_agent(family, num_arms), agents.grid_of(family)
    terms = games.Economics() if economics is None else economics
    draw = lambda k: games.draw_task(k, family, agent, grid, num_arms, terms)  # noqa: E731
    return jax.vmap(draw)(jax.random.split(key, number))


def games_of(families: Sequence[str], config: games.GameConfig) -> tuple[Game, ...]:
    """The intervention game with an agent of each family."""
    members = (agents.make_agent(family, config.num_arms) for family in families)
    return tuple(games.make_intervention_game(agent, config) for agent in members)
