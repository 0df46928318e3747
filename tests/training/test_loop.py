"""The loop: streams, devices, chunks and interruptions change nothing in what is learned.

Most of it is shown with an update that does little but take part in everything: keys, tasks, the
number of the update, and failure. What the true update adds is shown with a small one.
"""

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from streams import assert_same, keys

from mermaide_jax import games
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.training import (
    Metrics,
    TrainingConfig,
    TrainingDiverged,
    TrainState,
    Update,
    loop,
    train,
)
from mermaide_jax.training.update import _advance

CONFIG = TrainingConfig(
    updates=11,
    world_model_updates=4,
    tasks_per_update=3,
    episodes_per_task=4,
    inner_learning_rate=0.05,
    variation="none",
    target_first=False,
)
LEARNED = probe.principal(NetworkConfig("mlp", 4))
ALONE = probe.principal(NetworkConfig("mlp", 4, world_model=False))


def stacked(num_streams, cost=1.0):
    """Training agents ``[S, 3]``; each stream has costs of its own."""
    sets = [probe.tasks(cost=cost + s) for s in range(num_streams)]
    return jax.tree.map(lambda *x: jnp.stack(x), *sets)


def run(num_streams=2, learned=LEARNED, config=CONFIG, tasks=None, **options):
    tasks = stacked(num_streams) if tasks is None else tasks
    state, history = train(
        keys(3, num_streams), config, learned, probe.GAME, tasks, games.Economics(), **options
    )
    return jax.tree.map(np.asarray, state), history


def first(number, tree):
    return jax.tree.map(lambda x: x[:number], tree)


@pytest.fixture
def plain(monkeypatch):
    """An update of one draw and one product; the traces of it are counted, phase by phase.

    It fails where the number of the update is the target of its first agent, plus 100.
    """
    traces = {True: 0, False: 0}

    def make_update(config, learned, game, economics, *, world_model_only=False):
        def init(key):
            params = {"policy": jax.random.normal(key, (3,))}
            return TrainState(jnp.int32(0), params, jnp.zeros(()), jnp.int32(-1))

        def update(key, state, tasks):
            traces[world_model_only] += 1
            noise = jax.random.normal(key, (3,))
            factor = 0.5 if world_model_only else 0.9
            params = {"policy": factor * state.params["policy"] + noise * tasks.cost.mean()}
            loss = jnp.where(tasks.target[0] - 100 == state.update, jnp.nan, 0.0)
            number = state.update.astype(jnp.float32)
            metrics = Metrics(*(number + i for i in range(5)), params["policy"][0])
            return _advance(state, loss, params, state.optimizer + 1), metrics

        return Update(init, update)

    monkeypatch.setattr(loop, "make_update", make_update)
    return traces


def by_hand(stream):
    """What `plain` gives for one stream, update by update in Python."""
    key = keys(3, 2)[stream]
    params = jax.random.normal(jax.random.fold_in(key, 0), (3,))
    run_key, curve = jax.random.fold_in(jax.random.clone(key), 1), []
    for number in range(CONFIG.updates):
        draw = jax.random.fold_in(jax.random.clone(run_key), number)
        factor = 0.5 if number < CONFIG.world_model_updates else 0.9
        params = factor * params + jax.random.normal(draw, (3,)) * (1.0 + stream)
        curve.append(params[0])
    return params, curve


def test_every_update_has_its_own_key_and_its_phase(plain):
    state, history = run()
    for stream in range(2):
        params, curve = by_hand(stream)
        np.testing.assert_allclose(state.params["policy"][stream], params, rtol=1e-5)
        np.testing.assert_allclose(history.adapted_score[stream], curve, rtol=1e-5)
        np.testing.assert_array_equal(history.score[stream], np.arange(11))
    assert state.update.tolist() == [11, 11] and state.failed_at.tolist() == [-1, -1]


def test_a_principal_without_world_model_trains_its_policy_from_the_start(plain):
    run(learned=ALONE)
    assert plain[True] == 0 and plain[False] > 0


@pytest.mark.parametrize("length", [3, 100])
def test_length_of_the_chunks_does_not_matter(plain, monkeypatch, length):
    whole = run()
    # `make_chunk` took its default when it was defined.
    monkeypatch.setattr(loop, "MAX_CHUNK", length)
    make = loop.make_chunk
    monkeypatch.setattr(loop, "make_chunk", lambda update, number: make(update, number, length))
    assert_same(run(), whole)


def test_progress_is_told_after_every_chunk(plain, monkeypatch):
    monkeypatch.setattr(loop, "MAX_CHUNK", 3)
    told = []
    state, history = run(on_chunk=told.append)
    assert [p.update for p in told] == [3, 4, 7, 10, 11]  # a chunk ends with its phase
    per_update = 2 * 3 * 4 * probe.STEPS  # streams, agents, episodes, steps
    assert [p.steps for p in told] == [n * per_update for n in (3, 1, 3, 3, 1)]
    for progress in told:
        assert progress.history.score.shape == (2, progress.update)
        assert np.asarray(progress.state.update).tolist() == [progress.update] * 2
        assert_same(
            first(2, progress.history), Metrics(*(h[:, : progress.update] for h in history))
        )
    assert_same(jax.tree.map(np.asarray, told[-1].state), state)


@pytest.mark.parametrize("stop", [3, 7, 11])
def test_resumed_equals_uninterrupted(plain, monkeypatch, stop):
    monkeypatch.setattr(loop, "MAX_CHUNK", 3)
    saved = {}
    whole = run(on_chunk=lambda p: saved.update({p.update: (p.state, p.history)}))
    later = []
    resumed = run(resume=saved[stop], on_chunk=lambda p: later.append(p.update))
    assert later == [n for n in (3, 4, 7, 10, 11) if n > stop]
    assert_same(resumed, whole)


def test_what_is_not_of_these_streams_is_refused_before_any_work(plain):
    saved = {}
    run(on_chunk=lambda p: saved.update({p.update: (p.state, p.history)}))
    state, history = saved[4]
    one = jax.tree.map(lambda leaf: leaf[:1], stacked(2))
    failed = state._replace(failed_at=np.array([-1, 3], np.int32))
    behind = state._replace(update=np.array([4, 3], np.int32))
    before = dict(plain)
    for refused, named in (
        (lambda: train_with(keys(3, 2)[0], stacked(2)), "keys: got"),
        (lambda: train_with(keys(3, 2), one), r"tasks.target: got \(1, "),
        (lambda: train_with(keys(3, 2), probe.tasks()), "tasks.target: got"),
        (lambda: run(resume=(failed, history)), r"resume: got \[-1, 3\]"),
        (lambda: run(resume=(behind, history)), r"resume: got \[4, 3\]"),
        (lambda: run(resume=(state, saved[11][1])), r"resume: got \[4, 4\]"),
    ):
        with pytest.raises(ConfigError, match=named):
            refused()
    assert plain == before


def train_with(keys, tasks):
    return train(keys, CONFIG, LEARNED, probe.GAME, tasks, games.Economics())


def test_each_phase_is_compiled_once(plain, monkeypatch):
    counts = []
    monkeypatch.setattr(loop, "MAX_CHUNK", 2)
    run(on_chunk=lambda progress: counts.append(dict(plain)))
    assert len(counts) == 6  # two chunks of the world model alone, four of both
    assert counts[0] == counts[1] and counts[2] == counts[-1]


def test_one_program_serves_other_terms_and_lengths(plain):
    update = loop.make_update(CONFIG, LEARNED, probe.GAME, games.Economics())
    chunk = loop.make_chunk(update, 2, 5)
    placement = jax.sharding.NamedSharding(loop.stream_mesh(2), jax.P("streams"))
    state, sizes = jax.device_put(loop.init_streams(update, keys(3, 2)), placement), []
    for length, cost in ((5, 1.0), (2, 0.3)):
        lengths = jnp.full((2,), length, jnp.int32)
        state, _ = chunk(keys(3, 2), state, stacked(2, cost), lengths)
        sizes.append(dict(plain))
    assert np.asarray(state.update).tolist() == [7, 7]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("world_model_only", [True, False])
def test_failure_stops_training_and_keeps_the_last_good_state(plain, world_model_only):
    failing = 2 if world_model_only else 8
    tasks = stacked(2)
    tasks = tasks._replace(target=tasks.target.at[1].set(100 + failing))
    told = []
    with pytest.raises(TrainingDiverged, match=rf"at update {failing} \(streams \[1\]\)") as error:
        run(tasks=tasks, on_chunk=lambda p: told.append(p.update))
    failure = error.value
    assert failure.updates.tolist() == [-1, failing]
    assert told == ([] if world_model_only else [4])
    assert np.asarray(failure.state.update)[1] == failing
    whole = {}
    run(on_chunk=lambda p: whole.update({p.update: p.history.adapted_score}))
    last_good = whole[11][1, failing - 1]
    np.testing.assert_allclose(failure.state.params["policy"][1, 0], last_good, rtol=1e-6)
    # Metrics of the updates before, and none of the one that failed.
    assert failure.history.score.shape == (2, failing)
    np.testing.assert_array_equal(failure.history.adapted_score, whole[11][:, :failing])


SMALL = TrainingConfig(
    updates=3,
    world_model_updates=0,
    tasks_per_update=3,
    episodes_per_task=4,
    meta_gradient="none",
    outer_learning_rate=0.01,
    variation="relabel",
)


def test_streams_do_not_depend_on_each_other_nor_on_the_devices(monkeypatch):
    """The true update: two streams on two devices, on one, and beside a third."""
    assert loop.stream_mesh(2).devices.size == 2
    two = run(config=SMALL)
    three = run(3, config=SMALL)
    monkeypatch.setattr(loop, "stream_mesh", lambda number: one_device)
    one_device = jax.sharding.Mesh(np.asarray(jax.devices()[:1]), ("streams",))
    alone = run(config=SMALL)
    for other in (alone, first(2, three)):
        assert_same(other, two, 1e-6)
    # The comparison means something: the streams differ, and learn.
    assert np.abs(np.diff(two[0].params["policy"]["head"]["kernel"], axis=0)).max() > 1e-3
    assert two[0].update.tolist() == [3, 3]


def test_same_keys_same_result():
    runs = [run(config=SMALL, learned=ALONE) for _ in range(2)]
    assert_same(*runs)


def test_nan_of_the_true_update_stops_training():
    tasks = stacked(2)
    tasks = tasks._replace(cost=tasks.cost.at[1, 2].set(jnp.nan))
    with pytest.raises(TrainingDiverged) as error:
        run(config=SMALL, learned=ALONE, tasks=tasks)
    assert error.value.updates.tolist() == [-1, 0]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(error.value.state.params))
