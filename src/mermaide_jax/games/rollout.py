"""One episode of one principal against one agent, by ``lax.scan``, and many of them."""

from collections.abc import Callable
from typing import Any

import chex
import jax

from mermaide_jax._jax.batching import map_batches
from mermaide_jax.agents.population import population
from mermaide_jax.base import Game, Games, Preview, Principal, Privileged, Task, Tasks, Trajectory
from mermaide_jax.errors import check_at_least, check_given, refuse


def preview_of(game: Game) -> Callable[..., Preview]:
    """Gives the game's ``preview``, for a principal that is shown the agent's state.

    Raises:
      ConfigError: the game has none.

    Example:
      >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
      >>> preview_of(game) is game.preview
      True
    """
    return check_given("game.preview", game.preview, "one, for a principal that is privileged")


def pay_target_of(game: Game) -> Callable[[jax.Array], jax.Array]:
    """Gives the game's ``pay_target``, for a principal that pays the target.

    Raises:
      ConfigError: the game has none.

    Example:
      >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
      >>> int(pay_target_of(game)(jnp.zeros(7)))
      1
    """
    return check_given("game.pay_target", game.pay_target, "one, for a principal that pays")


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

    Raises:
      ConfigError: a privileged principal in a game without previews.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> always = principals.random(game.pay_target)
      >>> rollout(jax.random.key(1), game, always, 1.0, task).intervention.tolist()
      [1, 1, 1, 1]
    """
    preview = game.preview
    if principal.privileged:
        preview = preview_of(game)
    key_reset, key = jax.random.split(key)
    observation, state = game.reset(key_reset, task)

    # The key is carried, not split beforehand: batching a scan over keys transposes them, which the
    # key-reuse check of JAX mistakes for a use.
    def step(carry, _):
        key, observation, state, memory = carry
        key, key_principal, key_game = jax.random.split(key, 3)
        seen = observation
        if preview is not None and principal.privileged:
            # The preview must use the very draws of the step, hence the clone.
            seen = Privileged(observation, preview(jax.random.clone(key_game), state, task))
        intervention, memory, extra = principal.act(key_principal, principal_params, memory, seen)
        following, state, reward, _, _, info = game.step(key_game, state, intervention, task)
        return (key, following, state, memory), Trajectory(
            observation, intervention, reward, info, extra
        )

    carry = (key, observation, state, principal.init(principal_params))
    _, trajectory = jax.lax.scan(step, carry, length=game.horizon)
    return trajectory


def count_agents(tasks: Tasks) -> int:
    """Counts the agents of a set, ``N``, see `collect`.

    Example:
      >>> agent = agents.ucb(3)
      >>> count_agents(games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 4, 3, games.Economics()
      ... ))
      4
    """
    parts = (tasks,) if isinstance(tasks, Task) else tasks
    return sum(jax.tree.leaves(part)[0].shape[0] for part in parts)


def split_agent_keys(key: chex.PRNGKey, tasks: Tasks) -> chex.PRNGKey:
    """Gives ``[N]`` keys, one for each agent of a set: splits of ``key``, or these keys themselves.

    Example:
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agents.ucb(3), (0.3, 0.5), 4, 3, games.Economics()
      ... )
      >>> split_agent_keys(jax.random.key(1), tasks).shape
      (4,)
    """
    return key if key.ndim else jax.random.split(key, count_agents(tasks))


def collect(
    key: chex.PRNGKey,
    game: Games,
    principal: Principal,
    params: Any,
    tasks: Tasks,
    num_episodes: int,
    *,
    params_axis: int | None = None,
    batch_size: int | None = None,
) -> Trajectory:
    """Plays ``M`` episodes with each of ``N`` agents, of one family or of several.

    Agents of several families come sorted: a tuple of games, one for each family, and a tuple of as
    many tasks with leading axes ``n_f``, ``N`` in all. Each family runs its own program part.

    Args:
      key: typed key, consumed; agent ``i`` uses its ``i``-th split. Or these ``N`` keys themselves.
      game: the game, or that of each family.
      principal: who steers.
      params: its params, shared, or with leading axis ``N`` if ``params_axis`` is 0.
      tasks: ``N`` tasks, or those of each family.
      num_episodes: ``M``.
      params_axis: None or 0.
      batch_size: agents played side by side; the others wait. None: all of them.

    Returns:
      Trajectory with leading axes ``[N, M, T]``, the families one after the other.

    Raises:
      ConfigError: another ``params_axis``, no episodes, or more or fewer tasks than games.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> never = principals.random(game.pay_target)
      >>> collect(jax.random.key(1), game, never, 0.0, tasks, num_episodes=5).reward.shape
      (2, 5, 4)
    """
    check_at_least("num_episodes", num_episodes, 1)
    if params_axis not in (None, 0):
        refuse("params_axis", params_axis, "None or 0")
    keys = split_agent_keys(key, tasks)

    def play(game: Game, keys: chex.PRNGKey, tasks: Task, params: Any) -> Trajectory:
        def one_agent(key: chex.PRNGKey, task: Task, params: Any) -> Trajectory:
            one = lambda k: rollout(k, game, principal, params, task)  # noqa: E731
            return map_batches(one, None, jax.random.split(key, num_episodes))

        if params_axis is None:
            return map_batches(lambda k, t: one_agent(k, t, params), batch_size, keys, tasks)
        return map_batches(one_agent, batch_size, keys, tasks, params)

    if isinstance(game, Game) and isinstance(tasks, Task):
        return play(game, keys, tasks, params)
    if isinstance(game, Game) or isinstance(tasks, Task) or len(game) != len(tasks):
        refuse("tasks", type(tasks), "a Task for a game, or a tuple of one for each game")
    # Each family is a part of the program of its own: a branch under `vmap` would run all of them.
    families = population([count_agents(part) for part in tasks])
    own = families.split(params) if params_axis == 0 else [params] * len(tasks)
    return families.merge(
        [play(*part) for part in zip(game, families.split(keys), tasks, own, strict=True)]
    )
