"""A study that was interrupted and resumed ends bit for bit where one at a stretch ends."""

import dataclasses
import json
import pickle
import shutil
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.studies.mermaide import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
    learned,
)
from mermaide_jax.studies.mermaide.run import check_resumable, load_study, train_study
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import TrainingConfig, TrainState, checkpoint, loop

CONFIG = StudyConfig(
    game=GameOptions(horizon=4, num_arms=3),
    agents=AgentOptions(families=("ucb",), train=3, test=2),
    network=NetworkConfig(architecture="mlp", features=3),
    training=TrainingConfig(
        updates=7,
        world_model_updates=3,
        tasks_per_update=2,
        episodes_per_task=2,
        meta_gradient="none",
    ),
    evaluation=EvaluationOptions(episodes=2),
    principals=("world_model_without_meta",),
    seeds=2,
)


def assert_same(first, second):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.fixture
def small_steps(monkeypatch, tmp_path_factory):
    """Short chunks, a checkpoint after each, and no program compiled twice."""
    cache = {
        "jax_enable_compilation_cache": True,
        "jax_compilation_cache_dir": str(tmp_path_factory.getbasetemp() / "compiled"),
        "jax_persistent_cache_min_compile_time_secs": 0.5,
    }
    former = {name: getattr(jax.config, name) for name in cache}
    for name, value in cache.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    monkeypatch.setattr(loop, "MAX_CHUNK", 2)
    monkeypatch.setattr(learned, "SAVE_EVERY", 2)
    yield
    for name, value in former.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def test_resumed_equals_uninterrupted(tmp_path, small_steps):
    whole = train_study(CONFIG, tmp_path)
    _, loaded = load_study(tmp_path)
    assert_same(whole, loaded)

    broken = tmp_path / "broken"
    broken.mkdir()
    seen = []

    def stop_at_five(name, progress):
        seen.append(progress.update)
        if progress.update >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_study(CONFIG, broken, on_progress=stop_at_five)
    assert seen == [2, 3, 5]  # the world model alone for 3 updates, then both
    later = []
    resumed = train_study(
        CONFIG, broken, resume=True, on_progress=lambda name, p: later.append(p.update)
    )
    assert later == [7]  # went on from update 5, whose checkpoint fell due after the warm-up
    assert_same(whole, resumed)


class FlatState(NamedTuple):
    """How an earlier release laid out the state of training."""

    update: Any
    params: Any
    optimizer: Any
    failed_at: Any


def test_checkpoints_of_an_earlier_release_are_read(tmp_path, small_steps):
    (trained,) = train_study(CONFIG, tmp_path).values()
    state, where = trained.state, tmp_path / "checkpoints" / CONFIG.principals[0]
    _, params, optimizer = state.learner
    flat: Any = FlatState(state.update, params, optimizer, state.failed_at)
    checkpoint.clear_checkpoints(where)
    checkpoint.save_checkpoint(where, flat, trained.history)
    _, loaded = load_study(tmp_path)
    assert_same(loaded[CONFIG.principals[0]], trained)


def test_a_run_trained_otherwise_is_not_resumed(tmp_path):
    with pytest.raises(ConfigError, match=r"config.json: got no readable file"):
        check_resumable(CONFIG, tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        check_resumable(CONFIG, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(CONFIG)))
    check_resumable(dataclasses.replace(CONFIG, evaluation=EvaluationOptions(shots=(3,))), tmp_path)
    with pytest.raises(ConfigError, match=r"^seeds: got 3, expected the saved 2"):
        check_resumable(dataclasses.replace(CONFIG, seeds=3), tmp_path)
    game = dataclasses.replace(CONFIG.game, cost=0.5)
    with pytest.raises(ConfigError, match=r"^game.cost: got 0.5, expected the saved 0.75"):
        check_resumable(dataclasses.replace(CONFIG, game=game), tmp_path)
    entropy = (("reinforce", 5.0),)
    with pytest.raises(
        ConfigError, match=r"^baseline_entropy: got .*5.0.*, expected the saved \(\)"
    ):
        check_resumable(dataclasses.replace(CONFIG, baseline_entropy=entropy), tmp_path)


@pytest.mark.parametrize(("rate", "cost"), [(1e38, 0.75), (1e-3, 3e38)])
def test_the_last_good_state_of_a_diverged_run_can_be_restored(tmp_path, small_steps, rate, cost):
    config = dataclasses.replace(
        CONFIG,
        game=dataclasses.replace(CONFIG.game, cost=cost),
        training=dataclasses.replace(CONFIG.training, outer_learning_rate=rate),
        principals=("reinforce",),
    )
    with pytest.raises(loop.TrainingDiverged) as failure:
        train_study(config, tmp_path)
    assert (failure.value.history.score.shape[1] == 0) == (cost > 1)  # at the very first update
    setting = make_setting(config)
    directory = tmp_path / "checkpoints" / "reinforce" / "last_good"
    saved = learned.load_principal("reinforce", config, setting, directory)
    said = pickle.loads(pickle.dumps(failure.value))  # as from a process of a pool
    assert str(said) == str(failure.value)
    assert_same((said.state, said.history), (failure.value.state, failure.value.history))
    assert_same(saved, (failure.value.state, failure.value.history))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(saved.params))
    # Of a run that ends well, and does not go on from that one, nothing of it is left.
    train_study(dataclasses.replace(CONFIG, principals=("reinforce",)), tmp_path)
    assert not checkpoint.has_checkpoint(directory)


def test_an_interrupted_run_goes_on_from_its_last_update(tmp_path, small_steps, monkeypatch):
    monkeypatch.setattr(learned, "SAVE_EVERY", 100)

    def stop(name, progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_study(CONFIG, tmp_path, on_progress=stop)
    seen = []
    train_study(CONFIG, tmp_path, resume=True, on_progress=lambda name, p: seen.append(p.update))
    assert seen == [3, 5, 7]  # not 2 again


def test_a_directory_that_is_used_anew_keeps_nothing_of_the_former_run(tmp_path, small_steps):
    """Else a principal that is added later would go on from the former run."""
    both = ("world_model_without_meta", "reinforce")
    config = dataclasses.replace(CONFIG, principals=both, seeds=1)
    train_study(config, tmp_path)
    again = dataclasses.replace(config, seed=7)
    train_study(dataclasses.replace(again, principals=both[:1]), tmp_path)
    assert not checkpoint.has_checkpoint(tmp_path / "checkpoints" / both[1])
    seen = []
    train_study(again, tmp_path, resume=True, on_progress=lambda name, p: seen.append(name))
    assert set(seen) == {"reinforce"}


@pytest.mark.parametrize("name", ["cost=[0.5]", "what?", "all*"])
def test_directories_may_be_called_anything(tmp_path, name, tiny_state):
    state, metrics, history = tiny_state
    where = tmp_path / name / "run"
    checkpoint.save_checkpoint(where, state, history)
    assert_same(checkpoint.restore_checkpoint(where, state, metrics), (state, history))
    checkpoint.clear_checkpoints(where)
    assert not checkpoint.has_checkpoint(where)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # orbax's threads
def test_a_damaged_checkpoint_is_named_as_what_it_is(tmp_path, tiny_state):
    state, metrics, history = tiny_state
    for step in (1, 2):
        part = jax.tree.map(lambda curve, n=step: curve[:, :n], history)
        checkpoint.save_checkpoint(tmp_path, state, part)
    damaged = tmp_path / "2" / "default" / "manifest.ocdbt"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"^checkpoint: got .*/2', expected whole files; remove"):
        checkpoint.restore_checkpoint(tmp_path, state, metrics)
    shutil.rmtree(tmp_path / "2")
    _, found = checkpoint.restore_checkpoint(tmp_path, state, metrics)
    assert found["score"].shape == (1, 1)


@pytest.fixture
def tiny_state():
    """A state of one stream, metrics of one update, and the history of two."""
    numbers: Any = np.full(1, 2, np.int32)
    state = TrainState(numbers, {"w": np.ones((1, 2), np.float32)}, numbers - 3)
    metrics = {"score": jax.ShapeDtypeStruct((), np.float32)}
    return state, metrics, {"score": np.zeros((1, 2), np.float32)}


def test_reading_makes_no_directory(tmp_path):
    state, metrics = learned.blank_state("reinforce", CONFIG, make_setting(CONFIG))
    with pytest.raises(ConfigError, match=r"^checkpoint: got .*nowhere.*, expected a directory"):
        checkpoint.restore_checkpoint(tmp_path / "nowhere", state, metrics)
    assert not list(tmp_path.iterdir())
