"""Checkpoints hold any state and any metrics, and give back what fits alone."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from streams import assert_same, keys

from mermaide_jax.errors import ConfigError
from mermaide_jax.training import Trainer, TrainState, train
from mermaide_jax.training.checkpoint import (
    clear_checkpoints,
    has_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from mermaide_jax.training.loop import start_state

STREAMS = 2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Moments:
    """A state may be a tuple, a dict, a dataclass, or all of them."""

    first: jax.Array
    counts: tuple


def make_trainer(size=3, dtype=jnp.float32):
    optimizer = optax.chain(optax.clip(1.0), optax.adam(0.1))

    def init(key):
        params = {"w": jax.random.normal(key, (size,), dtype), "half": jnp.ones(2, jnp.bfloat16)}
        moments = Moments(jnp.zeros((2, 2)), (jnp.int32(0), jnp.zeros((), bool)))
        return params, moments, optimizer.init(params)

    def update(key, state, data):
        params: Any
        params, moments, optimizer_state = state
        grads = jax.tree.map(lambda p: p * data.astype(p.dtype), params)
        updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        params = optax.apply_updates(params, updates)
        count, flag = moments.counts
        moments = Moments(moments.first + 0.5, (count + 1, ~flag))
        noise = jax.random.normal(key, (3, 2))
        metrics = {
            "norm": jnp.linalg.norm(params["w"]),
            "noise": (noise, noise > 0),
            "count": count,
        }
        return (params, moments, optimizer_state), metrics

    return Trainer(init, update)


TRAINER = make_trainer()
DATA = jnp.asarray([0.5, 2.0])


def shapes(trainer=TRAINER, streams=STREAMS):
    """What `restore_checkpoint` needs to know, found without computing anything."""
    state = jax.eval_shape(jax.vmap(lambda k: start_state(trainer, k)), keys(0, streams))
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), state.learner)
    metrics = jax.eval_shape(trainer.update, jax.random.key(0), one, DATA[0])[1]
    return state, metrics


@functools.cache
def trained(updates=3, trainer=TRAINER):
    state, history = train(keys(0, STREAMS), trainer, DATA, updates)
    return jax.tree.map(np.asarray, state), history


def test_any_state_and_metrics_are_given_back(tmp_path):
    state, history = trained()
    save_checkpoint(tmp_path, state, history)
    found, curves = restore_checkpoint(tmp_path, *shapes())
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert_same(jax.tree.map(np.asarray, found), state)
    assert jax.tree.structure(curves) == jax.tree.structure(history)
    assert_same(curves, history)
    assert curves["noise"][0].shape == (STREAMS, 3, 3, 2) and curves["noise"][1].dtype == bool


@pytest.mark.parametrize("stop", [0, 1, 2, 4])
def test_training_goes_on_exactly_from_what_was_read(tmp_path, stop):
    whole = trained(5)
    if stop:
        save_checkpoint(tmp_path, *trained(stop))
    else:
        fresh = jax.vmap(lambda k: start_state(TRAINER, jax.random.fold_in(k, 0)))(keys(0, STREAMS))
        save_checkpoint(tmp_path, fresh, jax.tree.map(lambda h: h[:, :0], whole[1]))
    start = restore_checkpoint(tmp_path, *shapes())
    state, history = train(keys(0, STREAMS), TRAINER, DATA, 5, resume=start)
    assert_same((jax.tree.map(np.asarray, state), history), whole)


@pytest.mark.parametrize("metrics", [None, {}, ()])
def test_without_metrics_the_state_counts_the_updates(tmp_path, metrics):
    trainer = TRAINER._replace(update=lambda *args: (TRAINER.update(*args)[0], metrics))
    for updates in (2, 3):
        save_checkpoint(tmp_path, *trained(updates, trainer))
    state, history = restore_checkpoint(tmp_path, *shapes(trainer))
    assert state.update.tolist() == [3, 3] and history == metrics
    start = (state, history)
    again = train(keys(0, STREAMS), trainer, DATA, 5, resume=start)[0]
    assert_same(jax.tree.map(np.asarray, again), trained(5)[0])


def test_typed_keys_of_a_state_are_kept(tmp_path):
    state = TrainState(jnp.int32([1, 1]), {"key": keys(4, STREAMS)}, jnp.int32([-1, -1]))
    save_checkpoint(tmp_path, state, np.zeros((STREAMS, 1)))
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
    found, _ = restore_checkpoint(tmp_path, like, jax.ShapeDtypeStruct((), np.float64))
    ours, theirs = (jax.random.key_data(tree.learner["key"]) for tree in (found, state))
    np.testing.assert_array_equal(ours, theirs)
    assert found.learner["key"].dtype == state.learner["key"].dtype


def test_the_two_newest_are_kept_and_the_newest_is_read(tmp_path):
    for updates in (1, 2, 3):
        save_checkpoint(tmp_path, *trained(updates))
    kept = sorted(path.name for path in tmp_path.iterdir() if path.name.isdigit())
    assert kept == ["2", "3"]
    assert restore_checkpoint(tmp_path, *shapes())[0].update.tolist() == [3, 3]


def test_a_stream_that_failed_does_not_count_the_updates(tmp_path):
    """It stopped at its own; the history is that of all streams."""
    state, history = trained()
    frozen = state._replace(update=jnp.int32([3, 1]), failed_at=jnp.int32([-1, 1]))
    save_checkpoint(tmp_path, frozen, jax.tree.map(lambda h: h[:, :1], history))
    found, curves = restore_checkpoint(tmp_path, *shapes())
    assert found.failed_at.tolist() == [-1, 1] and curves["norm"].shape == (STREAMS, 1)


def more_metrics(state, metrics):
    return state, metrics | {"more": jax.ShapeDtypeStruct((), np.float32)}


def other_metrics(state, metrics):
    return state, metrics | {"norm": jax.ShapeDtypeStruct((2,), np.float32)}


def fewer_leaves(state, metrics):
    params, moments, _ = state.learner
    return state._replace(learner=(params, moments)), metrics


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s, m: shapes(make_trainer(size=4)), id="another size"),
        pytest.param(lambda s, m: shapes(make_trainer(size=2)), id="a smaller size"),
        pytest.param(lambda s, m: shapes(streams=3), id="more streams"),
        pytest.param(lambda s, m: shapes(streams=1), id="fewer streams"),
        pytest.param(fewer_leaves, id="fewer leaves"),
        pytest.param(more_metrics, id="more metrics"),
        pytest.param(other_metrics, id="metrics of another shape"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, change):
    save_checkpoint(tmp_path, *trained())
    with pytest.raises(ConfigError) as refused:
        restore_checkpoint(tmp_path, *change(*shapes()))
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"checkpoint: got {str(tmp_path)!r}, expected one that fits the config")
    assert len(line) < len(str(tmp_path)) + 300


def test_reading_makes_no_directory(tmp_path):
    with pytest.raises(ConfigError, match=r"^checkpoint: got .*nowhere.*, expected a directory"):
        restore_checkpoint(tmp_path / "nowhere", *shapes())
    assert not has_checkpoint(tmp_path / "nowhere") and not has_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())


def test_clearing_removes_checkpoints_and_nothing_else(tmp_path):
    save_checkpoint(tmp_path, *trained())
    (tmp_path / "mine.txt").touch()
    assert has_checkpoint(tmp_path)
    clear_checkpoints(tmp_path)
    assert not has_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    clear_checkpoints(tmp_path / "nowhere")


def test_a_checkpoint_that_was_interrupted_is_not_read(tmp_path):
    save_checkpoint(tmp_path, *trained(1))
    (tmp_path / "2.orbax-checkpoint-tmp-1").mkdir()  # as orbax leaves it
    assert restore_checkpoint(tmp_path, *shapes())[0].update.tolist() == [1, 1]
