"""Populations: agents of different rules in one batch, so that one compiled program runs all."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents.best_response import BestResponseParams, best_response
from mermaide_jax.agents.epsilon_greedy import EpsilonGreedyParams, epsilon_greedy
from mermaide_jax.agents.ucb import UCBParams, ucb
from mermaide_jax.base import Agent

RULES: tuple[str, ...] = ("ucb", "epsilon_greedy", "best_response")


class PopulationParams(NamedTuple):
    """One member of a population.

    Attributes:
      family: int32 scalar, index into the population's rules.
      members: one params struct per rule; only that of ``family`` decides the actions.
    """

    family: chex.Numeric
    members: tuple[Any, ...]


@memoize
def population(agents: tuple[Agent, ...]) -> Agent:
    """Agent that follows the rule its params name, among ``agents``.

    ``family`` is a leaf: ``vmap`` over `PopulationParams` mixes rules and coefficients in one
    program. The state holds each rule's state, all fed with the same pulls. Members beyond the
    number of ``agents`` are ignored, so the rules that come last and that no params name can be
    left out: the others act as before, and less is computed.

    Raises:
      ConfigError: no agents.
    """
    errors.check_at_least("number of rules", len(agents), 1)

    def init(params: PopulationParams):
        return tuple(a.init(p) for a, p in zip(agents, params.members, strict=False))

    def select(params: PopulationParams, per_rule: list[jax.Array]) -> jax.Array:
        return per_rule[0] if len(agents) == 1 else jnp.stack(per_rule)[params.family]

    def act(key, params: PopulationParams, state, offer):
        # Every rule acts, on the draws it would have alone: under `vmap` a `lax.switch` does the
        # same, and the key-reuse check of JAX mistakes that for a reuse.
        keys = [key] + [jax.random.clone(key) for _ in agents[1:]]
        members = zip(agents, keys, params.members, state, strict=False)
        return select(params, [a.act(k, p, s, offer) for a, k, p, s in members])

    def update(params: PopulationParams, state, action, reward):
        members = zip(agents, params.members, state, strict=False)
        return tuple(a.update(p, s, action, reward) for a, p, s in members)

    def estimates(params: PopulationParams, state):
        members = zip(agents, params.members, state, strict=False)
        return select(params, [a.estimates(p, s) for a, p, s in members])

    def probabilities(params: PopulationParams, state, offer):
        members = zip(agents, params.members, state, strict=False)
        return select(params, [a.probabilities(p, s, offer) for a, p, s in members])

    return Agent(init, act, update, estimates, probabilities)


@memoize
def standard_population(
    num_arms: int, initial_pull: bool = True, num_rules: int = len(RULES)
) -> Agent:
    """Population of the first ``num_rules`` rules in `RULES`, in that order.

    Args:
      num_arms: number of arms ``A``.
      initial_pull: see `epsilon_greedy`.
      num_rules: rules that there are agents of, from the first on.

    Raises:
      ConfigError: ``num_rules`` is not in 1 to the number of `RULES`.
    """
    errors.check_in_range("num_rules", num_rules, 1, len(RULES))
    everyone = (ucb(num_arms), epsilon_greedy(num_arms, initial_pull), best_response(num_arms))
    return population(everyone[:num_rules])


def standard_params(
    family: chex.Numeric, coefficient: chex.Numeric, mean_rewards: jax.Array
) -> PopulationParams:
    """Params of one member of `standard_population`.

    Args:
      family: index into `RULES`.
      coefficient: ``beta`` of UCB or ``epsilon`` of epsilon-greedy; the best response has none.
      mean_rewards: ``[A]`` base rewards, which the best response knows.
    """
    coefficient = jnp.asarray(coefficient, jnp.float32)
    return PopulationParams(
        family=jnp.asarray(family, jnp.int32),
        members=(
            UCBParams(beta=coefficient),
            EpsilonGreedyParams(epsilon=coefficient, initial_value=jnp.zeros_like(coefficient)),
            BestResponseParams(mean_rewards=mean_rewards),
        ),
    )
