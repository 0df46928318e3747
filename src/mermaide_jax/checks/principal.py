"""What every principal promises, see `base.Principal`."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.base import Game, Params, Principal, Privileged, Task
from mermaide_jax.checks import trees
from mermaide_jax.checks.functions import (
    check_carry,
    check_function,
    check_remade,
    check_shapes,
)
from mermaide_jax.checks.game import nothing
from mermaide_jax.errors import ContractError, refuse

_STEPS = 4


def check_principal(
    principal: Principal,
    params: Params,
    game: Game,
    task: Task,
    *,
    key: chex.PRNGKey | None = None,
    remake: Callable[[], Principal] | None = None,
) -> None:
    """Checks that a principal keeps every promise of `base.Principal`.

    The first steps of an episode are played; at each of them ``act`` is checked by
    `check_function`, and that it gives an intervention of the game.

    Args:
      principal: who steers.
      params: its params.
      game: what is played; one with previews for a principal that is privileged.
      task: who is steered.
      key: typed key, consumed; None: a fixed one.
      remake: makes the same principal anew from equal arguments, which must give an equal one.

    Raises:
      ContractError: the first promise that is broken; see `mermaide_jax.checks`.
      ConfigError: a privileged principal in a game without previews.

    Example:
      >>> agent = agents.ucb(3)
      >>> game = games.make_intervention_game(agent, games.GameConfig(num_arms=3, horizon=4))
      >>> bandit = games.draw_bandit(jax.random.key(1), 3, games.Economics())
      >>> task = games.make_task(agent, agents.UCBParams(0.3), bandit)
      >>> check_principal(principals.random(game.pay_target), 0.5, game, task)
      >>> wrong = principals.random(lambda observation: jnp.int32(2))
      >>> check_principal(wrong, 1.0, game, task)
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: act breaks 'range': got the intervention 2, expected ...
    """
    if principal.privileged and game.preview is None:
        refuse("game", game, "one with previews, since the principal is privileged")
    params, task = jax.tree.map(jnp.asarray, (params, task))
    key = jax.random.key(0) if key is None else key
    key_forms, key_play, key_act = jax.random.split(key, 3)
    check_remade("the principal", principal, remake)
    _check_forms(key_forms, principal, params, game, task)
    carries, seen = _play(key_play, principal, params, game, task)
    several = trees.repeat(params, _STEPS)
    check_function("init", principal.init, several)
    keys = jax.random.split(key_act, _STEPS)
    interventions = check_function("act", principal.act, keys, several, carries, seen)[0]
    _check_range(game, interventions)


def _view(
    key: chex.PRNGKey, principal: Principal, game: Game, observation: jax.Array, state: Any, task
) -> Any:
    """What the principal is shown: the observation, and a preview if it is privileged."""
    if not principal.privileged or game.preview is None:
        return observation
    return Privileged(observation, game.preview(key, state, task))


def _check_forms(
    key: chex.PRNGKey, principal: Principal, params: Params, game: Game, task: Task
) -> None:
    """Shapes and dtypes of both functions, and what is carried."""

    def shown(key: chex.PRNGKey) -> Any:
        key_reset, key_preview = jax.random.split(key)
        observation, state = game.reset(key_reset, task)
        return _view(key_preview, principal, game, observation, state, task)

    carry = check_shapes("init", principal.init, params)
    check_carry("init", carry, carry)
    seen = jax.eval_shape(shown, key)
    given = check_shapes("act", principal.act, jax.random.key(0), params, carry, seen)
    if not isinstance(given, tuple) or len(given) != 3:
        raise ContractError("act", "shapes", trees.describe(given), "(intervention, carry, info)")
    like = jax.eval_shape(lambda: nothing(game))
    if trees.describe(given[0]) != trees.describe(like):
        raise ContractError("act", "shapes", trees.describe(given[0]), trees.describe(like))
    check_carry("act", carry, given[1])


def _play(
    key: chex.PRNGKey, principal: Principal, params: Params, game: Game, task: Task
) -> tuple[Any, Any]:
    """Carries and what is seen in the first steps of an episode."""

    @jax.jit
    def episode(key: chex.PRNGKey):
        key_reset, key = jax.random.split(key)
        observation, state = game.reset(key_reset, task)

        def step(loop, _):
            key, observation, state, carry = loop
            key, key_act, key_step = jax.random.split(key, 3)
            seen = _view(jax.random.clone(key_step), principal, game, observation, state, task)
            intervention, following, _ = principal.act(key_act, params, carry, seen)
            observation, state, *_ = game.step(key_step, state, intervention, task)
            return (key, observation, state, following), (carry, seen)

        loop = (key, observation, state, principal.init(params))
        return jax.lax.scan(step, loop, length=_STEPS)[1]

    return episode(key)


def _check_range(game: Game, interventions: jax.Array) -> None:
    if game.num_interventions:
        outside = (interventions < 0) | (interventions >= game.num_interventions)
        expected = f"one in [0, {game.num_interventions})"
    else:
        outside, expected = ~jnp.isfinite(interventions), "a finite one"
    if outside.any():
        wrong = interventions[jnp.argmax(outside)]
        raise ContractError("act", "range", f"the intervention {wrong}", expected)
