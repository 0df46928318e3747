"""One outer update of one training stream, as a pure function."""

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import meta
from mermaide_jax._jax.batching import (
    members_in_cache,
    merge_blocks,
    split_blocks,
    sum_over_blocks,
)
from mermaide_jax.base import Game, Task, Trajectory
from mermaide_jax.errors import refuse
from mermaide_jax.games import Economics, collect, redraw_rewards, relabel_arms, target_first
from mermaide_jax.principals import LearnedPrincipal, random_rate
from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.objective import (
    Episodes,
    LossInfo,
    advantages,
    hit_advantages,
    make_adapt,
    outer_loss,
    to_episodes,
)

Params = Any


class TrainState(NamedTuple):
    """All that training carries; keys are arguments, so this and a seed resume a run exactly.

    Attributes:
      update: int32 scalar, updates done.
      params: params of the learned principal.
      optimizer: state of the outer Adam.
      failed_at: int32 scalar, the first update that gave NaN or infinity, or -1. From there on the
        rest of the state is frozen as it was before.
    """

    update: jax.Array
    params: Params
    optimizer: Any
    failed_at: jax.Array


class Metrics(NamedTuple):
    """Means over one update's episodes *before* adaptation (all float32 scalars).

    Attributes:
      score: per episode.
      success_rate: share of steps in which the agent took the target.
      interventions: per episode.
      world_model_log_likelihood: nats per step.
      entropy: of the policy, nats per step.
      adapted_score: score per episode after adaptation (``score`` without meta-learning).
    """

    score: jax.Array
    success_rate: jax.Array
    interventions: jax.Array
    world_model_log_likelihood: jax.Array
    entropy: jax.Array
    adapted_score: jax.Array


class Update(NamedTuple):
    """``init(key) -> TrainState`` and ``update(key, state, tasks) -> (TrainState, Metrics)``."""

    init: Callable[[chex.PRNGKey], TrainState]
    update: Callable[[chex.PRNGKey, TrainState, Task], tuple[TrainState, Metrics]]


def select_tasks(
    key: chex.PRNGKey, config: TrainingConfig, tasks: Task, economics: Economics
) -> Task:
    """The agents of one update, drawn evenly from the training set and varied as configured.

    Returns:
      Task with leading axis ``[tasks_per_update]``.
    """
    key_order, key_vary = jax.random.split(key)
    size = tasks.target.shape[0]
    order = jax.random.permutation(key_order, size)
    chosen = order[jnp.arange(config.tasks_per_update) % size]
    tasks = jax.tree.map(lambda leaf: leaf[chosen], tasks)
    keys = jax.random.split(key_vary, config.tasks_per_update)
    if config.variation == "relabel":
        tasks = jax.vmap(relabel_arms)(keys, tasks)
    if config.variation == "endless":
        tasks = jax.vmap(redraw_rewards, in_axes=(0, 0, None))(keys, tasks, economics)
    return jax.vmap(target_first)(tasks) if config.target_first else tasks


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam with a linearly decaying rate; each network's gradient is clipped by itself."""

    def adam(rate: float) -> optax.GradientTransformation:
        final = rate * config.final_learning_rate
        schedule = optax.linear_schedule(rate, final, config.updates)
        clip = optax.clip_by_global_norm(config.max_gradient_norm)
        return optax.chain(clip, optax.adam(schedule))

    rate = config.outer_learning_rate
    networks: dict[Hashable, optax.GradientTransformation] = {
        "policy": adam(rate),
        "world_model": adam(config.world_model_learning_rate or rate),
    }
    return optax.partition(networks, lambda params: {name: name for name in params})


def make_update(
    config: TrainingConfig,
    learned: LearnedPrincipal,
    game: Game,
    economics: Economics,
    *,
    world_model_only: bool = False,
) -> Update:
    """Binds everything static into one outer update of one stream (Algorithm 1 of MERMAIDE).

    1. Play episodes with each agent with the shared params ``theta``.
    2. Adapt to each agent on its first ``K`` episodes: ``theta_i``.
    3. Play fresh episodes with ``theta_i``.
    4. One Adam step on ``w0 * loss before + (1 - w0) * loss after``, through the inner step.

    Without meta-learning, 2 and 3 fall away and all episodes are played in 1.

    Args:
      config: static side of training.
      learned: the principal.
      game: the game.
      economics: terms of the game, for redrawn rewards.
      world_model_only: interventions are random (each episode with its own probability) and only
        the world model learns.

    Raises:
      ConfigError: credit of hits in a game whose interventions are not payments of the target.
    """
    if config.credit == "hits" and game.payment_kind != "target":
        refuse("credit", "hits", "'returns' where interventions are not payments of the target")
    optimizer = make_optimizer(config)
    adapt = make_adapt(config, learned, world_model_only=world_model_only)
    in_blocks = config.agents_per_block not in (None, config.tasks_per_update)
    if world_model_only:
        behaviour = random_rate(game.num_interventions)
    elif learned.with_activations is None or (in_blocks and not learned.lasting_activations):
        behaviour = learned.principal  # activations are of all agents, and blocks are to keep few
    else:
        behaviour = learned.with_activations

    def init(key: chex.PRNGKey) -> TrainState:
        params = learned.init_params(key)
        return TrainState(jnp.int32(0), params, optimizer.init(params), jnp.int32(-1))

    @jax.named_scope("play_adapted")
    def play_after(adapted: Params, settings: tuple[chex.PRNGKey, Task]) -> Episodes:
        played = collect(
            settings[0],
            game,
            behaviour,
            adapted,
            settings[1],
            config.episodes_after,
            params_axis=0,
            batch_size=members_in_cache(adapted),
        )
        return to_episodes(played)

    def update(key: chex.PRNGKey, state: TrainState, tasks: Task) -> tuple[TrainState, Metrics]:
        key_tasks, key_before, key_after = jax.random.split(key, 3)
        tasks = select_tasks(key_tasks, config, tasks, economics)
        keys_after = jax.random.split(key_after, config.tasks_per_update)
        bonus = entropy_bonus(config, learned, state.update)
        loss_of = functools.partial(outer_loss, learned, bonus, world_model_only=world_model_only)
        with jax.named_scope("play"):
            played = collect(
                key_before, game, behaviour, state.params, tasks, config.episodes_before
            )
        before = to_episodes(played)
        after = before
        with jax.named_scope("learn_unadapted"):
            loss, grads, info = _gradient_before(config, loss_of, state.params, before)
        if config.is_meta:
            loss_after, grads_after, after = meta.maml_gradient(
                adapt,
                lambda *x: loss_of(*x)[0],
                play_after,
                functools.partial(_with_advantages, config),
                state.params,
                _support(config, before),
                (keys_after, tasks),
                config.agents_per_block,
            )
            share = config.zero_shot_weight
            loss, grads = jax.tree.map(
                lambda x, y: share * x + (1.0 - share) * y, (loss, grads), (loss_after, grads_after)
            )
        updates, optimizer_state = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return _advance(state, loss, params, optimizer_state), _summarise(played, after, info)

    return Update(init, update)


def _gradient_before(
    config: TrainingConfig, loss_of: Callable[..., Any], params: Params, episodes: Episodes
) -> tuple[jax.Array, Params, LossInfo]:
    """Loss, gradient and info of the episodes ``[N, M, T]`` that were played with shared params.

    All episodes are one batch, or one a block. Nothing is differentiated if nothing counts.
    """
    number = config.tasks_per_update
    size = config.agents_per_block or number
    counts = not config.is_meta or config.zero_shot_weight > 0
    # Gradients that count for nothing are not computed.
    gradient = jax.value_and_grad(loss_of, has_aux=True) if counts else _without_gradient(loss_of)
    sums = sum_over_blocks(
        lambda block: gradient(params, *merge_blocks(block)),
        split_blocks(_with_advantages(config, episodes), size),
    )
    (loss, info), grads = jax.tree.map(lambda x: x * (size / number), sums)
    return loss, grads, info


def _without_gradient(loss_of: Callable[..., Any]) -> Callable[..., Any]:
    """Like ``jax.value_and_grad(loss_of, has_aux=True)``, with zeros for the gradient."""
    return lambda params, *data: (loss_of(params, *data), jax.tree.map(jnp.zeros_like, params))


def entropy_bonus(
    config: TrainingConfig, learned: LearnedPrincipal, update: jax.Array
) -> jax.Array:
    """Coefficient of one update: ``end + (start - end) l^p``.

    ``l`` is the share that is left of the updates since the policy's first, ``p`` the configured
    power.
    """
    first = config.world_model_updates if learned.config.world_model else 0
    bonus = optax.polynomial_schedule(
        config.entropy_start,
        config.entropy_end,
        config.entropy_decay,
        max(config.updates - first, 1),
    )
    return jnp.asarray(bonus(update - first))


def _support(config: TrainingConfig, episodes: Episodes) -> Episodes:
    """The first ``K`` episodes of each agent: what the inner loop adapts on."""
    return jax.tree.map(lambda x: x[:, : config.adaptation_episodes], episodes)


def _with_advantages(config: TrainingConfig, episodes: Episodes) -> tuple[Episodes, jax.Array]:
    if config.credit == "hits":
        return episodes, hit_advantages(episodes.reward, episodes.hit)
    return episodes, advantages(episodes.reward)


def _score(rewards: jax.Array) -> jax.Array:
    return jnp.mean(jnp.sum(rewards, axis=-1))


def _summarise(before: Trajectory, after: Episodes, info: LossInfo) -> Metrics:
    paid = (before.intervention > 0).astype(jnp.float32)
    return Metrics(
        score=_score(before.reward),
        success_rate=jnp.mean(before.step.hit.astype(jnp.float32)),
        interventions=jnp.mean(jnp.sum(paid, axis=-1)),
        world_model_log_likelihood=info.log_likelihood,
        entropy=info.entropy,
        adapted_score=_score(after.reward),
    )


def _advance(
    state: TrainState, loss: jax.Array, params: Params, optimizer_state: Any
) -> TrainState:
    """The next state, or the present one, frozen, from the first update that is not finite."""
    finite = jnp.isfinite(loss) & jnp.all(
        jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)])
    )
    fine = finite & (state.failed_at < 0)
    failed_at = jnp.where(~finite & (state.failed_at < 0), state.update, state.failed_at)
    fresh = TrainState(state.update + 1, params, optimizer_state, failed_at)
    kept = jax.tree.map(lambda new, old: jnp.where(fine, new, old), fresh, state)
    return kept._replace(failed_at=failed_at)
