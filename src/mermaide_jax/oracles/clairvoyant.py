"""A clairvoyant planner: beam search over the interventions of one episode whose draws are known.

Given the key of an episode, the game is deterministic: a sequence of interventions has one score.
The planner searches for the best sequence with the game's own ``step`` under the very keys of
`games.rollout`, so that what it finds can be replayed. It knows the noise that is still to come,
which no principal can, so its score is an upper reference: more than what any principal may hope
for, and no more than the best sequence earns.
"""

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import errors
from mermaide_jax._jax.batching import map_batches, merge_blocks, split_blocks
from mermaide_jax.base import Game, Principal, Privileged, Task, Trajectory
from mermaide_jax.games.rollout import pay_target_of, preview_of, rollout, split_agent_keys
from mermaide_jax.oracles.guided import Guide, guide_grid, guided
from mermaide_jax.principals.members import Planned
from mermaide_jax.registry import register

_LANES = 512
"""Partial plans extended side by side: enough to fill vector units, few enough for the cache."""

_RESOLUTION = 1e-3
"""States are taken for equal if a random projection of theirs agrees up to this."""

_DEMOTION = 1e6
"""What a duplicate is worth less than the others, when places in the beam are few."""


class Plan(NamedTuple):
    """What the planner found.

    Attributes:
      interventions: ``[T]`` int32.
      score: float32 scalar, what they earn in this episode.
    """

    interventions: jax.Array
    score: jax.Array


class _Draws(NamedTuple):
    """An episode before anyone acts: its start, and the key of each step."""

    observation: jax.Array
    state: Any
    keys: jax.Array  # [T, ...] raw key data
    impl: Any


class _Beam(NamedTuple):
    """Partial plans and what becomes of each if its guide completes it; leading axis ``[W]``."""

    state: Any
    earned: jax.Array  # so far
    total: jax.Array  # in the whole episode; -inf: nobody's place
    guide: Guide
    plan: jax.Array  # [W, T]; zeros from the present step on


@functools.cache
def replay() -> Principal:
    """Plays a given sequence whatever happens; its params are ``[T]`` int32.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=3)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 2, games.Economics()
      ... )
      >>> game, plan = games.make_intervention_game(agent, config), jnp.array([1, 0, 1], jnp.int32)
      >>> games.rollout(jax.random.key(1), game, replay(), plan, task).intervention.tolist()
      [1, 0, 1]
    """

    def init(params: jax.Array) -> jax.Array:
        del params
        return jnp.int32(0)

    def act(key, params: jax.Array, time: jax.Array, observation):
        del key, observation
        return params[time], time + 1, ()

    return Principal(init, act)


def plan_episode(
    key: chex.PRNGKey,
    game: Game,
    task: Task,
    width: int,
    guides: Guide | None = None,
) -> Plan:
    """Searches ``max_{u_1..u_T} sum_t R^p_t`` in the episode that ``key`` determines, by a beam.

    A partial plan is ranked by what it earns in the whole episode if its guide, a member of
    `guided.guided`, completes it from where it stands. The beam begins with the guides that earn
    most. At each step every plan is extended by its guide's choice and by each of the other
    ``U - 1`` interventions; the ``width`` best extensions stay. A plan whose state equals that of a
    better one (up to rounding and the order of the payments) stays only where there is room.

    The best plan never leaves the beam, so the result is at least that of every guide in this very
    episode (but for rounding), and with ``width >= C * U**T`` it is the optimum.

    Args:
      key: typed key, consumed: that of the episode, ``rollout(key, game, replay(),
        plan.interventions, task)`` earns ``plan.score``.
      game: the game; static under ``jit``.
      task: who is steered.
      width: ``W``, partial plans kept; static.
      guides: ``[C]`` members to begin with and to complete by; `guided.guide_grid` if None.

    Returns:
      Plan. Cost: about ``W * (U - 1) * T**2 / 2`` steps of the game, memory of ``W * U`` states.

    Raises:
      ConfigError: ``width`` is below 1.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> task = games.draw_task(
      ...     jax.random.key(0), "ucb", agent, jnp.array([0.3]), 2, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> plan = plan_episode(jax.random.key(1), game, task, width=4)
      >>> played = games.rollout(jax.random.key(1), game, replay(), plan.interventions, task)
      >>> bool(jnp.isclose(played.reward.sum(), plan.score))
      True
    """
    errors.check_at_least("width", width, 1)
    guides = guide_grid(game.horizon, task.env.bonus) if guides is None else guides
    draws = _draw(key, game, task)
    beam = jax.lax.fori_loop(
        0,
        game.horizon,
        lambda time, beam: _advance(game, task, draws, time, beam),
        _begin(game, task, draws, guides, width),
    )
    best = jnp.argmax(beam.total)
    return Plan(interventions=beam.plan[best], score=beam.earned[best])


def play_clairvoyant(
    key: chex.PRNGKey,
    game: Game,
    tasks: Task,
    num_episodes: int,
    width: int,
    guides: Guide | None = None,
) -> Trajectory:
    """Plans and plays ``M`` episodes with each of ``N`` agents, the episodes of `games.collect`.

    The same key gives every other principal the same draws, so that scores can be compared episode
    by episode.

    Args:
      key: typed key, consumed, or a key for each agent (`games.collect`).
      game: the game.
      tasks: ``N`` agents.
      num_episodes: ``M``.
      width: of the beam; static.
      guides: see `plan_episode`.

    Returns:
      Trajectory with leading axes ``[N, M, T]``. Episodes are planned in blocks, so memory does not
      grow with their number but for the trajectories themselves.

    Raises:
      ConfigError: ``width`` is below 1.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 2, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> play_clairvoyant(jax.random.key(1), game, tasks, num_episodes=1, width=2).reward.shape
      (2, 1, 2)
    """

    def one(raw: jax.Array, task: Task) -> Trajectory:
        episode_key = jax.random.wrap_key_data(raw, impl=impl)
        plan = plan_episode(jax.random.clone(episode_key), game, task, width, guides)
        return rollout(episode_key, game, replay(), plan.interventions, task)

    impl = jax.random.key_impl(key)
    block = max(1, _LANES // width)
    split = lambda k: jax.random.split(k, num_episodes)  # noqa: E731
    keys = jax.vmap(split)(split_agent_keys(key, tasks)).reshape(-1)
    repeated = jax.tree.map(lambda leaf: jnp.repeat(leaf, num_episodes, axis=0), tasks)
    # Raw, since a map over keys is taken for a second use of them.
    raw = jax.random.key_data(keys)
    return split_blocks(map_batches(one, block, raw, repeated), num_episodes)


def _draw(key: chex.PRNGKey, game: Game, task: Task) -> _Draws:
    """The start and the step keys that `rollout` would use, told by `rollout` itself."""

    def reset(reset_key: chex.PRNGKey, task: Task):
        start = game.reset(reset_key, task)
        return start, start

    def step(step_key: chex.PRNGKey, state: Any, intervention: jax.Array, task: Task):
        del intervention, task
        nothing = jnp.float32(0)
        return state, state, nothing, nothing, nothing, jax.random.key_data(step_key)

    recorder = game._replace(reset=reset, step=step)
    nothing = jnp.zeros((game.horizon,), jnp.int32)
    seen = rollout(key, recorder, replay(), nothing, task)
    observation, state = jax.tree.map(lambda leaf: leaf[0], seen.observation)
    return _Draws(observation, state, seen.step, jax.random.key_impl(key))  # type: ignore[arg-type]


def _step_key(draws: _Draws, time: jax.Array) -> chex.PRNGKey:
    """The key of a step; every look at the same future makes it anew."""
    return jax.random.wrap_key_data(draws.keys[time], impl=draws.impl)


def _choice(
    game: Game, task: Task, draws: _Draws, time: jax.Array, state: Any, guide: Guide
) -> jax.Array:
    """What the guide does. The first observation tells whom to pay, as well as any other."""
    preview = preview_of(game)(_step_key(draws, time), state, task)
    seen = Privileged(draws.observation, preview)
    principal = guided(pay_target_of(game), game.horizon)
    return principal.act(_step_key(draws, time), guide, time, seen)[0]


def _take(
    game: Game, task: Task, draws: _Draws, time: jax.Array, state: Any, intervention: jax.Array
) -> tuple[Any, jax.Array]:
    """One step of the game: the state that follows and what is earned."""
    key = _step_key(draws, time)
    _, state, reward, _, _, _ = game.step(key, state, intervention, task)
    return state, reward


def _complete(
    game: Game, task: Task, draws: _Draws, time: jax.Array, state: Any, guide: Guide
) -> jax.Array:
    """What the guide earns from ``time`` to the end."""

    def body(time: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        state, earned = carry
        choice = _choice(game, task, draws, time, state, guide)
        state, reward = _take(game, task, draws, time, state, choice)
        return state, earned + reward

    return jax.lax.fori_loop(time, game.horizon, body, (state, jnp.float32(0)))[1]


def _begin(game: Game, task: Task, draws: _Draws, guides: Guide, width: int) -> _Beam:
    """Empty plans with the guides that earn most; places beyond their number are nobody's."""
    complete = lambda guide: _complete(game, task, draws, jnp.int32(0), draws.state, guide)  # noqa: E731
    totals = jax.vmap(complete)(guides)
    known = min(width, totals.shape[0])
    totals, chosen = jax.lax.top_k(totals, known)
    places = jnp.minimum(jnp.arange(width), known - 1)
    return _Beam(
        state=jax.tree.map(lambda x: jnp.broadcast_to(x, (width, *jnp.shape(x))), draws.state),
        earned=jnp.zeros((width,), jnp.float32),
        total=jnp.where(jnp.arange(width) < known, totals[places], -jnp.inf),
        guide=jax.tree.map(lambda leaf: leaf[chosen][places], guides),
        plan=jnp.zeros((width, game.horizon), jnp.int32),
    )


def _advance(game: Game, task: Task, draws: _Draws, time: jax.Array, beam: _Beam) -> _Beam:
    """Extends every plan by every intervention and keeps the best."""
    choose = lambda state, guide: _choice(game, task, draws, time, state, guide)  # noqa: E731
    take = lambda state, u: _take(game, task, draws, time, state, u)  # noqa: E731
    complete = lambda state, guide: _complete(game, task, draws, time + 1, state, guide)  # noqa: E731
    # Interventions are counted from the guide's choice, so that row 0 needs no completion anew.
    shifts = jnp.arange(game.num_interventions, dtype=jnp.int32)[:, None]
    choices = (jax.vmap(choose)(beam.state, beam.guide) + shifts) % game.num_interventions
    states, rewards = jax.vmap(jax.vmap(take), (None, 0))(beam.state, choices)
    # Shift 0 is the guide's own choice, whose end is known already.
    others = jax.tree.map(lambda leaf: leaf[1:], states)
    rest = jax.vmap(jax.vmap(complete), (0, None))(others, beam.guide)
    deviating = jnp.where(jnp.isneginf(beam.total), -jnp.inf, beam.earned + rewards[1:] + rest)
    repeat = lambda leaf: jnp.broadcast_to(leaf, (*choices.shape, *leaf.shape[1:]))  # noqa: E731
    plans = repeat(beam.plan).at[..., time].set(choices)
    total = jnp.concatenate([beam.total[None], deviating])
    every = _Beam(states, beam.earned + rewards, total, jax.tree.map(repeat, beam.guide), plans)
    return _select(merge_blocks(every), choices)


def _select(every: _Beam, choices: jax.Array) -> _Beam:
    """The best ``W`` of ``[U * W]`` extensions, those alike behind the others."""
    worth = jnp.where(_has_better_twin(every), every.total - _DEMOTION, every.total)
    _, kept = jax.lax.top_k(worth, choices.shape[1])
    return jax.tree.map(lambda leaf: leaf[kept], every)


def _has_better_twin(beam: _Beam) -> jax.Array:
    """Whether another plan leads to the same state and earns as much or more, ``[W]`` bool.

    States are compared by a fixed random projection; sorting brings equal ones together.
    """
    leaves = [jnp.reshape(x, (beam.total.size, -1)) for x in jax.tree.leaves(beam.state)]
    flat = jnp.concatenate([leaf.astype(jnp.float32) for leaf in leaves], axis=1)
    direction = np.random.default_rng(0).normal(size=flat.shape[1]).astype(np.float32)
    mark = jnp.round(jnp.sum(flat * direction, axis=1) / _RESOLUTION)
    order = jnp.lexsort((-beam.total, mark))
    alike = mark[order][1:] == mark[order][:-1]
    return jnp.zeros(beam.total.shape, bool).at[order[1:]].set(alike)


def _play(key, tune_key, game: Game, tasks: Task, options: Any) -> Trajectory:
    """Plays as a study asks for it; there is nothing to tune."""
    del tune_key
    return play_clairvoyant(key, game, tasks, options.episodes, options.clairvoyant_beam)


register(
    "principal",
    "clairvoyant",
    Planned(_play, lambda options: options.episodes),
    label="Clairvoyant (knows all draws; upper reference)",
    summary="knows all draws of the episode, searches the best interventions: a reference",
    role="reference",
    note="Clairvoyant searches with the very draws of the episode: out of anyone's reach.",
    rank=23,
)
