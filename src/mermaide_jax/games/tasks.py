"""Who is steered: finite sets of agents fixed by a seed, an endless supply, and the splits."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax.agents import RULES, BestResponseParams, standard_params
from mermaide_jax.base import Task

Split = Literal["interpolation", "same", "extrapolation"]
Role = Literal["train", "test"]

SPLITS: tuple[str, ...] = ("interpolation", "same", "extrapolation")

COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "ucb": (0.17, 0.27, 0.42, 0.5, 0.67),
    "epsilon_greedy": (0.1, 0.2, 0.3, 0.4, 0.5),
    "best_response": (0.0,),
}
"""The published exploration coefficients of each rule, ascending."""

# Which of the five coefficients (by rank) the principal meets in training and in the test.
_SPLIT_RANKS: dict[str, dict[str, tuple[int, ...]]] = {
    "interpolation": {"train": (0, 2, 4), "test": (1, 3)},
    "same": {"train": (0, 1, 2, 3, 4), "test": (0, 1, 2, 3, 4)},
    "extrapolation": {"train": (1, 2, 3), "test": (0, 4)},
}


class Economics(NamedTuple):
    """The terms of the game that all tasks share; scalars that may be swept.

    Attributes:
      cost: ``c``, cost of an intervention (published: 0.75).
      bonus: ``delta``, what an intervention adds to the agent's reward.
      noise: ``sigma``, standard deviation of the reward noise.
      reward_low: least base mean reward.
      reward_high: greatest base mean reward.
    """

    cost: chex.Numeric = 0.75
    bonus: chex.Numeric = 1.0
    noise: chex.Numeric = 0.1
    reward_low: chex.Numeric = 0.0
    reward_high: chex.Numeric = 1.0


def split_coefficients(family: str, split: str, role: str) -> tuple[float, ...]:
    """Exploration coefficients of ``family`` that ``role`` meets under ``split``.

    ``interpolation`` trains on the 1st, 3rd and 5th published coefficient and tests on the other
    two; ``same`` uses all five for both; ``extrapolation`` trains on the middle three and tests on
    the least and the greatest. A rule with a single coefficient uses it for both.

    Raises:
      ConfigError: unknown rule, split or role.
    """
    errors.check_choice("family", family, RULES)
    errors.check_choice("split", split, SPLITS)
    errors.check_choice("role", role, ("train", "test"))
    values = COEFFICIENTS[family]
    if len(values) == 1:
        return values
    return tuple(values[rank] for rank in _SPLIT_RANKS[split][role])


def make_task(
    family: chex.Numeric,
    coefficient: chex.Numeric,
    mean_rewards: jax.Array,
    target: chex.Numeric,
    economics: Economics,
) -> Task:
    """Task for a member of `agents.standard_population`.

    Args:
      family: index into `agents.RULES`.
      coefficient: exploration coefficient.
      mean_rewards: ``[A]`` base mean rewards.
      target: ``a*``.
      economics: cost, bonus and noise.
    """
    mean_rewards = jnp.asarray(mean_rewards, jnp.float32)
    return Task(
        agent=standard_params(family, coefficient, mean_rewards),
        mean_rewards=mean_rewards,
        noise=jnp.asarray(economics.noise, jnp.float32),
        target=jnp.asarray(target, jnp.int32),
        cost=jnp.asarray(economics.cost, jnp.float32),
        bonus=jnp.asarray(economics.bonus, jnp.float32),
    )


def _draw_rewards(
    key: chex.PRNGKey, num_arms: int, economics: Economics
) -> tuple[jax.Array, jax.Array]:
    """``mu ~ U[low, high]^A`` and ``a*`` uniform among the arms that are not the best."""
    errors.check_at_least("num_arms", num_arms, 2)
    key_rewards, key_target = jax.random.split(key)
    span = jnp.asarray(economics.reward_high, jnp.float32) - jnp.asarray(
        economics.reward_low, jnp.float32
    )
    uniform = jax.random.uniform(key_rewards, (num_arms,), jnp.float32)
    mean_rewards = jnp.asarray(economics.reward_low, jnp.float32) + span * uniform
    # The best arm is skipped by shifting the indices from it upwards by one.
    target = jax.random.randint(key_target, (), 0, num_arms - 1, jnp.int32)
    best = jnp.argmax(mean_rewards).astype(jnp.int32)
    return mean_rewards, target + (target >= best).astype(jnp.int32)


def draw_task(
    key: chex.PRNGKey,
    family: chex.Numeric,
    coefficients: jax.Array,
    num_arms: int,
    economics: Economics,
) -> Task:
    """One task of the endless distribution: a coefficient at random, fresh rewards and target.

    Args:
      key: typed key, consumed.
      family: index into `agents.RULES`.
      coefficients: ``[C]`` coefficients to choose from, each as likely.
      num_arms: ``A``.
      economics: cost, bonus, noise and range of rewards.
    """
    key_coefficient, key_rewards = jax.random.split(key)
    coefficients = jnp.asarray(coefficients, jnp.float32)
    index = jax.random.randint(key_coefficient, (), 0, coefficients.shape[0])
    mean_rewards, target = _draw_rewards(key_rewards, num_arms, economics)
    return make_task(family, coefficients[index], mean_rewards, target, economics)


def finite_tasks(
    key: chex.PRNGKey,
    family: str,
    coefficients: tuple[float, ...],
    num_agents: int,
    num_arms: int,
    economics: Economics,
) -> Task:
    """A finite set of agents, as many of each coefficient, fixed by ``key``.

    Agent ``i`` has the coefficient ``coefficients[i % C]`` and rewards drawn from the ``i``-th
    split of ``key``: a larger set begins with the smaller one.

    Returns:
      Task with leading axis ``[num_agents]``.

    Raises:
      ConfigError: unknown rule; no coefficients, or one that its rule cannot have; ``num_agents``
        is not a positive multiple of the number of coefficients; fewer than 2 arms.
    """
    errors.check_choice("family", family, RULES)
    errors.check_at_least("number of coefficients", len(coefficients), 1)
    for coefficient in coefficients:
        if family == "epsilon_greedy":
            errors.check_in_range("epsilon", coefficient, 0.0, 1.0)
        else:
            errors.check_non_negative("coefficient", coefficient)
    what = f"the number of coefficients {coefficients} of {family}"
    errors.check_multiple("num_agents", num_agents, len(coefficients), what)
    keys = jax.random.split(key, num_agents)
    values = jnp.tile(jnp.asarray(coefficients, jnp.float32), num_agents // len(coefficients))

    def one(agent_key: chex.PRNGKey, coefficient: jax.Array) -> Task:
        mean_rewards, target = _draw_rewards(agent_key, num_arms, economics)
        return make_task(RULES.index(family), coefficient, mean_rewards, target, economics)

    return jax.vmap(one)(keys, values)


def redraw_rewards(key: chex.PRNGKey, task: Task, economics: Economics) -> Task:
    """The same learning rule and coefficient with fresh base rewards and a fresh target."""
    mean_rewards, target = _draw_rewards(key, task.mean_rewards.shape[0], economics)
    agent = _map_best_response(lambda _: mean_rewards, task.agent)
    return task._replace(agent=agent, mean_rewards=mean_rewards, target=target)


def _map_best_response(function: Callable[[jax.Array], jax.Array], agent: Any) -> Any:
    """Applies ``function`` to the rewards that best responders among the agent params know."""

    def rewrite(node: Any) -> Any:
        if isinstance(node, BestResponseParams):
            return BestResponseParams(function(node.mean_rewards))
        return node

    return jax.tree.map(rewrite, agent, is_leaf=lambda n: isinstance(n, BestResponseParams))


def relabel_arms(key: chex.PRNGKey, task: Task) -> Task:
    """The same agent with its arms renamed by a random permutation (rewards and target together).

    Arms are exchangeable, so the game is the same; a network that meets the same few agents under
    ever new names cannot learn them by heart.
    """
    return _rename(jax.random.permutation(key, task.mean_rewards.shape[0]), task)


def target_first(task: Task) -> Task:
    """The same agent with its arms counted from the target, which becomes arm 0.

    The principal knows the target and arms are exchangeable, so nothing is lost or told; but "it
    took the target" and "it is about to take the target" become the same input in every task.
    """
    num_arms = task.mean_rewards.shape[0]
    return _rename((jnp.arange(num_arms) + task.target) % num_arms, task)


def _rename(permutation: jax.Array, task: Task) -> Task:
    """Arm ``j`` of the result is arm ``permutation[j]`` of ``task``."""
    agent = _map_best_response(lambda rewards: rewards[permutation], task.agent)
    return task._replace(
        agent=agent,
        mean_rewards=task.mean_rewards[permutation],
        target=jnp.argmax(permutation == task.target).astype(jnp.int32),
    )
