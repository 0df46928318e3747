"""Training and testing one learned principal on all streams of a study."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from mermaide_jax import meta
from mermaide_jax.base import Game, Principal, Task, Trajectory
from mermaide_jax.evaluation.protocol import Scores, adapt_to_tasks, summarise
from mermaide_jax.games import collect
from mermaide_jax.principals import LearnedPrincipal, learned_principal
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.setting import Setting, Stream
from mermaide_jax.training import (
    Metrics,
    Progress,
    TrainingConfig,
    TrainingDiverged,
    TrainState,
    make_adapt,
    make_update,
    over_streams,
    train,
)
from mermaide_jax.training.checkpoint import (
    clear_checkpoints,
    has_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)

SAVE_EVERY = 250
"""Updates between two checkpoints."""
LAST_GOOD = "last_good"
"""Where a run that diverges leaves its last good state, below its checkpoints."""


class Trained(NamedTuple):
    """A principal after training: its state ``[S]`` and metrics ``[S, updates]``."""

    state: TrainState
    history: Metrics


def build(
    name: str, config: StudyConfig, setting: Setting
) -> tuple[LearnedPrincipal, TrainingConfig]:
    """The networks of principal ``name`` and how it is trained."""
    network, training = principal_configs(name, config)
    game = setting.game
    learned = learned_principal(
        network,
        game.observation_size,
        game.num_arms,
        game.num_interventions,
        game.payment_kind == "arms",
    )
    return learned, training


def train_principal(
    name: str,
    config: StudyConfig,
    setting: Setting,
    directory: Path | None,
    *,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Trains principal ``name`` on every stream, saving checkpoints on the way.

    Args:
      name: a learned principal.
      config: the study.
      setting: its game and agents.
      directory: where its checkpoints go, or None for none.
      resume: go on from the newest checkpoint, if there is one; else former ones are removed.
      on_progress: called after every chunk of updates.

    Raises:
      TrainingDiverged: NaN or infinity; the last good state was saved.
    """
    learned, training = build(name, config, setting)
    start = None
    if directory is not None:
        # What a former run left there would be taken for this one's.
        clear_checkpoints(directory / LAST_GOOD)
        if not resume:
            clear_checkpoints(directory)
        elif has_checkpoint(directory):
            start = restore_checkpoint(directory, blank_state(name, config, setting))

    saved = 0 if start is None else int(np.asarray(start[0].update)[0])

    def on_chunk(progress: Progress) -> None:
        nonlocal saved
        if directory is not None and progress.update - saved >= SAVE_EVERY:
            save_checkpoint(directory, progress.state, progress.history)
            saved = progress.update
        on_progress(progress)

    try:
        state, history = train(
            setting.keys,
            training,
            learned,
            setting.game,
            setting.train,
            config.game.economics,
            resume=start,
            on_chunk=on_chunk,
        )
    except TrainingDiverged as failure:
        if directory is not None:
            save_checkpoint(directory / LAST_GOOD, failure.state, failure.history)
        raise
    if directory is not None:
        save_checkpoint(directory, state, history)
    return Trained(state, history)


def load_principal(name: str, config: StudyConfig, setting: Setting, directory: Path) -> Trained:
    """The newest checkpoint of principal ``name``."""
    return Trained(*restore_checkpoint(directory, blank_state(name, config, setting)))


def blank_state(name: str, config: StudyConfig, setting: Setting) -> TrainState:
    """Shapes and dtypes of the training state of all streams; computes nothing."""
    learned, training = build(name, config, setting)
    update = make_update(training, learned, setting.game, config.game.economics)
    return jax.eval_shape(jax.vmap(update.init), setting.keys)


class Evaluation(NamedTuple):
    """A principal's test: scores ``[S, m]`` and one episode with each agent, ``[S, m, T]``."""

    scores: Scores
    episode: Trajectory


def evaluate_principal(
    name: str,
    config: StudyConfig,
    setting: Setting,
    trained: Trained,
    adapt: meta.Adapt | None = None,
) -> dict[int, Evaluation]:
    """Adapts every stream to its test agents on K episodes and plays fresh ones (Algorithm 2).

    Args:
      name: a learned principal.
      config: the study.
      setting: its game and agents.
      trained: the principal, trained.
      adapt: how it adapts; None: as in training.

    Returns:
      For each ``K`` in ``config.evaluation.shots`` an `Evaluation`, as numpy arrays. Playing is
      compiled once for all ``K``.
    """
    learned, training = build(name, config, setting)
    game, num_streams = setting.game, len(setting.streams)
    adapt = adapt or make_adapt(training, learned)

    def adapt_on(num_shots):
        def one_stream(key, params, tasks):
            return adapt_to_tasks(key, game, learned, adapt, params, tasks, num_shots)

        return over_streams(one_stream, num_streams)

    play_streams = _player(game, learned.principal, config.evaluation.episodes, num_streams)
    keys_adapt, keys_play = (stream_keys(setting, use) for use in ("adapt", "play"))
    tests = {}
    for num_shots in config.evaluation.shots:
        # The same draws for every K, on purpose: clones, or JAX's key-reuse check refuses them.
        key_adapt, key_play = jax.random.clone(keys_adapt), jax.random.clone(keys_play)
        adapted = adapt_on(num_shots)(key_adapt, trained.state.params, setting.test)
        tests[num_shots] = jax.tree.map(np.asarray, play_streams(key_play, adapted, setting.test))
    return tests


@functools.cache
def _player(
    game: Game, principal: Principal, num_episodes: int, num_streams: int
) -> Callable[..., Evaluation]:
    """Plays with adapted params; compiled once for principals that differ in training alone."""

    def play(key: chex.PRNGKey, adapted: Any, tasks: Task) -> Evaluation:
        played = collect(key, game, principal, adapted, tasks, num_episodes, params_axis=0)
        return Evaluation(summarise(played), jax.tree.map(lambda leaf: leaf[:, 0], played))

    return over_streams(play, num_streams)


def stream_keys(setting: Setting, use: str) -> chex.PRNGKey:
    """``[S]`` keys for one use after training, the same for every principal and ``K``."""
    salt = {"adapt": 2, "play": 3, "tune": 4}[use]
    return jax.vmap(jax.random.fold_in, (0, None))(setting.keys, salt)


def stream_by_stream(
    setting: Setting, play: Callable[..., Any], on_stream: Callable[[Stream], None], *own: Any
) -> Any:
    """``play`` of one stream after the other, where all at once would take too long in silence.

    Args:
      setting: whose streams.
      play: what is done with one.
      on_stream: called after each.
      own: its arguments, with leading axis ``[S]``.

    Returns:
      What ``play`` returned, as numpy arrays ``[S, ...]``.
    """
    played = []
    for place, stream in enumerate(setting.streams):
        arguments = jax.tree.map(lambda leaf, n=place: leaf[n], own)
        played.append(jax.tree.map(np.asarray, play(*arguments)))
        on_stream(stream)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *played)
