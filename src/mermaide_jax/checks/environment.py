"""What every environment promises, see `base.Environment`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.base import Environment
from mermaide_jax.checks import trees
from mermaide_jax.checks.functions import (
    check_carry,
    check_function,
    check_remade,
    check_shapes,
)
from mermaide_jax.errors import ContractError

DrawAction = Callable[[chex.PRNGKey], jax.Array]

_EPISODES = 4


class Steps(NamedTuple):
    """Situations in which a step is taken, leading axis ``N``; see `check_environment`.

    Attributes:
      keys: typed keys.
      states: states of the environment.
      observations: ``[N, O]``, what is seen in them.
      actions: what is done.
      tasks: the task, ``N`` times.
    """

    keys: chex.PRNGKey
    states: Any
    observations: jax.Array
    actions: jax.Array
    tasks: Any


def check_environment(
    environment: Environment,
    task: Any,
    *,
    key: chex.PRNGKey | None = None,
    draw_action: DrawAction | None = None,
    remake: Callable[[], Environment] | None = None,
) -> Steps:
    """Checks that an environment keeps every promise of `base.Environment`.

    A few episodes are played with random actions, one step beyond their end. An episode is over
    after ``T`` steps, and stays over: nothing starts anew by itself.

        truncated[t]  only for t >= T           terminated[t] or truncated[t]   for t = T, T + 1

    Args:
      environment: the environment.
      task: one task.
      key: typed key, consumed; None: a fixed one.
      draw_action: ``draw_action(key) -> action``; None: one of ``num_actions``, or of [0, 1] if
        they are continuous.
      remake: makes the same environment anew from equal arguments, which must give an equal one.

    Returns:
      Some of the situations that were met.

    Raises:
      ContractError: the first promise that is broken; see `mermaide_jax.checks`.

    Example:
      >>> agent = agents.ucb(3)
      >>> game = games.make_intervention_game(agent, games.GameConfig(num_arms=3, horizon=4))
      >>> bandit = games.draw_bandit(jax.random.key(1), 3, games.Economics())
      >>> task = games.make_task(agent, agents.UCBParams(0.3), bandit)
      >>> steps = check_environment(game.environment, task)
      >>> check_environment(game.environment._replace(horizon=5), task)
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: step breaks 'horizon': got an end after 4 steps, ...
    """
    task = jax.tree.map(jnp.asarray, task)
    draw = draw_action or default_actions(environment)
    check_remade("the environment", environment, remake)
    _check_forms(environment, task, draw)
    key = jax.random.key(0) if key is None else key
    key_reset, key_play = jax.random.split(key)
    steps = _play(key_play, environment, task, draw)
    resets = jax.random.split(key_reset, steps.observations.shape[0])
    check_function("reset", environment.reset, resets, steps.tasks)
    check_function("step", environment.step, steps.keys, steps.states, steps.actions, steps.tasks)
    return steps


def default_actions(environment: Environment) -> DrawAction:
    """Makes what draws an action: any of those that there are, or of [0, 1].

    Example:
      >>> draw = default_actions(Environment(None, None, 3, 1, 1))
      >>> int(draw(jax.random.key(0))) in (0, 1, 2)
      True
    """
    if environment.num_actions:
        return lambda key: jax.random.randint(key, (), 0, environment.num_actions, jnp.int32)
    return lambda key: jax.random.uniform(key, dtype=jnp.float32)


def _check_forms(environment: Environment, task: Any, draw: DrawAction) -> None:
    """Shapes and dtypes of both functions, and what is carried."""
    key = jax.random.key(0)
    seen = jax.ShapeDtypeStruct((environment.observation_size,), jnp.float32)
    given = check_shapes("reset", environment.reset, key, task)
    _check_length("reset", given, ("observation", "state"))
    _check_like("reset", given[0], seen)
    check_carry("reset", given[1], given[1])
    action = jax.eval_shape(draw, key)
    given_step = check_shapes("step", environment.step, key, given[1], action, task)
    fields = ("observation", "state", "reward", "terminated", "truncated", "info")
    _check_length("step", given_step, fields)
    scalar, flag = (jax.ShapeDtypeStruct((), dtype) for dtype in (jnp.float32, jnp.bool_))
    for value, like in zip(
        (given_step[0], *given_step[2:5]), (seen, scalar, flag, flag), strict=True
    ):
        _check_like("step", value, like)
    check_carry("step", given[1], given_step[1])


def _check_length(name: str, given: Any, fields: tuple[str, ...]) -> None:
    if not isinstance(given, tuple) or len(given) != len(fields):
        raise ContractError(name, "shapes", trees.describe(given), f"({', '.join(fields)})")


def _check_like(name: str, given: Any, like: Any) -> None:
    if trees.describe(given) != trees.describe(like):
        raise ContractError(name, "shapes", trees.describe(given), trees.describe(like))


def _play(key: chex.PRNGKey, environment: Environment, task: Any, draw: DrawAction) -> Steps:
    """Plays episodes to one step beyond their end; some steps of the first of them."""
    horizon = environment.horizon

    @jax.jit
    @jax.vmap
    def episode(key: chex.PRNGKey):
        key_reset, key = jax.random.split(key)
        observation, state = environment.reset(key_reset, task)

        def step(carry, _):
            key, observation, state = carry
            key, key_action, key_step, key_kept = jax.random.split(key, 4)
            action = draw(key_action)
            before = Steps(key_kept, state, observation, action, ())
            observation, state, _, *over, _ = environment.step(key_step, state, action, task)
            return (key, observation, state), (before, *over)

        return jax.lax.scan(step, (key, observation, state), length=horizon + 1)[1]

    steps, terminated, truncated = episode(jax.random.split(key, _EPISODES))
    for flags in zip(terminated.tolist(), truncated.tolist(), strict=True):
        _check_end(*flags, horizon)
    moments = jnp.asarray(sorted({0, min(1, horizon - 1), horizon - 1, horizon}))
    kept = jax.tree.map(lambda leaf: leaf[0, moments], steps)
    return kept._replace(tasks=trees.repeat(task, len(moments)))


def _check_end(terminated: list[bool], truncated: list[bool], horizon: int) -> None:
    """When an episode was over; ``[T + 1]`` each."""
    over = [a or b for a, b in zip(terminated, truncated, strict=True)]
    if any(truncated[: horizon - 1]):
        early = f"an end after {truncated.index(True) + 1} steps"
        raise ContractError("step", "horizon", early, f"truncation after {horizon} alone")
    if not any(over[:horizon]):
        raise ContractError("step", "horizon", f"no end in {horizon} steps", "one")
    if not all(over[horizon - 1 :]):
        raise ContractError("step", "no autoreset", "a new episode", "one that stays over")
