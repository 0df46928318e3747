"""Who is steered: finite sets of agents fixed by a seed, an endless supply, and the splits."""

from typing import Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax.agents.families import check_coefficients, grid_of, make_params
from mermaide_jax.base import Agent, Params, Task

Split = Literal["interpolation", "same", "extrapolation"]
Role = Literal["train", "test"]

SPLITS: tuple[str, ...] = ("interpolation", "same", "extrapolation")


class Bandit(NamedTuple):
    """The terms of one task in a game on a bandit: ``Task.env``.

    Attributes:
      mean_rewards: ``[A]`` float32, base mean rewards ``mu``.
      noise: scalar, standard deviation ``sigma`` of the Gaussian reward noise.
      target: int32 scalar, the arm ``a*`` that the principal wants.
      cost: scalar ``c``, what one full intervention costs the principal (in the Stackelberg game:
        what a unit of bonus costs).
      bonus: scalar ``delta``, what one full intervention adds to the agent's reward.
    """

    mean_rewards: jax.Array
    noise: chex.Numeric
    target: jax.Array
    cost: chex.Numeric
    bonus: chex.Numeric


class Economics(NamedTuple):
    """The terms that all tasks share; scalars that may be swept.

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


def split_grid(grid: tuple[float, ...], split: str, role: str) -> tuple[float, ...]:
    """Gives the values of an ascending grid that ``role`` meets under ``split``.

    ``interpolation`` trains on the 1st, 3rd, 5th ... value and on the last, and tests on the rest;
    ``same`` uses all for both; ``extrapolation`` trains on all but the ends, and tests on these.
    Of the five published coefficients these are 1, 3, 5 and 2, 4; and 2, 3, 4 and 1, 5. A grid of
    fewer than three values is used whole for both.

    Raises:
      ConfigError: unknown split or role.

    Example:
      >>> split_grid((1.0, 2.0, 3.0, 4.0, 5.0), "interpolation", "test")
      (2.0, 4.0)
    """
    errors.check_choice("split", split, SPLITS)
    errors.check_choice("role", role, ("train", "test"))
    if split == "same" or len(grid) < 3:
        return grid
    last = len(grid) - 1
    if split == "interpolation":
        met = [rank % 2 == 0 or rank == last for rank in range(len(grid))]
    else:
        met = [0 < rank < last for rank in range(len(grid))]
    return tuple(x for x, trains in zip(grid, met, strict=True) if trains == (role == "train"))


def split_coefficients(family: str, split: str, role: str) -> tuple[float, ...]:
    """Gives the coefficients of a family that ``role`` meets under ``split``; see `split_grid`.

    Raises:
      ConfigError: unknown family, split or role.

    Example:
      >>> split_coefficients("ucb", "interpolation", "train")
      (0.17, 0.42, 0.67)
    """
    return split_grid(grid_of(family), split, role)


def make_bandit(mean_rewards: jax.Array, target: chex.Numeric, economics: Economics) -> Bandit:
    """Makes the bandit of one task.

    Args:
      mean_rewards: ``[A]`` base mean rewards.
      target: ``a*``.
      economics: cost, bonus and noise.

    Example:
      >>> bandit = make_bandit(jnp.array([0.2, 0.8]), 0, Economics(cost=0.5))
      >>> int(bandit.target), float(bandit.cost)
      (0, 0.5)
    """
    return Bandit(
        mean_rewards=jnp.asarray(mean_rewards, jnp.float32),
        noise=jnp.asarray(economics.noise, jnp.float32),
        target=jnp.asarray(target, jnp.int32),
        cost=jnp.asarray(economics.cost, jnp.float32),
        bonus=jnp.asarray(economics.bonus, jnp.float32),
    )


def make_task(agent: Agent, params: Params, env: Bandit) -> Task:
    """Makes the task of steering one agent, which is told what it knows beforehand.

    Example:
      >>> bandit = make_bandit(jnp.array([0.25, 0.75]), 0, Economics())
      >>> make_task(agents.best_response(2), None, bandit).agent.mean_rewards.tolist()
      [0.25, 0.75]
    """
    return Task(agent.inform(params, env), env)


def draw_bandit(key: chex.PRNGKey, num_arms: int, economics: Economics) -> Bandit:
    """Draws ``mu ~ U[low, high]^A`` and ``a*`` uniform among the arms that are not the best.

    Args:
      key: typed key, consumed.
      num_arms: ``A``.
      economics: cost, bonus, noise and range of rewards.

    Raises:
      ConfigError: fewer than 2 arms.

    Example:
      >>> bandit = draw_bandit(jax.random.key(0), 3, Economics())
      >>> int(bandit.target) != int(bandit.mean_rewards.argmax())
      True
    """
    errors.check_at_least("num_arms", num_arms, 2)
    key_rewards, key_target = jax.random.split(key)
    low, high = (jnp.asarray(x, jnp.float32) for x in economics[-2:])
    uniform = jax.random.uniform(key_rewards, (num_arms,), jnp.float32)
    mean_rewards = low + (high - low) * uniform
    # The best arm is skipped by shifting the indices from it upwards by one.
    target = jax.random.randint(key_target, (), 0, num_arms - 1, jnp.int32)
    best = jnp.argmax(mean_rewards).astype(jnp.int32)
    return make_bandit(mean_rewards, target + (target >= best).astype(jnp.int32), economics)


def draw_task(
    key: chex.PRNGKey,
    family: str,
    agent: Agent,
    coefficients: jax.Array | tuple[float, ...],
    num_arms: int,
    economics: Economics,
) -> Task:
    """Draws a task of the endless distribution: a coefficient at random, fresh rewards and target.

    Args:
      key: typed key, consumed.
      family: name of the agent's family.
      agent: the agent, see `agents.make_agent`.
      coefficients: ``[C]`` coefficients to choose from, each as likely.
      num_arms: ``A``.
      economics: cost, bonus, noise and range of rewards.

    Example:
      >>> task = draw_task(
      ...     jax.random.key(0), "ucb", agents.ucb(3), jnp.array([0.5]), 3, Economics()
      ... )
      >>> float(task.agent.beta)
      0.5
    """
    key_coefficient, key_bandit = jax.random.split(key)
    coefficients = jnp.asarray(coefficients, jnp.float32)
    index = jax.random.randint(key_coefficient, (), 0, coefficients.shape[0])
    params = make_params(family, coefficients[index])
    return make_task(agent, params, draw_bandit(key_bandit, num_arms, economics))


def finite_tasks(
    key: chex.PRNGKey,
    family: str,
    agent: Agent,
    coefficients: tuple[float, ...],
    num_agents: int,
    num_arms: int,
    economics: Economics,
) -> Task:
    """Draws a finite set of agents, as many of each coefficient, fixed by ``key``.

    Agent ``i`` has the coefficient ``coefficients[i % C]`` and rewards drawn from the ``i``-th
    split of ``key``: a larger set begins with the smaller one.

    Args:
      key: typed key, consumed.
      family: name of the agents' family.
      agent: the agent, see `agents.make_agent`.
      coefficients: ``C`` coefficients.
      num_agents: ``N``.
      num_arms: ``A``.
      economics: cost, bonus, noise and range of rewards.

    Returns:
      Task with leading axis ``[N]``.

    Raises:
      ConfigError: unknown family; no coefficients, or one that its family cannot have;
        ``num_agents`` is not a positive multiple of the number of coefficients; fewer than 2 arms.

    Example:
      >>> tasks = finite_tasks(
      ...     jax.random.key(0), "ucb", agents.ucb(3), (0.25, 0.5), 4, 3, Economics()
      ... )
      >>> tasks.agent.beta.tolist()
      [0.25, 0.5, 0.25, 0.5]
    """
    errors.check_at_least("number of coefficients", len(coefficients), 1)
    check_coefficients(family, coefficients)
    what = f"the number of coefficients {coefficients} of {family}"
    errors.check_multiple("num_agents", num_agents, len(coefficients), what)
    keys = jax.random.split(key, num_agents)
    values = jnp.tile(jnp.asarray(coefficients, jnp.float32), num_agents // len(coefficients))

    def one(agent_key: chex.PRNGKey, coefficient: jax.Array) -> Task:
        bandit = draw_bandit(agent_key, num_arms, economics)
        return make_task(agent, make_params(family, coefficient), bandit)

    return jax.vmap(one)(keys, values)


def redraw_rewards(key: chex.PRNGKey, agent: Agent, task: Task, economics: Economics) -> Task:
    """Draws fresh base rewards and a fresh target for the same agent.

    Args:
      key: typed key, consumed.
      agent: who is steered.
      task: one task, whose agent's params are kept.
      economics: cost, bonus, noise and range of rewards.

    Example:
      >>> agent = agents.ucb(3)
      >>> task = draw_task(jax.random.key(0), "ucb", agent, jnp.array([0.5]), 3, Economics())
      >>> fresh = redraw_rewards(jax.random.key(1), agent, task, Economics())
      >>> float(fresh.agent.beta), bool((fresh.env.mean_rewards == task.env.mean_rewards).any())
      (0.5, False)
    """
    bandit = draw_bandit(key, task.env.mean_rewards.shape[0], economics)
    env = task.env._replace(mean_rewards=bandit.mean_rewards, target=bandit.target)
    return make_task(agent, task.agent, env)


def relabel_arms(key: chex.PRNGKey, agent: Agent, task: Task) -> Task:
    """Renames the arms of a task by a random permutation, all that is theirs together.

    Arms are exchangeable, so the game is the same; a network that meets the same few agents under
    ever new names cannot learn them by heart.

    Args:
      key: typed key, consumed.
      agent: who is steered; its ``permute`` renames what its params hold of each arm.
      task: one task.

    Example:
      >>> agent, bandit = agents.ucb(3), make_bandit(jnp.array([0.1, 0.5, 0.9]), 0, Economics())
      >>> task = make_task(agent, agents.UCBParams(0.3), bandit)
      >>> renamed = relabel_arms(jax.random.key(0), agent, task)
      >>> float(renamed.env.mean_rewards[renamed.env.target]) == float(bandit.mean_rewards[0])
      True
    """
    order = jax.random.permutation(key, task.env.mean_rewards.shape[0])
    return rename_arms(order, agent, task)


def target_first(agent: Agent, task: Task) -> Task:
    """Counts the arms of a task from the target, which becomes arm 0.

    The principal knows the target and arms are exchangeable, so nothing is lost or told; but "it
    took the target" and "it is about to take the target" become the same input in every task.

    Args:
      agent: see `relabel_arms`.
      task: one task.

    Example:
      >>> agent, bandit = agents.ucb(3), make_bandit(jnp.array([0.25, 0.5, 0.75]), 1, Economics())
      >>> aligned = target_first(agent, make_task(agent, agents.UCBParams(0.3), bandit))
      >>> int(aligned.env.target), aligned.env.mean_rewards.tolist()
      (0, [0.5, 0.75, 0.25])
    """
    num_arms = task.env.mean_rewards.shape[0]
    return rename_arms((jnp.arange(num_arms) + task.env.target) % num_arms, agent, task)


def rename_arms(order: jax.Array, agent: Agent, task: Task) -> Task:
    """Renames the arms of a task: arm ``j`` of the result is arm ``order[j]``.

    Args:
      order: ``[A]`` int32, a permutation.
      agent: see `relabel_arms`.
      task: one task.

    Example:
      >>> agent, bandit = agents.ucb(3), make_bandit(jnp.array([0.25, 0.5, 0.75]), 0, Economics())
      >>> task = make_task(agent, agents.UCBParams(0.3), bandit)
      >>> int(rename_arms(jnp.array([2, 0, 1]), agent, task).env.target)
      1
    """
    env = task.env._replace(
        mean_rewards=task.env.mean_rewards[order],
        target=jnp.argmax(order == task.env.target).astype(jnp.int32),
    )
    return Task(agent.permute(task.agent, order), env)
