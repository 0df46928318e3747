"""One episode of one principal against one agent, by ``lax.scan``."""

from typing import Any

import chex
import jax

from mermaide_jax._jax.batching import map_batches
from mermaide_jax.base import Game, Principal, Privileged, Task, Trajectory
from mermaide_jax.errors import check_at_least, refuse


def rollout(
    key: chex.PRNGKey, game: Game, principal: Principal, principal_params: Any, task: Task
) -> Trajectory:
    """Plays one episode of ``game.horizon`` steps.

    Args:
      key: typed key, consumed. A longer episode under the same key begins with the shorter one.
      game: the game; static under ``jit``.
      principal: who steers; static under ``jit``.
      principal_params: its params.
      task: who is steered.

    Returns:
      Trajectory with leading axis ``T``. For ``B`` episodes: ``vmap`` over keys and tasks.
    """
    key_reset, key = jax.random.split(key)
    observation, state = game.reset(key_reset, task)

    # The key is carried, not split beforehand: batching a scan over keys transposes them, which the
    # key-reuse check of JAX mistakes for a use.
    def step(carry, _):
        key, observation, state, memory = carry
        key, key_principal, key_game = jax.random.split(key, 3)
        seen = observation
        if principal.privileged:
            # The preview must use the very draws of the step, hence the clone.
            seen = Privileged(observation, game.preview(jax.random.clone(key_game), state, task))
        intervention, memory, extra = principal.act(key_principal, principal_params, memory, seen)
        following, state, reward, _, _, info = game.step(key_game, state, intervention, task)
        return (key, following, state, memory), Trajectory(
            observation, intervention, reward, info, extra
        )

    carry = (key, observation, state, principal.init(principal_params))
    _, trajectory = jax.lax.scan(step, carry, length=game.horizon)
    return trajectory


def collect(
    key: chex.PRNGKey,
    game: Game,
    principal: Principal,
    params: Any,
    tasks: Task,
    num_episodes: int,
    *,
    params_axis: int | None = None,
    batch_size: int | None = None,
) -> Trajectory:
    """Plays ``M`` episodes with each of ``N`` agents.

    Args:
      key: typed key, consumed; agent ``i`` uses its ``i``-th split. Or these ``N`` keys themselves.
      game: the game.
      principal: who steers.
      params: its params, shared, or with leading axis ``N`` if ``params_axis`` is 0.
      tasks: ``N`` tasks.
      num_episodes: ``M``.
      params_axis: None or 0.
      batch_size: agents played side by side; the others wait. None: all of them.

    Returns:
      Trajectory with leading axes ``[N, M, T]``.

    Raises:
      ConfigError: another ``params_axis``, or no episodes.
    """
    check_at_least("num_episodes", num_episodes, 1)
    if params_axis not in (None, 0):
        refuse("params_axis", params_axis, "None or 0")

    def one_agent(key: chex.PRNGKey, params: Any, task: Task) -> Trajectory:
        play = lambda k: rollout(k, game, principal, params, task)  # noqa: E731
        return map_batches(play, None, jax.random.split(key, num_episodes))

    keys = key if key.ndim else jax.random.split(key, tasks.target.shape[0])
    if params_axis is None:
        return map_batches(lambda k, t: one_agent(k, params, t), batch_size, keys, tasks)
    return map_batches(one_agent, batch_size, keys, params, tasks)
