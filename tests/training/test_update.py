"""One outer update: what it plays, what it reports, what it moves, and what it refuses to move."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from families import HabitsParams, habits
from jax.flatten_util import ravel_pytree
from streams import assert_same, keys

from mermaide_jax import agents, games, registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.games import collect
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.training import (
    Metrics,
    TrainingConfig,
    TrainState,
    loop,
    make_adapt,
    make_trainer,
    outer_loss,
    select_tasks,
    to_episodes,
)
from mermaide_jax.training.update import entropy_bonus, family_sizes, make_optimizer

VARIANTS = tuple(registry.names("meta_gradient"))
CONFIG = TrainingConfig(
    updates=4,
    world_model_updates=0,
    tasks_per_update=3,
    episodes_per_task=5,
    adaptation_episodes=1,
    inner_learning_rate=0.05,
    variation="none",
    target_first=False,
)
MLP = NetworkConfig("mlp", 4)
OVER_ARMS = NetworkConfig("arms", 4, 2, memory=True)
TERMS = games.Economics()
LEARNED = probe.principal(MLP)
PARTS = (probe.tasks(),)
# What networks over arms read, the probe game does not show.
ARMS_GAME = games.make_intervention_game(agents.ucb(3), games.GameConfig(3, 6))


def arena(network):
    """A game for a network, its principal, and agents."""
    if network.architecture != "arms":
        return probe.GAME, probe.principal(network), (probe.tasks(),)
    learned = learned_principal(network, ARMS_GAME.observation_size, 3, 2)
    tasks = games.finite_tasks(
        jax.random.key(3), "ucb", agents.ucb(3), (0.17, 0.42, 0.67), 3, 3, TERMS
    )
    return ARMS_GAME, learned, (tasks._replace(agent=agents.UCBParams(jnp.full(3, 0.4))),)


@functools.cache
def bind(meta_gradient, world_model_only=False, credit="returns", game=probe.GAME):
    """A start whose read-outs are not zero, and the compiled update."""
    config = dataclasses.replace(CONFIG, meta_gradient=meta_gradient, credit=credit)
    trainer = make_trainer(config, LEARNED, (game,), TERMS, world_model_only=world_model_only)
    state = jax.jit(trainer.init)(jax.random.key(0))
    rng = np.random.default_rng(0)
    draw = lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype)  # noqa: E731
    state = state._replace(params=jax.tree.map(draw, state.params))
    return config, state, jax.jit(trainer.update)


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


def moved(before, after):
    return np.abs(flat(after) - flat(before)).max()


@pytest.mark.parametrize("meta_gradient", VARIANTS)
def test_an_update_moves_every_network_by_about_the_rate(meta_gradient):
    _, state, update = bind(meta_gradient)
    after, metrics = update(jax.random.key(5), state, PARTS)
    assert int(after.update) == 1
    assert all(np.isfinite(metrics))
    for network in ("policy", "world_model"):
        # Adam's first step is the rate, whatever the gradient.
        step = moved(state.params[network], after.params[network])
        np.testing.assert_allclose(step, CONFIG.outer_learning_rate, rtol=0.01)
    assert_same(update(jax.random.key(5), state, PARTS), (after, metrics))
    other, _ = update(jax.random.key(6), state, PARTS)
    assert moved(other.params, after.params) > 0


def test_meta_gradients_move_the_params_differently():
    steps = {name: bind(name) for name in VARIANTS}
    # Adam's second moment tells gradients apart that have equal signs.
    ends = {
        name: flat(update(jax.random.key(5), state, PARTS)[0].optimizer)
        for name, (_, state, update) in steps.items()
    }
    for i, one in enumerate(VARIANTS):
        for other in VARIANTS[i + 1 :]:
            assert np.abs(ends[one] - ends[other]).max() > 1e-6, (one, other)


@pytest.mark.parametrize("meta_gradient", ["none", "second_order"])
def test_credit_concerns_the_policy_alone(meta_gradient):
    ends = {}
    for credit in ("returns", "hits"):
        _, state, update = bind(meta_gradient, credit=credit)
        ends[credit] = update(jax.random.key(5), state, PARTS)
    (one, played), (other, same) = ends["returns"], ends["hits"]
    if meta_gradient == "none":
        assert_same(played, same)
        assert_same(one.params["world_model"], other.params["world_model"])
    with pytest.raises(ConfigError, match="credit: got 'hits', expected 'returns'"):
        bind(meta_gradient, credit="hits", game=probe.GAME._replace(payment_kind="other"))
    moments = [flat(end.optimizer.inner_states["policy"]) for end in (one, other)]
    assert np.abs(moments[0] - moments[1]).max() > 1e-6


@pytest.mark.parametrize("meta_gradient", ["none", "second_order"])
def test_metrics_are_those_of_the_episodes_played(meta_gradient):
    config, state, update = bind(meta_gradient)
    _, metrics = update(jax.random.key(5), state, PARTS)

    @jax.jit
    def play(key, params):
        key_tasks, key_before, key_after = jax.random.split(key, 3)
        tasks = select_tasks(key_tasks, config, probe.GAME, probe.tasks(), TERMS, 3)
        game, principal = probe.GAME, LEARNED.principal
        before = collect(key_before, game, principal, params, tasks, config.episodes_before)
        if not config.is_meta:
            return before, before
        support = jax.tree.map(lambda x: x[:, : config.adaptation_episodes], to_episodes(before))
        adapted = jax.vmap(make_adapt(config, LEARNED), (None, 0))(params, support)
        number = config.episodes_after
        after = collect(key_after, game, principal, adapted, tasks, number, params_axis=0)
        return before, after

    before, after = jax.tree.map(np.asarray, play(jax.random.key(5), state.params))
    assert before.reward.shape == (3, config.episodes_before, probe.STEPS)
    told = [
        before.principal.prediction[n, m, t, before.step.action[n, m, t]]
        for n, m, t in np.ndindex(before.reward.shape)
    ]
    expected = Metrics(
        score=probe.scores(before).mean(),
        success_rate=(before.step.action == targets(before)).mean(),
        interventions=(before.intervention > 0).sum(-1).mean(),
        world_model_log_likelihood=jnp.mean(jnp.asarray(told)),
        entropy=before.principal.entropy.mean(),
        adapted_score=probe.scores(after).mean(),
    )
    np.testing.assert_allclose(metrics, expected, rtol=1e-4, atol=1e-5)
    if config.is_meta:
        assert metrics.adapted_score != metrics.score


def targets(trajectory):
    """The target of each step, as the observation tells it, ``[N, M, T]``."""
    return trajectory.observation[..., probe.ARMS :].argmax(-1)


@pytest.mark.parametrize("meta_gradient", ["none", "dice"])
def test_the_world_model_alone_leaves_the_policy_as_it_was(meta_gradient):
    _, start, update = bind(meta_gradient, world_model_only=True)
    state, rates = start, []
    for key in keys(1, 3):
        state, metrics = update(key, state, PARTS)
        rates.append(float(metrics.interventions) / probe.STEPS)
    assert int(state.update) == 3
    assert_same(state.params["policy"], start.params["policy"])
    assert moved(start.params["world_model"], state.params["world_model"]) > 1e-3
    # Random interventions, whatever the policy says: its own rate is far from a half.
    assert abs(np.mean(rates) - 0.5) < 0.25


@functools.cache
def advanced(meta_gradient="second_order"):
    """The same update in the loop, which freezes what is not finite, and a start."""
    _, state, update = bind(meta_gradient)
    start = TrainState(jnp.int32(0), state, jnp.int32(-1))
    return start, jax.jit(functools.partial(loop.advance, update))


@pytest.mark.parametrize("poison", ["cost", "params"])
def test_nan_freezes_the_state_and_records_the_update(poison):
    start, advance = advanced()
    (good,) = PARTS
    state, _ = advance(jax.random.key(5), start, PARTS)
    assert int(state.update) == int(state.learner.update) == 1 and int(state.failed_at) == -1
    tasks = good
    if poison == "cost":
        tasks = good._replace(env=good.env._replace(cost=good.env.cost.at[1].set(jnp.nan)))
    else:
        params = state.learner.params
        policy = jax.tree.map(lambda x: x * jnp.nan, params["policy"])
        learner = state.learner._replace(params=params | {"policy": policy})
        state = state._replace(learner=learner)
    failed, _ = advance(jax.random.key(5), state, (tasks,))
    assert int(failed.failed_at) == 1
    assert_same(failed._replace(failed_at=state.failed_at), state)
    # It stays where it failed, even if the next data are good.
    later, _ = advance(jax.random.key(9), failed, PARTS)
    assert_same(later, failed)


@pytest.mark.parametrize("meta_gradient", ["none", "second_order"])
@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_a_failure_even_where_its_gradient_is(
    loss, meta_gradient, monkeypatch
):
    def spoilt(*args, **options):
        value, info = outer_loss(*args, **options)
        return value + loss, info

    monkeypatch.setattr("mermaide_jax.training.update.outer_loss", spoilt)
    config, state, _ = bind(meta_gradient)
    trainer = make_trainer(config, LEARNED, (probe.GAME,), TERMS)
    start = TrainState(jnp.int32(7), state, jnp.int32(-1))
    failed, _ = jax.jit(functools.partial(loop.advance, trainer.update))(
        keys(5, 1)[0], start, PARTS
    )
    assert int(failed.failed_at) == 7
    assert_same(failed._replace(failed_at=start.failed_at), start)


NUMBER, ARMS = 5, 4


SETS = ("best_response", "habits")
"""Agents that know their rewards; and agents with a liking of their own for each arm."""


@functools.cache
def training_set(kind):
    """The game and agents of one kind; the noise serves as their name."""
    rng = np.random.default_rng(0)
    rewards = jnp.asarray(rng.uniform(size=(NUMBER, ARMS)), jnp.float32)
    targets = jnp.argsort(rewards)[:, 1].astype(jnp.int32)
    bandits = jax.vmap(functools.partial(games.make_bandit, economics=TERMS))(rewards, targets)
    bandits = bandits._replace(noise=jnp.arange(NUMBER, dtype=jnp.float32))
    agent, params = agents.best_response(ARMS), agents.BestResponseParams(rewards)
    if kind == "habits":
        agent, params = habits(ARMS), HabitsParams(10.0 + rewards, jnp.linspace(0.1, 0.5, NUMBER))
    game = games.make_intervention_game(agent, games.GameConfig(ARMS, 3))
    return game, games.Task(params, bandits)


@functools.cache
def selected(kind, number, variation, target_first, draws=200):
    """Selections under many keys, ``[draws, number]``, as numpy arrays."""
    config = dataclasses.replace(CONFIG, variation=variation, target_first=target_first)
    economics = games.Economics(reward_low=2.0, reward_high=3.0)  # unlike those of the set
    game, tasks = training_set(kind)
    select = lambda key: select_tasks(key, config, game, tasks, economics, number)  # noqa: E731
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(select))(keys(1, draws)))


@pytest.mark.parametrize("number", [2, 5, 12])
def test_the_training_set_is_covered_evenly(number):
    names = selected("best_response", number, "none", False).env.noise.astype(int)
    counts = np.stack([np.bincount(row, minlength=NUMBER) for row in names])
    assert (counts.max(1) - counts.min(1) <= 1).all() and (counts.sum(1) == number).all()
    # Who comes first, and who comes once more than others, differs from update to update.
    assert len(np.unique(names[:, 0])) == NUMBER
    np.testing.assert_allclose(counts.mean(0), number / NUMBER, atol=0.15)


def assert_agents_kept(kind, tasks, names, variation):
    """What an agent is goes with its name, and what it has of each arm with the arm."""
    original = training_set(kind)[1].agent
    if kind == "best_response":
        np.testing.assert_array_equal(tasks.agent.mean_rewards, tasks.env.mean_rewards)
        return
    np.testing.assert_array_equal(tasks.agent.patience, np.asarray(original.patience)[names])
    if variation != "endless":
        likings = (10.0 + tasks.env.mean_rewards).astype(np.float32)
        np.testing.assert_array_equal(tasks.agent.liking, likings)


@pytest.mark.parametrize("target_first", [False, True])
@pytest.mark.parametrize("variation", ["none", "relabel", "endless"])
@pytest.mark.parametrize("kind", SETS)
def test_what_is_redrawn(kind, variation, target_first):
    tasks, original = selected(kind, NUMBER, variation, target_first), training_set(kind)[1].env
    names = tasks.env.noise.astype(int)
    rewards, targets = (np.asarray(x)[names] for x in (original.mean_rewards, original.target))
    assert_agents_kept(kind, tasks, names, variation)
    tasks = tasks.env
    of_target = np.take_along_axis(tasks.mean_rewards, tasks.target[..., None], -1)[..., 0]
    if target_first:
        np.testing.assert_array_equal(tasks.target, 0)
    if variation == "endless":
        assert (tasks.mean_rewards >= 2).all() and (tasks.mean_rewards <= 3).all()
        assert (of_target < tasks.mean_rewards.max(-1)).all()
        assert len(np.unique(tasks.mean_rewards)) > 0.99 * tasks.mean_rewards.size
        return
    # The same arms under other names: the target keeps its reward, and the rest theirs.
    np.testing.assert_array_equal(np.sort(tasks.mean_rewards), np.sort(rewards))
    np.testing.assert_array_equal(
        of_target, np.take_along_axis(rewards, targets[..., None], -1)[..., 0]
    )
    if variation == "relabel":
        orders = {tuple(row) for row in tasks.mean_rewards[names == 0].argsort(-1).tolist()}
        assert len(orders) == (6 if target_first else 24)  # every way to name the others
    elif target_first:
        turned = [np.roll(row, -t) for row, t in zip(rewards[0], targets[0], strict=True)]
        np.testing.assert_array_equal(tasks.mean_rewards[0], turned)
    else:
        np.testing.assert_array_equal(tasks.mean_rewards, rewards)
        np.testing.assert_array_equal(tasks.target, targets)


@pytest.mark.parametrize(
    ("number", "families", "sizes"),
    [(15, 1, [15]), (15, 2, [8, 7]), (4, 4, [1, 1, 1, 1]), (11, 3, [4, 4, 3])],
)
def test_families_share_an_update_as_evenly_as_they_go(number, families, sizes):
    assert family_sizes(number, families) == sizes


def test_more_families_than_agents_are_refused():
    with pytest.raises(ConfigError, match="tasks_per_update: got 3, expected an integer >= 4"):
        make_trainer(CONFIG, LEARNED, (probe.GAME,) * 4, TERMS)


@pytest.mark.parametrize("block", [None, 1])
@pytest.mark.parametrize("meta_gradient", ["none", "second_order"])
def test_agents_of_several_families_are_learned_from_together(meta_gradient, block):
    """The same agents as two families, or as one, give the same update."""
    config = dataclasses.replace(
        CONFIG, meta_gradient=meta_gradient, tasks_per_update=3, agents_per_block=block
    )
    whole = probe.tasks()
    parts = tuple(jax.tree.map(lambda leaf, at=at: leaf[at], whole) for at in SLICES)
    _, state, _ = bind(meta_gradient)
    several = make_trainer(config, LEARNED, (probe.GAME, probe.GAME), TERMS)
    single = make_trainer(config, LEARNED, (probe.GAME,), TERMS)
    order, key = chosen_by(several, config, parts)
    together = jax.jit(several.update)(key, state, parts)
    with_order = jax.tree.map(lambda leaf: leaf[order], whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mermaide_jax.training.update.select_tasks", lambda key, *rest: with_order)
        alone = jax.jit(single.update)(jax.random.clone(key), state, (with_order,))
    np.testing.assert_allclose(together[1], alone[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        flat(together[0].optimizer), flat(alone[0].optimizer), rtol=1e-4, atol=1e-6
    )


SLICES = (slice(2), slice(2, 3))


def chosen_by(trainer, config, parts):
    """Which of the three agents the update draws, family by family, and its key."""
    key = jax.random.key(5)
    key_tasks = jax.random.split(jax.random.clone(key), 3)[0]
    sizes, order = family_sizes(config.tasks_per_update, len(parts)), []
    for own, part, size in zip(jax.random.split(key_tasks, len(parts)), parts, sizes, strict=True):
        drawn = select_tasks(own, config, probe.GAME, part, TERMS, size)
        order += np.asarray(drawn.env.target).tolist()
    return np.asarray(order), key


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (PARTS[0], "data: got 'a Task', expected a tuple of the tasks of 1 families"),
        (PARTS * 2, "data: got 2, expected a tuple of the tasks of 1 families"),
    ],
)
def test_tasks_that_are_not_of_each_family_are_refused(data, line):
    _, state, update = bind("none")
    with pytest.raises(ConfigError) as refusal:
        update(jax.random.key(0), state, data)
    assert str(refusal.value) == line


def test_games_without_an_agent_are_refused_where_arms_are_renamed():
    nameless = probe.GAME._replace(agent=None)
    make_trainer(CONFIG, LEARNED, (nameless,), TERMS)
    for change in ({"variation": "relabel"}, {"target_first": True}, {"variation": "endless"}):
        with pytest.raises(ConfigError, match="games: got None, expected games that name their"):
            make_trainer(dataclasses.replace(CONFIG, **change), LEARNED, (nameless,), TERMS)
    with pytest.raises(ConfigError, match="number of games: got 0"):
        make_trainer(CONFIG, LEARNED, (), TERMS)


@pytest.mark.parametrize("world_model", [True, False])
def test_entropy_bonus_falls_from_the_policys_first_update_on(world_model):
    config = dataclasses.replace(
        CONFIG, updates=50, world_model_updates=10, entropy_start=0.3, entropy_end=0.1
    )
    learned = probe.principal(NetworkConfig("mlp", 4, world_model=world_model))
    first = 10 if world_model else 0
    updates = np.array([first, (first + 50) // 2, 50], np.int32)
    bonus = [entropy_bonus(config, learned, jnp.int32(u)) for u in updates]
    np.testing.assert_allclose(bonus, [0.3, 0.2, 0.1], rtol=1e-6)
    sooner = dataclasses.replace(config, entropy_decay=2.0)
    bonus = [entropy_bonus(sooner, learned, jnp.int32(u)) for u in updates]
    np.testing.assert_allclose(bonus, [0.3, 0.15, 0.1], rtol=1e-6)
    only = dataclasses.replace(config, world_model_updates=50)
    assert np.isfinite(entropy_bonus(only, learned, jnp.int32(49)))


@pytest.mark.parametrize("episodes", [2, 5, 16])
@pytest.mark.parametrize("adaptation", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_budget_of_episodes_is_the_same_with_and_without_meta_learning(
    episodes, adaptation, share
):
    for name in VARIANTS:
        make = functools.partial(
            dataclasses.replace,
            CONFIG,
            meta_gradient=name,
            episodes_per_task=episodes,
            adaptation_episodes=adaptation,
            zero_shot_weight=share,
        )
        if name != "none" and episodes <= adaptation:
            with pytest.raises(ConfigError, match=r"^episodes_per_task: got"):
                make()
            continue
        config = make()
        assert config.episodes_before + config.episodes_after == episodes
        if name == "none":
            assert config.episodes_after == 0
        else:
            assert config.episodes_before >= adaptation
            assert config.episodes_after >= 1


def adam(gradients, rates, max_norm):
    """The steps of Adam (Kingma and Ba, 2015) on clipped gradients, one after the other."""
    first = second = 0.0
    steps = []
    for time, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        gradient = gradient * min(1.0, max_norm / np.linalg.norm(gradient))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9**time), second / (1 - 0.999**time)
        steps.append(-rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8))
    return np.array(steps)


@pytest.mark.parametrize("own_rate", [None, 0.5])
def test_optimizer_is_adam_on_clipped_gradients_at_a_falling_rate(own_rate):
    config = dataclasses.replace(
        CONFIG,
        outer_learning_rate=0.1,
        world_model_learning_rate=own_rate,
        final_learning_rate=0.2,
        max_gradient_norm=0.5,
    )
    optimizer = make_optimizer(config)
    rng = np.random.default_rng(0)
    sizes = np.array([0.01, 1.0, 100.0, 0.1])[:, None]  # the last two show what is clipped
    gradients = {n: sizes * rng.normal(size=(4, 3)) for n in ("policy", "world_model")}
    params = {name: jnp.zeros(3) for name in gradients}
    state, steps = optimizer.init(params), []
    for i in range(4):
        rows = {name: jnp.asarray(g[i], jnp.float32) for name, g in gradients.items()}
        updates, state = optimizer.update(rows, state, params)
        steps.append(updates)
    falling = np.array([1.0, 0.8, 0.6, 0.4])  # 0.2 is reached after the last of 4 updates
    for name, rate in (("policy", 0.1), ("world_model", own_rate or 0.1)):
        found = np.array([step[name] for step in steps])
        np.testing.assert_allclose(found, adam(gradients[name], rate * falling, 0.5), rtol=1e-4)


@pytest.mark.parametrize("inner_steps", [1, 2])
@pytest.mark.parametrize("meta_gradient", VARIANTS)
@pytest.mark.parametrize("network", [NetworkConfig("gru", 4, 2), OVER_ARMS], ids=["gru", "arms"])
def test_records_kept_while_playing_change_no_update(network, meta_gradient, inner_steps):
    """What is learned from activations is what is learned from a replay."""
    config = dataclasses.replace(CONFIG, meta_gradient=meta_gradient, inner_steps=inner_steps)
    game, learned, tasks = arena(network)
    rng = np.random.default_rng(0)
    draw = lambda x: jnp.asarray(rng.normal(size=x.shape) / 2, x.dtype)  # noqa: E731
    ends, params = [], jax.tree.map(draw, jax.eval_shape(learned.init_params, jax.random.key(0)))
    for principal in (learned, learned._replace(with_activations=None)):
        trainer = make_trainer(config, principal, (game,), TERMS)
        start = jax.jit(trainer.init)(jax.random.key(0))._replace(params=params)
        ends.append(jax.jit(trainer.update)(jax.random.key(5), start, tasks))
    (kept, told), (replayed, expected) = ends
    np.testing.assert_allclose(told, expected, rtol=1e-4)
    # Adam's first moment is a tenth of the gradient.
    np.testing.assert_allclose(flat(kept.optimizer), flat(replayed.optimizer), atol=2e-6)
    assert np.abs(flat(replayed.optimizer)).max() > 1e-3


@pytest.mark.parametrize(
    ("network", "size", "activations"),
    [
        (NetworkConfig("gru", 4, 1), None, True),
        (NetworkConfig("gru", 4, 1), 1, False),
        (OVER_ARMS, 1, True),
    ],
)
def test_blocks_keep_no_activations(network, size, activations, monkeypatch):
    """With them memory would grow with the number of agents, which blocks are there to prevent.

    What networks over arms read is no larger than the observations, times a few.
    """
    game, learned, tasks = arena(network)
    config = dataclasses.replace(CONFIG, meta_gradient="second_order", agents_per_block=size)
    played = []

    def watched(key, game, principal, *args, **kwargs):
        played.append(principal)
        return collect(key, game, principal, *args, **kwargs)

    monkeypatch.setattr("mermaide_jax.training.update.collect", watched)
    trainer = make_trainer(config, learned, (game,), TERMS)
    state = jax.eval_shape(trainer.init, jax.random.key(0))
    jax.eval_shape(trainer.update, jax.random.key(0), state, tasks)
    assert len(played) >= 2
    assert set(played) == {learned.with_activations if activations else learned.principal}
