"""The loop: streams, devices, chunks and interruptions change nothing in what is learned.

Nothing here is MERMAIDE's but the end of the file: what is trained is a linear regression, an
evolution strategy, or an update that does little but take part in everything (keys, data, the
number of the update, and failure).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import probe
import pytest
from streams import assert_same, keys

from mermaide_jax import games
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.training import (
    Phase,
    Trainer,
    TrainingConfig,
    TrainingDiverged,
    TrainState,
    loop,
    make_trainer,
    streams,
    train,
    warm_up_phases,
)

UPDATES, WARM_UP = 11, 4


def on_host(tree):
    return jax.tree.map(np.asarray, tree)


def first(number, tree):
    return jax.tree.map(lambda x: x[:number], tree)


def stream_of(tree, number):
    return jax.tree.map(lambda x: x[number], tree)


# --- what is trained ------------------------------------------------------------------------------


def regression():
    """Minibatches drawn by the key; metrics of four shapes and dtypes in a nested dict."""
    optimizer = optax.adam(0.1)

    def init(key):
        params = {"slope": jax.random.normal(key, (3,)), "offset": jnp.zeros(())}
        return params, optimizer.init(params)

    def update(key, state, data):
        params, moments = state
        rows = jax.random.randint(key, (4,), 0, data["x"].shape[0])

        def loss(params):
            return jnp.square(
                data["x"][rows] @ params["slope"] + params["offset"] - data["y"][rows]
            )

        grads = jax.grad(lambda p: loss(p).mean())(params)
        updates, moments = optimizer.update(grads, moments, params)
        errors = loss(params)
        metrics = {
            "loss": errors.mean(),
            "rows": {"drawn": rows, "large": errors > 1.0},
            "gradient": (grads["slope"].astype(jnp.float16), 7),
        }
        return (optax.apply_updates(params, updates), moments), metrics

    return Trainer(init, update)


def evolution():
    """An evolution strategy that climbs ``-|x - data|^2``: a state that is one bare array."""

    def update(key, mean, data):
        noise = jax.random.normal(key, (8, 2))
        fitness = -jnp.sum((mean + 0.1 * noise - data) ** 2, -1)
        weights = (fitness - fitness.mean()) / (fitness.std() + 1e-6)
        return mean + 0.01 * weights @ noise, fitness

    return Trainer(lambda key: jax.random.normal(key, (2,)), update)


def counting():
    """Integers alone, in state, data and metrics."""

    def update(key, state, data):
        drawn = jax.random.randint(key, data.shape, 0, 6)
        return {"seen": state["seen"] + (drawn == data)}, {"drawn": drawn}

    return Trainer(lambda key: {"seen": jnp.zeros((2,), jnp.int32)}, update)


def regression_data(number):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(number, 20, 3)).astype(np.float32)
    return {"x": jnp.asarray(x), "y": jnp.asarray(x @ np.asarray([1, -2, 0.5], np.float32) + 3.0)}


def points(number):
    return jnp.asarray(np.random.default_rng(1).normal(size=(number, 2)), jnp.float32)


def dice(number):
    return jnp.arange(2 * number, dtype=jnp.int32).reshape(number, 2) % 6


TRAINERS = {
    "regression": (regression(), regression_data),
    "evolution": (evolution(), points),
    "counting": (counting(), dice),
}


def by_hand(trainer, key, data, updates, phases=()):
    """One stream, update by update in Python, with the keys that `train` promises."""
    state = jax.jit(trainer.init)(jax.random.fold_in(key, 0))
    run_key, curve = jax.random.fold_in(jax.random.clone(key), 1), []
    for number in range(updates):
        left = [phase.update for phase in phases if number < phase.until]
        update = jax.jit(left[0] if left else trainer.update)
        draw = jax.random.fold_in(jax.random.clone(run_key), number)
        state, metrics = update(draw, state, data)
        curve.append(on_host(metrics))
    return on_host(state), jax.tree.map(lambda *x: np.stack(x), *curve)


@pytest.mark.parametrize(
    ("name", "side_by_side"),
    [("regression", 1), ("regression", None), ("evolution", 1), ("counting", 2)],
)
def test_equals_a_plain_loop_with_the_same_keys(name, side_by_side):
    trainer, data_of = TRAINERS[name]
    number, updates = 4, 30  # two streams on each device, two chunks
    state, history = train(
        keys(3, number), trainer, data_of(number), updates, side_by_side=side_by_side
    )
    assert state.update.tolist() == [updates] * number and state.failed_at.tolist() == [-1] * number
    for stream in range(number):
        key, data = keys(3, number)[stream], stream_of(data_of(number), stream)
        learner, curve = by_hand(trainer, key, data, updates)
        assert_same(on_host(stream_of(state.learner, stream)), learner, 1e-4)
        assert_same(stream_of(history, stream), jax.tree.map(np.asarray, curve), 1e-2)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(history))


def test_what_is_trained_is_learned():
    (fitted, _) = train(keys(0, 2), regression(), regression_data(2), 400)[0].learner
    np.testing.assert_allclose(fitted["slope"], [[1, -2, 0.5]] * 2, atol=0.05)
    np.testing.assert_allclose(fitted["offset"], [3, 3], atol=0.05)
    state, fitness = train(keys(0, 2), evolution(), points(2), 300)
    np.testing.assert_allclose(state.learner, points(2), atol=0.2)
    assert fitness.shape == (2, 300, 8) and fitness[:, -20:].mean() > fitness[:, :20].mean()


@pytest.mark.parametrize("name", ["evolution", "counting"])
def test_streams_depend_on_their_own_key_and_data_alone(name, monkeypatch):
    """On two devices, on one, all at once, beside others, and in another order."""
    trainer, data_of = TRAINERS[name]
    run = functools.partial(train, trainer=trainer, num_updates=30)
    assert streams.stream_mesh(4).devices.size == 2
    four = on_host(run(keys(3, 4), data=data_of(4)))
    beside = {
        "fewer": (on_host(run(keys(3, 4)[:2], data=first(2, data_of(4)))), slice(2)),
        "all at once": (on_host(run(keys(3, 4), data=data_of(4), side_by_side=None)), slice(4)),
        "backwards": (
            on_host(run(keys(3, 4)[::-1], data=jax.tree.map(lambda x: x[::-1], data_of(4)))),
            slice(None, None, -1),
        ),
        "odd": (on_host(run(keys(3, 4)[:3], data=first(3, data_of(4)))), slice(3)),
    }
    one_device = jax.sharding.Mesh(np.asarray(jax.devices()[:1]), ("streams",))
    monkeypatch.setattr(streams, "stream_mesh", lambda number: one_device)
    beside["one device"] = (on_host(run(keys(3, 4), data=data_of(4))), slice(4))
    for way, (other, places) in beside.items():
        expected = jax.tree.map(lambda x, p=places: x[p], four)
        for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(expected), strict=True):
            assert a.dtype == b.dtype, way
            exact = a.dtype.kind in "iub"
            np.testing.assert_allclose(a, b, rtol=0, atol=0 if exact else 1e-4, err_msg=way)
    # The comparison means something: the streams differ.
    leaf = jax.tree.leaves(four[1])[0]
    assert (leaf[0] != leaf[1]).any()


# --- chunks, phases and resuming, by an update that takes part in everything ----------------------


@pytest.fixture
def traces():
    """Traces of the two updates of `plain`."""
    return {"warm up": 0, "own": 0}


def plain(traces):
    """An update of one draw and one sum, and the phase before; traces of both are counted.

    It fails where the number of the update is the data's. Factors are powers of two, so that there
    is one rounding whatever the compiler makes of it, and values can be compared exactly.
    """

    def init(key):
        return {"number": jnp.int32(0), "x": jax.random.uniform(key, (3,))}

    def update(name, factor, key, state, data):
        traces[name] += 1
        x = factor * state["x"] + jax.random.uniform(key, (3,)) * data["scale"]
        x = jnp.where(data["fails_at"] == state["number"], jnp.nan, x)
        number = state["number"].astype(jnp.float32)
        metrics = {"number": number, "x": x, "large": x[:2, None] > 0.5}
        return {"number": state["number"] + 1, "x": x}, metrics

    own = functools.partial(update, "own", 0.5)
    before = (Phase(functools.partial(update, "warm up", -0.25), WARM_UP),)
    return Trainer(init, own), before


def plain_data(number, fails_at=()):
    fails = [*fails_at, *[-1] * number][:number]
    scale = 2.0 ** jnp.arange(number, dtype=jnp.float32)
    return {"scale": scale, "fails_at": jnp.asarray(fails, jnp.int32)}


def run(traces, data=None, **options):
    trainer, before = plain(traces)
    data = plain_data(2) if data is None else data
    state, history = train(keys(3, 2), trainer, data, UPDATES, before=before, **options)
    return on_host(state), history


def test_every_update_has_its_own_key_and_its_phase(traces):
    state, history = run(traces)
    trainer, before = plain(traces)
    for stream in range(2):
        data = stream_of(plain_data(2), stream)
        learner, curve = by_hand(trainer, keys(3, 2)[stream], data, UPDATES, before)
        assert_same(stream_of(state.learner, stream), learner)
        assert_same(stream_of(history, stream), curve)
    np.testing.assert_array_equal(history["number"], [range(UPDATES)] * 2)
    assert state.update.tolist() == [UPDATES] * 2 and state.failed_at.tolist() == [-1, -1]


def test_several_phases_follow_one_another():
    """Each adds a number of its own, as often as it lasts."""
    adds = lambda amount: lambda key, state, data: (state + amount, state)  # noqa: E731
    before = (Phase(adds(1), 2), Phase(adds(10), 2), Phase(adds(100), 5))
    trainer = Trainer(lambda key: jnp.int32(0), adds(1000))
    state, history = train(keys(0, 1), trainer, (), 7, before=before)
    assert history.tolist() == [[0, 1, 2, 102, 202, 302, 1302]]
    assert state.learner.tolist() == [2302]
    whole = train(keys(0, 1), trainer, (), 5, before=before)
    assert whole[0].learner.tolist() == [302]


@pytest.mark.parametrize("ends", [(5, 3), (12,), (3, 12)])
def test_phases_that_do_not_end_in_order_and_in_time_are_refused(ends, traces):
    trainer, _ = plain(traces)
    before = [Phase(trainer.update, until) for until in ends]
    expected = rf"^before: got \[{str(list(ends))[1:-1]}\], expected .* by 11 at the latest$"
    with pytest.raises(ConfigError, match=expected):
        train(keys(3, 2), trainer, plain_data(2), UPDATES, before=before)
    assert traces == {"warm up": 0, "own": 0}


@pytest.mark.parametrize("length", [1, 3, 100])
def test_length_of_the_chunks_does_not_matter(traces, monkeypatch, length):
    whole = run(traces)
    # `make_chunk` took its default when it was defined.
    monkeypatch.setattr(loop, "MAX_CHUNK", length)
    make = loop.make_chunk
    monkeypatch.setattr(
        loop,
        "make_chunk",
        lambda update, number, **options: make(update, number, length, **options),
    )
    assert_same(run(traces), whole)


def test_progress_is_told_after_every_chunk(traces, monkeypatch):
    monkeypatch.setattr(loop, "MAX_CHUNK", 3)
    told = []
    state, history = run(traces, on_chunk=told.append)
    assert [p.update for p in told] == [3, 4, 7, 10, 11]  # a chunk ends with its phase
    assert [p.length for p in told] == [3, 1, 3, 3, 1]
    # Read at the end: what was told is the caller's own, whatever was overwritten since.
    for progress in told:
        assert progress.state.update.tolist() == [progress.update] * 2
        assert_same(progress.history, jax.tree.map(lambda h, n=progress.update: h[:, :n], history))
        np.testing.assert_array_equal(
            progress.state.learner["x"], history["x"][:, progress.update - 1]
        )
    assert_same(told[-1].state, state)


def test_resumed_at_any_update_equals_uninterrupted(traces, monkeypatch):
    whole, saved = run(traces), {}
    with monkeypatch.context() as patch:
        patch.setattr(loop, "MAX_CHUNK", 1)
        run(traces, on_chunk=lambda p: saved.update({p.update: (p.state, p.history)}))
    assert list(saved) == list(range(1, UPDATES + 1))
    monkeypatch.setattr(loop, "MAX_CHUNK", 3)
    for stop, start in saved.items():
        later = []
        resumed = run(traces, resume=start, on_chunk=lambda p: later.append(p.update))  # noqa: B023
        assert_same(resumed, whole)
        assert later[-1:] == ([11] if stop < 11 else []) and all(n > stop for n in later)


def test_resumed_at_the_start_is_the_whole(traces):
    whole = run(traces)
    trainer, _ = plain(traces)
    start = loop.init_streams(trainer, jax.vmap(jax.random.fold_in, (0, None))(keys(3, 2), 0))
    history = jax.tree.map(lambda x: x[:, :0], whole[1])
    assert_same(run(traces, resume=(start, history)), whole)


def test_what_is_not_of_these_streams_is_refused_before_any_work(traces):
    saved = {}
    run(traces, on_chunk=lambda p: saved.update({p.update: (p.state, p.history)}))
    state, history = saved[4]
    failed = state._replace(failed_at=np.array([-1, 3], np.int32))
    behind = state._replace(update=np.array([4, 3], np.int32))
    three = jax.tree.map(lambda x: np.concatenate([x, x[:1]]), state)
    trainer, _ = plain(traces)
    train_with = lambda keys, data: train(keys, trainer, data, UPDATES)  # noqa: E731
    before = dict(traces)
    for refused, named in (
        (lambda: train_with(keys(3, 2)[0], plain_data(2)), r"keys: got \(\), "),
        (lambda: train_with(keys(3, 2), plain_data(1)), r"data: got \(1,\), "),
        (lambda: train_with(keys(3, 2), plain_data(2) | {"more": 1.0}), r"data: got \(\), "),
        (lambda: run(traces, resume=(three, history)), r"resume: got \(3,\)"),
        (lambda: run(traces, resume=(failed, history)), r"resume: got \[-1, 3\]"),
        (lambda: run(traces, resume=(behind, history)), r"resume: got \[4, 3\]"),
        (lambda: run(traces, resume=(state, saved[11][1])), r"resume: got \[4, 4\]"),
    ):
        with pytest.raises(ConfigError, match=named):
            refused()
    wrong: Any = (0, -1, 2.5)
    for number in wrong:
        with pytest.raises(ConfigError, match=rf"^num_updates: got {number}, expected an integer"):
            train(keys(3, 2), trainer, plain_data(2), number)
    assert traces == before


def test_each_phase_is_compiled_once(traces, monkeypatch):
    counts = []
    monkeypatch.setattr(loop, "MAX_CHUNK", 2)
    run(traces, on_chunk=lambda progress: counts.append(dict(traces)))
    assert len(counts) == 6  # two chunks of the phase before, four of the trainer's own
    assert counts[0] == counts[1] and counts[2] == counts[-1]
    assert counts[0]["own"] == 0 < counts[2]["own"]


def test_one_program_serves_other_data_and_lengths(traces):
    trainer, _ = plain(traces)
    chunk = loop.make_chunk(trainer.update, 2, 5)
    state, sizes = streams.place_streams(loop.init_streams(trainer, keys(3, 2)), 2), []
    for length, scale in ((5, 1.0), (2, 0.3)):
        lengths = jnp.full((2,), length, jnp.int32)
        data = plain_data(2) | {"scale": jnp.full((2,), scale)}
        state, metrics = chunk(keys(3, 2), state, data, lengths)
        assert metrics["large"].shape == (2, 5, 2, 1)
        sizes.append(dict(traces))
    assert np.asarray(state.update).tolist() == [7, 7]
    assert sizes[0] == sizes[1]


# --- failure, and what belongs to the caller ------------------------------------------------------


@pytest.mark.parametrize("failing", [2, 8])
def test_failure_freezes_one_stream_and_leaves_the_other(traces, failing):
    told, whole = [], {}
    with pytest.raises(TrainingDiverged, match=rf"at update {failing} \(streams \[1\]\)") as error:
        run(traces, plain_data(2, (-1, failing)), on_chunk=lambda p: told.append(p.update))
    failure = error.value
    assert failure.updates.tolist() == [-1, failing]
    assert told == ([] if failing < WARM_UP else [WARM_UP])
    run(traces, on_chunk=lambda p: whole.update({p.update: p}))
    end = whole[WARM_UP if failing < WARM_UP else UPDATES]
    assert np.asarray(failure.state.update).tolist() == [end.update, failing]
    assert np.asarray(failure.state.failed_at).tolist() == [-1, failing]
    # The stream that failed is where it was before; the other one at the end of the chunk.
    x, curve = np.asarray(failure.state.learner["x"]), whole[UPDATES].history["x"]
    np.testing.assert_array_equal(x, [curve[0, end.update - 1], curve[1, failing - 1]])
    assert failure.state.learner["number"].tolist() == [end.update, failing]
    # Metrics of the updates before, and none of the one that failed.
    assert_same(failure.history, jax.tree.map(lambda h: h[:, :failing], whole[UPDATES].history))


@pytest.mark.parametrize(
    ("value", "failed_at"), [(2.0, -1), (np.nan, 7), (np.inf, 7), (-np.inf, 7)]
)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.complex64])
def test_any_value_that_is_not_finite_is_a_failure(value, failed_at, dtype):
    """Anywhere in the state; what went before it is kept as it was."""
    learner = {"a": jnp.ones(2, dtype), "n": jnp.int32(3), "best": jnp.float32(jnp.inf)}
    old = TrainState(jnp.int32(7), learner, jnp.int32(-1))
    new = learner | {"a": jnp.asarray([2.0, value], dtype), "n": jnp.int32(4)}
    key = jax.random.key(0)
    state, metrics = loop.advance(lambda key, state, data: (new, data), key, old, 5.0)
    assert int(state.failed_at) == failed_at and metrics == 5.0
    if failed_at < 0:
        assert_same(state, TrainState(jnp.int32(8), new, jnp.int32(-1)))
        return
    assert_same(state._replace(failed_at=old.failed_at), old)
    # It stays where it failed, even if the next update is good.
    good = learner | {"n": jnp.int32(9)}
    later, _ = loop.advance(lambda key, state, data: (good, data), keys(1, 1)[0], state, 5.0)
    assert_same(later, state)


@pytest.mark.parametrize("best", [np.inf, -np.inf])
def test_what_starts_infinite_may_stay_so_but_not_become_nan(best):
    """Such as the best value so far of `optax.contrib.reduce_on_plateau`."""
    optimizer = optax.chain(
        optax.sgd(0.1), optax.contrib.reduce_on_plateau(patience=1, accumulation_size=5)
    )

    def update(key, state, data):
        del key
        x, moments, extreme, number = state
        updates, moments = optimizer.update(2 * x, moments, x, value=x**2)
        spoilt = jnp.where(data == number, jnp.nan, extreme)
        return (optax.apply_updates(x, updates), moments, spoilt, number + 1), x

    def init(key):
        x = jax.random.normal(key)
        return x, optimizer.init(x), jnp.float32(best), jnp.int32(0)

    trainer = Trainer(init, update)
    state, curve = train(keys(0, 2), trainer, jnp.full((2,), -1, jnp.int32), 3)
    assert np.isinf(state.learner[1][1].best_value).all() and (state.learner[2] == best).all()
    np.testing.assert_allclose(curve[:, 1:], 0.8 * curve[:, :-1], rtol=1e-6)
    with pytest.raises(TrainingDiverged) as error:
        train(keys(0, 2), trainer, jnp.asarray([-1, 2], jnp.int32), 3)
    assert error.value.updates.tolist() == [-1, 2]


def test_keys_may_be_part_of_a_state():
    """As the states of some environments have one; JAX's check of reuse is not made for loops."""

    def update(key, state, data):
        kept, drawn = jax.random.split(state["key"])
        x = state["x"] + jax.random.normal(drawn) + jax.random.normal(key)
        fresh, _ = jax.random.split(jax.random.fold_in(jax.random.clone(key), 1))
        return {"key": kept, "of_update": fresh, "x": x}, x

    init = lambda key: {  # noqa: E731
        "key": jax.random.fold_in(key, 0),
        "of_update": jax.random.fold_in(key, 1),
        "x": jnp.zeros(()),
    }
    told = []
    with jax.debug_key_reuse(False):
        trainer = Trainer(init, update)
        state, _ = train(keys(3, 2), trainer, dice(2), 4, on_chunk=told.append)
        learner, _ = by_hand_with_keys(trainer, keys(3, 2)[1], 4)
        numbers = jax.tree.map(
            lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x,
            (state.learner, told[0].state.learner, learner),
        )
    assert_same(on_host(stream_of(numbers[0], 1)), on_host(numbers[2]), 1e-5)
    assert_same(on_host(numbers[0]), on_host(numbers[1]))


def by_hand_with_keys(trainer, key, updates):
    state = trainer.init(jax.random.fold_in(key, 0))
    for number in range(updates):
        state, metrics = trainer.update(
            jax.random.fold_in(jax.random.fold_in(key, 1), number), state, None
        )
    return state, metrics


def test_the_callers_arrays_are_never_overwritten(traces):
    """States are donated from chunk to chunk; those of the caller are not."""
    saved = {}
    whole = run(traces, on_chunk=lambda p: saved.update({p.update: (p.state, p.history)}))
    state, history = saved[4]
    trainer, before = plain(traces)
    data, own_keys = plain_data(2), keys(3, 2)
    placed = streams.place_streams(jax.tree.map(jnp.asarray, state), 2)
    for start in (state, jax.tree.map(jnp.asarray, state), placed):
        former = jax.tree.map(np.array, (start, history, data))
        for _ in range(2):
            own = train(own_keys, trainer, data, UPDATES, before=before, resume=(start, history))
            assert_same((on_host(own[0]), own[1]), whole)
        assert_same(on_host((start, history, data)), former)


# --- MERMAIDE's own update ------------------------------------------------------------------------

LEARNED = probe.principal(NetworkConfig("mlp", 4))
ALONE = probe.principal(NetworkConfig("mlp", 4, world_model=False))
SMALL = TrainingConfig(
    updates=3,
    world_model_updates=0,
    tasks_per_update=3,
    episodes_per_task=4,
    meta_gradient="none",
    outer_learning_rate=0.01,
    variation="relabel",
)


def stacked(num_streams, cost=1.0):
    """Training agents of one family, ``[S, 3]``; each stream has costs of its own."""
    sets = [probe.tasks(cost=cost + s) for s in range(num_streams)]
    return (jax.tree.map(lambda *x: jnp.stack(x), *sets),)


def train_principal(num_streams=2, learned=LEARNED, tasks=None):
    own = (SMALL, learned, (probe.GAME,), games.Economics())
    tasks = stacked(num_streams) if tasks is None else tasks
    state, history = train(
        keys(3, num_streams), make_trainer(*own), tasks, SMALL.updates, before=warm_up_phases(*own)
    )
    return on_host(state), history


def test_principals_do_not_depend_on_each_other_nor_on_the_devices(monkeypatch):
    """The true update: two streams on two devices, on one, and beside a third."""
    two = train_principal()
    three = train_principal(3)
    one_device = jax.sharding.Mesh(np.asarray(jax.devices()[:1]), ("streams",))
    monkeypatch.setattr(streams, "stream_mesh", lambda number: one_device)
    alone = train_principal()
    for other in (alone, first(2, three)):
        assert_same(other, two, 1e-6)
    # The comparison means something: the streams differ, and learn.
    kernels = two[0].learner.params["policy"]["head"]["kernel"]
    assert np.abs(np.diff(kernels, axis=0)).max() > 1e-3
    assert two[0].update.tolist() == [3, 3] and two[0].learner.update.tolist() == [3, 3]


def test_only_principals_with_a_world_model_warm_it_up():
    config = dataclasses.replace(SMALL, world_model_updates=2)
    own = ((probe.GAME,), games.Economics())
    (phase,) = warm_up_phases(config, LEARNED, *own)
    assert phase.until == 2
    assert warm_up_phases(config, ALONE, *own) == warm_up_phases(SMALL, LEARNED, *own) == ()


def test_same_keys_same_result():
    once, again = (train_principal(learned=ALONE) for _ in range(2))
    assert_same(once, again)


def test_nan_of_the_true_update_stops_training():
    (tasks,) = stacked(2)
    env = tasks.env._replace(cost=tasks.env.cost.at[1, 2].set(jnp.nan))
    with pytest.raises(TrainingDiverged) as error:
        train_principal(learned=ALONE, tasks=(tasks._replace(env=env),))
    assert error.value.updates.tolist() == [-1, 0]
    learner = error.value.state.learner
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(learner))
