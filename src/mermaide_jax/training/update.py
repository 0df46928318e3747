"""One outer update of MERMAIDE's principal, as a pure function of one training stream."""

import functools
from collections.abc import Callable, Hashable, Sequence
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
from mermaide_jax.agents import population
from mermaide_jax.base import Game, Params, Principal, Task, Trajectory
from mermaide_jax.errors import check_at_least, check_given, refuse
from mermaide_jax.games import Economics, collect, redraw_rewards, relabel_arms, target_first
from mermaide_jax.principals import LearnedPrincipal, random_rate
from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.loop import Phase, Trainer
from mermaide_jax.training.objective import (
    Episodes,
    LossInfo,
    advantages,
    hit_advantages,
    make_adapt,
    outer_loss,
    to_episodes,
)

Parts = tuple[Task, ...]
"""Tasks of a set of agents, sorted by family: one `Task` for each, leading axes ``n_f``."""


class PrincipalState(NamedTuple):
    """What is learned of a principal, the ``learner`` of its `training.TrainState`.

    Attributes:
      update: int32 scalar, updates done, by which rates and bonuses go.
      params: params of the learned principal.
      optimizer: state of the outer Adam.
    """

    update: jax.Array
    params: Params
    optimizer: Any


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


def family_sizes(num_tasks: int, num_families: int) -> list[int]:
    """Cuts the agents of an update into families as evenly as they go, the first ones larger.

    Raises:
      ConfigError: fewer agents than families.

    Example:
      >>> family_sizes(15, 2)
      [8, 7]
    """
    check_at_least("tasks_per_update", num_tasks, num_families)
    small, more = divmod(num_tasks, num_families)
    return [small + (number < more) for number in range(num_families)]


def select_tasks(
    key: chex.PRNGKey,
    config: TrainingConfig,
    game: Game,
    tasks: Task,
    economics: Economics,
    number: int,
) -> Task:
    """Draws the agents of one update evenly from the training set and varies them as configured.

    Args:
      key: typed key, consumed.
      config: static side of training.
      game: theirs.
      tasks: the training agents of one family, leading axis ``n``.
      economics: for redrawn rewards.
      number: how many.

    Returns:
      Task with leading axis ``[number]``.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 4, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> options = training.TrainingConfig()
      >>> some = select_tasks(jax.random.key(1), options, game, tasks, games.Economics(), 2)
      >>> some.env.target.tolist()  # arms are counted from the target
      [0, 0]
    """
    key_order, key_vary = jax.random.split(key)
    size = jax.tree.leaves(tasks)[0].shape[0]
    order = jax.random.permutation(key_order, size)
    chosen = order[jnp.arange(number) % size]
    tasks = jax.tree.map(lambda leaf: leaf[chosen], tasks)
    keys = jax.random.split(key_vary, number)
    if config.variation == "none" and not config.target_first:
        return tasks
    agent = check_given("game.agent", game.agent, "one, whose arms are renamed")
    if config.variation == "relabel":
        tasks = jax.vmap(lambda k, t: relabel_arms(k, agent, t))(keys, tasks)
    if config.variation == "endless":
        tasks = jax.vmap(lambda k, t: redraw_rewards(k, agent, t, economics))(keys, tasks)
    return jax.vmap(lambda t: target_first(agent, t))(tasks) if config.target_first else tasks


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Makes Adam with a linearly decaying rate; each network's gradient is clipped by itself.

    Example:
      >>> optimizer = make_optimizer(training.TrainingConfig())
      >>> params = {"policy": jnp.zeros(2), "world_model": jnp.zeros(2)}
      >>> updates, _ = optimizer.update(params, optimizer.init(params), params)
      >>> jnp.abs(updates["policy"]).tolist()
      [0.0, 0.0]
    """

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


def make_trainer(
    config: TrainingConfig,
    learned: LearnedPrincipal,
    games: Sequence[Game],
    economics: Economics,
    *,
    world_model_only: bool = False,
) -> Trainer:
    """Binds everything static into the training of one principal (Algorithm 1 of MERMAIDE).

    1. Play episodes with each agent with the shared params ``theta``.
    2. Adapt to each agent on its first ``K`` episodes: ``theta_i``.
    3. Play fresh episodes with ``theta_i``.
    4. One Adam step on ``w0 * loss before + (1 - w0) * loss after``, through the inner step.

    Without meta-learning, 2 and 3 fall away and all episodes are played in 1. Agents of several
    families meet the principal in each update, as evenly as they go.

    Args:
      config: static side of training.
      learned: the principal.
      games: the game with each family of agents.
      economics: economics of the game, for redrawn rewards.
      world_model_only: interventions are random (each episode with its own probability) and only
        the world model learns.

    Returns:
      Trainer with states `PrincipalState`, metrics `Metrics`, and for data `Parts`.

    Raises:
      ConfigError: no game, one that does not name the agent whose arms are to be renamed, credit of
        hits in a game whose interventions are not payments of the target, or fewer agents in an
        update than families; when called, data that are not the tasks of each family.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> game = games.make_intervention_game(agent, config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> options = training.TrainingConfig(tasks_per_update=2, episodes_per_task=2)
      >>> trainer = make_trainer(options, learned, [game], games.Economics())
      >>> sorted(trainer.init(jax.random.key(0)).params)
      ['policy', 'world_model']
    """
    _check_games(config, games)
    optimizer = make_optimizer(config)
    adapt = make_adapt(config, learned, world_model_only=world_model_only)
    behaviour = _behaviour(config, learned, games[0], world_model_only)

    def init(key: chex.PRNGKey) -> PrincipalState:
        params = learned.init_params(key)
        return PrincipalState(jnp.int32(0), params, optimizer.init(params))

    def update(
        key: chex.PRNGKey, state: PrincipalState, parts: Parts
    ) -> tuple[PrincipalState, Metrics]:
        key_tasks, key_before, key_after = jax.random.split(key, 3)
        tasks = _select_parts(key_tasks, config, games, parts, economics)
        # One key for each agent, not for each family: who else is in the set changes no draw.
        keys_after = jax.random.split(key_after, config.tasks_per_update)
        bonus = entropy_bonus(config, learned, state.update)
        loss_of = functools.partial(outer_loss, learned, bonus, world_model_only=world_model_only)
        with jax.named_scope("play"):
            played = collect(
                key_before, tuple(games), behaviour, state.params, tasks, config.episodes_before
            )
        before = after = to_episodes(played)  # all there is to report without adaptation
        with jax.named_scope("learn_unadapted"):
            loss, grads, info = _gradient_before(config, loss_of, state.params, before)
        if config.is_meta:
            plays = [_play_adapted(config, game, behaviour) for game in games]
            groups = _groups(plays, _support(config, before), keys_after, tasks)
            loss_after, grads_after, after = meta.maml_gradient_of_groups(
                adapt,
                lambda params, query: loss_of(params, *query)[0],
                functools.partial(_with_advantages, config),
                state.params,
                groups,
                config.agents_per_block,
            )
            loss, grads = _mix(config.zero_shot_weight, (loss, grads), (loss_after, grads_after))
        # A loss that is not finite may have finite gradients; the stream is to stop all the same.
        grads = jax.tree.map(lambda g: jnp.where(jnp.isfinite(loss), g, jnp.nan), grads)
        updates, optimizer_state = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        following = PrincipalState(state.update + 1, params, optimizer_state)
        return following, _summarise(played, after, info)

    return Trainer(init, update)


def _mix(share: float, one: Any, other: Any) -> Any:
    """Computes ``share one + (1 - share) other`` in every leaf."""
    return jax.tree.map(lambda x, y: share * x + (1.0 - share) * y, one, other)


def _check_games(config: TrainingConfig, games: Sequence[Game]) -> None:
    """Refuses games that cannot be trained in as configured, or fewer agents than families."""
    check_at_least("number of games", len(games), 1)
    renames = config.variation != "none" or config.target_first
    for game in games:
        if renames and game.agent is None:
            refuse("games", None, "games that name their agent (Game.agent), to rename its arms")
        if config.credit == "hits" and game.payment_kind != "target":
            refuse("credit", "hits", "'returns' where interventions are not payments of the target")
    family_sizes(config.tasks_per_update, len(games))


def _select_parts(
    key: chex.PRNGKey,
    config: TrainingConfig,
    games: Sequence[Game],
    parts: Parts,
    economics: Economics,
) -> Parts:
    """The agents of one update, of each family as many as `family_sizes` says."""
    if isinstance(parts, Task) or len(parts) != len(games):
        got = "a Task" if isinstance(parts, Task) else len(parts)
        refuse("data", got, f"a tuple of the tasks of {len(games)} families")
    keys = [key] if len(games) == 1 else jax.random.split(key, len(games))
    sizes = family_sizes(config.tasks_per_update, len(games))
    return tuple(
        select_tasks(k, config, game, part, economics, size)
        for k, game, part, size in zip(keys, games, parts, sizes, strict=True)
    )


def _groups(
    plays: Sequence[Callable[..., Any]], support: Any, keys: chex.PRNGKey, tasks: Parts
) -> list[meta.TaskGroup]:
    """What is adapted and played again, one group for each family."""
    sizes = family_sizes(len(keys), len(plays))
    own = zip(plays, *map(population(sizes).split, (support, keys)), tasks, strict=True)
    return [meta.TaskGroup(play, part, (k, task)) for play, part, k, task in own]


def _play_adapted(
    config: TrainingConfig, game: Game, behaviour: Principal
) -> Callable[[Params, tuple[chex.PRNGKey, Task]], Episodes]:
    """Plays the episodes after adaptation with a batch of agents of one family."""

    @jax.named_scope("play_adapted")
    def play(adapted: Params, settings: tuple[chex.PRNGKey, Task]) -> Episodes:
        keys, tasks = settings
        batch, number = members_in_cache(adapted), config.episodes_after
        own = {"params_axis": 0, "batch_size": batch}
        return to_episodes(collect(keys, game, behaviour, adapted, tasks, number, **own))

    return play


def warm_up_phases(
    config: TrainingConfig, learned: LearnedPrincipal, games: Sequence[Game], economics: Economics
) -> tuple[Phase, ...]:
    """Makes the phase that trains the world model alone, for `training.train`; none without one.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> game = games.make_intervention_game(agent, config)
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, game.observation_size, 3, 2)
      >>> options = training.TrainingConfig(updates=100, world_model_updates=20)
      >>> [phase.until for phase in warm_up_phases(options, learned, [game], games.Economics())]
      [20]
    """
    if not learned.config.world_model or config.world_model_updates == 0:
        return ()
    alone = make_trainer(config, learned, games, economics, world_model_only=True)
    return (Phase(alone.update, config.world_model_updates),)


def _behaviour(
    config: TrainingConfig, learned: LearnedPrincipal, game: Game, world_model_only: bool
) -> Principal:
    """Who plays in training."""
    if world_model_only:
        return random_rate(game.num_interventions)
    in_blocks = config.agents_per_block not in (None, config.tasks_per_update)
    if learned.with_activations is None or (in_blocks and not learned.lasting_activations):
        return learned.principal  # activations are of all agents, and blocks are to keep few
    return learned.with_activations


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
    """Computes the coefficient of one update: ``end + (start - end) l^p``.

    ``l`` is the share that is left of the updates since the policy's first, ``p`` the configured
    power.

    Example:
      >>> small = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(small, 7, num_arms=3, num_interventions=2)
      >>> options = training.TrainingConfig(updates=100, world_model_updates=0, entropy_start=0.5)
      >>> [round(float(entropy_bonus(options, learned, jnp.int32(n))), 3) for n in (0, 50)]
      [0.5, 0.25]
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
