"""What every game promises, see `base.Game`."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.base import Game, Preview, Task
from mermaide_jax.checks import trees
from mermaide_jax.checks.environment import Steps, check_environment
from mermaide_jax.checks.functions import check_function, check_remade, check_shapes
from mermaide_jax.checks.law import check_law
from mermaide_jax.errors import ContractError


def check_game(
    game: Game,
    task: Task,
    *,
    key: chex.PRNGKey | None = None,
    remake: Callable[[], Game] | None = None,
    num_draws: int = 2_000,
) -> None:
    """Checks that a game keeps every promise of `base.Game`.

    It is an environment of the principal (`check_environment`) whose ``info`` is a `StepInfo`. What
    it foretells of the agent is what the agent does under the same key if nothing is offered:

        preview(key, state, task).action = step(key, state, 0, task).info.action
        preview(key, state, task).probabilities = the law of that action over keys

    Args:
      game: the game.
      task: one task.
      key: typed key, consumed; None: a fixed one.
      remake: makes the same game anew from equal arguments, which must give an equal one.
      num_draws: how often the agent's action is drawn in each state that is looked at.

    Raises:
      ContractError: the first promise that is broken; see `mermaide_jax.checks`.

    Example:
      >>> agent = agents.ucb(3)
      >>> game = games.make_intervention_game(agent, games.GameConfig(num_arms=3, horizon=4))
      >>> bandit = games.draw_bandit(jax.random.key(1), 3, games.Economics())
      >>> task = games.make_task(agent, agents.UCBParams(0.3), bandit)
      >>> check_game(game, task)
      >>> check_game(game._replace(observation_size=5), task)
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: reset breaks 'shapes': got float32[7], expected float32[5]
    """
    key = jax.random.key(0) if key is None else key
    key_episodes, key_preview, key_law = jax.random.split(key, 3)
    check_remade("the game", game, remake)
    steps = check_environment(game.environment, task, key=key_episodes)
    _check_info(game, steps)
    if game.pay_target is not None:
        _check_payments(game, game.pay_target, steps)
    if game.preview is not None:
        _check_preview(key_preview, game, game.preview, steps)
        _check_law(key_law, game, game.preview, steps, num_draws)


def nothing(game: Game) -> jax.Array:
    """Gives the intervention that does nothing: 0, of the dtype of the game's interventions.

    Example:
      >>> game = games.make_stackelberg_game(games.StackelbergConfig(kind="continuous"))
      >>> nothing(game).dtype
      dtype('float32')
    """
    return jnp.int32(0) if game.num_interventions else jnp.float32(0)


def _check_info(game: Game, steps: Steps) -> None:
    """That ``info`` is a `StepInfo`."""
    given = check_shapes("step", game.step, *trees.take(_arguments(steps), 0))[-1]
    if not all(hasattr(given, field) for field in ("action", "agent_reward", "hit")):
        raise ContractError("step", "shapes", trees.describe(given), "info that is a StepInfo")
    expected = type(given)(
        action=jax.ShapeDtypeStruct((), jnp.int32),
        agent_reward=jax.ShapeDtypeStruct((), jnp.float32),
        hit=jax.ShapeDtypeStruct((), jnp.bool_),
        agent_estimates=jax.ShapeDtypeStruct((game.num_arms,), jnp.float32),
    )
    if trees.describe(given) != trees.describe(expected):
        raise ContractError("step", "shapes", trees.describe(given), trees.describe(expected))


def _arguments(steps: Steps) -> tuple:
    return steps.keys, steps.states, steps.actions, steps.tasks


def _check_payments(game: Game, pay_target: Callable[..., jax.Array], steps: Steps) -> None:
    """That a payment of the target is an intervention, and not nothing."""
    paid = check_function("pay_target", pay_target, steps.observations)
    if paid.dtype != nothing(game).dtype or paid.shape != steps.actions.shape:
        expected = f"{nothing(game).dtype}[], as interventions are"
        raise ContractError("pay_target", "shapes", trees.describe(paid[0]), expected)
    last = game.num_interventions - 1 if game.num_interventions else jnp.inf
    if not jnp.all((paid > 0) & (paid <= last)):
        expected = f"interventions above 0, {last} at most"
        raise ContractError("pay_target", "range", f"{paid}", expected)


def _check_preview(
    key: chex.PRNGKey, game: Game, preview: Callable[..., Preview], steps: Steps
) -> None:
    """That what is foretold is what happens under the same key if nothing is offered."""
    keys = jax.random.split(key, steps.observations.shape[0])
    seen = check_function("preview", preview, jax.random.clone(keys), steps.states, steps.tasks)
    step = jax.jit(jax.vmap(lambda k, state, task: game.step(k, state, nothing(game), task)[-1]))
    info = step(keys, steps.states, steps.tasks)
    told = {"action": seen.action, "estimates": seen.estimates}
    done = {"action": info.action, "estimates": info.agent_estimates}
    if (found := trees.difference(told, done)) is not None:
        raise ContractError("preview", "preview", found, "what the agent does in step")


def _check_law(
    key: chex.PRNGKey, game: Game, preview: Callable[..., Preview], steps: Steps, num_draws: int
) -> None:
    """That the law that is foretold is that of the agent's actions, all of them arms."""

    @jax.jit
    @jax.vmap
    def draw(key: chex.PRNGKey, key_preview: chex.PRNGKey, state, task):
        act = lambda k: game.step(k, state, nothing(game), task)[-1].action  # noqa: E731
        actions = jax.vmap(act)(jax.random.split(key, num_draws))
        return preview(key_preview, state, task).probabilities, actions

    number = steps.observations.shape[0]
    keys = jax.random.split(key, (2, number))
    for law, actions in zip(*draw(keys[0], keys[1], steps.states, steps.tasks), strict=True):
        check_law("preview", law, actions)
