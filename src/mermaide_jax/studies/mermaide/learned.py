"""Training and testing one learned principal on all streams of a study."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import meta
from mermaide_jax.base import Game, Principal, Trajectory
from mermaide_jax.evaluation.protocol import Scores, adapt_to_tasks, summarise
from mermaide_jax.games import collect
from mermaide_jax.principals import LearnedPrincipal, learned_principal
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.setting import Populations, Setting, Stream
from mermaide_jax.training import (
    Metrics,
    Phase,
    PrincipalState,
    Progress,
    Trainer,
    TrainingConfig,
    TrainingDiverged,
    TrainState,
    make_adapt,
    make_trainer,
    over_streams,
    train,
    warm_up_phases,
)
from mermaide_jax.training.checkpoint import (
    FormerLayout,
    clear_checkpoints,
    has_checkpoint,
    restore_checkpoint,
    save_checkpoint,
)
from mermaide_jax.training.loop import start_state

SAVE_EVERY = 250
"""Updates between two checkpoints."""
LAST_GOOD = "last_good"
"""Where a run that diverges leaves its last good state, below its checkpoints."""


class Trained(NamedTuple):
    """A principal after training: its state ``[S]`` and metrics ``[S, updates]``."""

    state: TrainState
    history: Metrics

    @property
    def params(self) -> Any:
        """Params of the principal, leading axis ``[S]``."""
        return self.state.learner.params


def build(
    name: str, config: StudyConfig, setting: Setting
) -> tuple[LearnedPrincipal, TrainingConfig]:
    """Makes the networks of principal ``name``, and says how it is trained.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config = StudyConfig()
      >>> learned, training = build("reinforce", config, make_setting(config))
      >>> learned.config.world_model, training.is_meta
      (False, False)
    """
    network, training = principal_configs(name, config)
    return build_networks(network, setting.game), training


def build_networks(network: Any, game: Game) -> LearnedPrincipal:
    """Makes a learned principal for a game.

    Example:
      >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
      >>> build_networks(networks.NetworkConfig(architecture="mlp"), game).config.architecture
      'mlp'
    """
    sizes = (game.observation_size, game.num_arms, game.num_interventions)
    return learned_principal(network, *sizes, game.payment_kind == "arms")


def build_trainer(
    name: str, config: StudyConfig, setting: Setting
) -> tuple[Trainer, tuple[Phase, ...]]:
    """Makes the trainer of principal ``name``, and the phases before that.

    Each stream trains with the agents of its own population; its data are the number of the
    population and the tasks by family.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config = StudyConfig()
      >>> trainer, phases = build_trainer("mermaide", config, make_setting(config))
      >>> [phase.until for phase in phases] == [config.training.world_model_updates]
      True
    """
    learned, training = build(name, config, setting)
    bind = functools.partial(_bound_update, setting.populations)
    whole = lambda games: make_trainer(training, learned, games, config.game.economics)  # noqa: E731
    warm_ups = lambda games: warm_up_phases(training, learned, games, config.game.economics)  # noqa: E731
    first = setting.populations.games_of(setting.streams[0].population)
    phases = tuple(
        Phase(bind(lambda games, n=number: warm_ups(games)[n].update), phase.until)
        for number, phase in enumerate(warm_ups(first))
    )
    update = bind(lambda games: whole(games).update)
    return Trainer(whole(first).init, update), phases


def _bound_update(
    populations: Populations, update_of: Callable[[tuple[Game, ...]], Any]
) -> Callable[..., Any]:
    """The update of a stream of any population."""
    run = populations.bind(lambda games, tasks, key, state: update_of(games)(key, state, tasks))
    return lambda key, state, data: run(*data, key, state)


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
      setting: its games and agents.
      directory: where its checkpoints go, or None for none.
      resume: go on from the newest checkpoint, if there is one; else former ones are removed.
      on_progress: called after every chunk of updates. If it, or the user, stops the work by
        `KeyboardInterrupt`, what was done is saved first.

    Raises:
      TrainingDiverged: NaN or infinity; the last good state was saved.
    """
    trainer, phases = build_trainer(name, config, setting)
    start = None
    if directory is not None:
        # What a former run left there would be taken for this one's.
        clear_checkpoints(directory / LAST_GOOD)
        if not resume:
            clear_checkpoints(directory)
        elif has_checkpoint(directory):
            start = _restore(name, config, setting, directory)

    saver = _Saver(directory, 0 if start is None else int(np.asarray(start[0].update)[0]))

    def on_chunk(progress: Progress) -> None:
        saver.add(progress)
        on_progress(progress)

    try:
        state, history = train(
            setting.keys,
            trainer,
            (setting.index, setting.train),
            principal_configs(name, config)[1].updates,
            before=phases,
            resume=start,
            on_chunk=on_chunk,
        )
    except TrainingDiverged as failure:
        if directory is not None:
            save_checkpoint(directory / LAST_GOOD, failure.state, failure.history)
        raise
    except KeyboardInterrupt:
        saver.save()
        raise
    if directory is not None:
        save_checkpoint(directory, state, history)
    return Trained(state, history)


class _Saver:
    """Saves every `SAVE_EVERY` updates, and when it is asked to."""

    def __init__(self, directory: Path | None, saved: int) -> None:
        self._directory, self._saved = directory, saved
        self._latest: Progress | None = None

    def add(self, progress: Progress) -> None:
        """Takes the state after a chunk, and saves it if that is due."""
        self._latest = progress
        if progress.update - self._saved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Saves the latest state, if it is not saved already."""
        latest = self._latest
        if self._directory is not None and latest is not None and latest.update > self._saved:
            save_checkpoint(self._directory, latest.state, latest.history)
            self._saved = latest.update


def load_principal(name: str, config: StudyConfig, setting: Setting, directory: Path) -> Trained:
    """Loads the newest checkpoint of principal ``name``.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config = StudyConfig()
      >>> load_principal("reinforce", config, make_setting(config), Path("nowhere"))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: checkpoint: got 'nowhere', expected a directory with ...
    """
    return Trained(*_restore(name, config, setting, directory))


def _restore(
    name: str, config: StudyConfig, setting: Setting, directory: Path
) -> tuple[TrainState, Metrics]:
    like, metrics = blank_state(name, config, setting)
    return restore_checkpoint(directory, like, metrics, _flat_layout(like))


class _FlatState(NamedTuple):
    """The state as it was before training knew nothing of principals."""

    update: Any
    params: Any
    optimizer: Any
    failed_at: Any


def _flat_layout(like: TrainState) -> FormerLayout:
    """How checkpoints of that time are read."""

    def upgrade(flat: _FlatState) -> TrainState:
        learner = PrincipalState(flat.update, flat.params, flat.optimizer)
        return TrainState(flat.update, learner, flat.failed_at)

    learner = like.learner
    flat = _FlatState(like.update, learner.params, learner.optimizer, like.failed_at)
    return FormerLayout(flat, upgrade)


def blank_state(name: str, config: StudyConfig, setting: Setting) -> tuple[TrainState, Metrics]:
    """Shapes and dtypes of the state of all streams and of one update's metrics of one stream.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> config = StudyConfig()  # two families, two seeds
      >>> state, metrics = blank_state("reinforce", config, make_setting(config))
      >>> state.update.shape, metrics.score.shape
      ((4,), ())
    """
    trainer, _ = build_trainer(name, config, setting)
    one = lambda key: start_state(trainer, key)  # noqa: E731
    metrics = lambda: Metrics(*(jnp.float32(0) for _ in Metrics._fields))  # noqa: E731
    return jax.eval_shape(jax.vmap(one), setting.keys), jax.eval_shape(metrics)


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
      setting: its games and agents.
      trained: the principal, trained.
      adapt: how it adapts; None: as in training.

    Returns:
      For each ``K`` in ``config.evaluation.shots`` an `Evaluation`, as numpy arrays. Playing is
      compiled once for all ``K``.
    """
    learned, _ = build(name, config, setting)
    num_streams = len(setting.streams)
    play_streams = _player(
        setting.populations, learned.principal, config.evaluation.episodes, num_streams
    )
    tests = {}
    for num_shots in config.evaluation.shots:
        adapted = adapt_streams(name, config, setting, trained, num_shots, adapt)
        # The same draws for every K, on purpose.
        played = play_streams(setting.index, setting.test, stream_keys(setting, "play"), adapted)
        tests[num_shots] = jax.tree.map(np.asarray, played)
    return tests


def adapt_streams(
    name: str,
    config: StudyConfig,
    setting: Setting,
    trained: Trained,
    num_shots: int,
    adapt: meta.Adapt | None = None,
) -> Any:
    """Adapts every stream to each of its test agents on K episodes.

    Args:
      name: a learned principal.
      config: the study.
      setting: its games and agents.
      trained: the principal, trained, leading axis ``[S]``.
      num_shots: ``K``; the draws are the same for all of them.
      adapt: how it adapts; None: as in training.

    Returns:
      Its params, leading axes ``[S, m]``.
    """
    learned, training = build(name, config, setting)
    adapt = adapt or make_adapt(training, learned)

    def one_stream(games, tasks, key, params):
        return adapt_to_tasks(key, games, learned, adapt, params, tasks, num_shots)

    run = over_streams(setting.populations.bind(one_stream), len(setting.streams))
    return run(setting.index, setting.test, stream_keys(setting, "adapt"), trained.params)


@functools.cache
def _player(
    populations: Populations, principal: Principal, num_episodes: int, num_streams: int
) -> Callable[..., Evaluation]:
    """Plays with adapted params; compiled once for principals that differ in training alone."""

    def play(games: Any, tasks: Any, key: chex.PRNGKey, adapted: Any) -> Evaluation:
        played = collect(key, games, principal, adapted, tasks, num_episodes, params_axis=0)
        return Evaluation(summarise(played), jax.tree.map(lambda leaf: leaf[:, 0], played))

    return over_streams(populations.bind(play), num_streams)


def stream_keys(setting: Setting, use: str) -> chex.PRNGKey:
    """Gives ``[S]`` keys for one use after training, the same for every principal and ``K``.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> stream_keys(make_setting(StudyConfig(seeds=3)), "play").shape  # two families
      (6,)
    """
    salt = {"adapt": 2, "play": 3, "tune": 4}[use]
    return jax.vmap(jax.random.fold_in, (0, None))(setting.keys, salt)


def stream_by_stream(
    setting: Setting, play: Callable[..., Any], on_stream: Callable[[Stream], None], *own: Any
) -> Any:
    """Plays one stream after the other, where all at once would take too long in silence.

    Args:
      setting: whose streams.
      play: ``play(index, tasks, *own)`` of one stream, see `Populations.bind`.
      on_stream: called after each.
      own: its arguments, with leading axis ``[S]``.

    Returns:
      What ``play`` returned, as numpy arrays ``[S, ...]``.

    Example:
      >>> from mermaide_jax.studies.mermaide.setting import make_setting
      >>> setting = make_setting(StudyConfig(seeds=1))
      >>> play, told = lambda index, tasks: index, []
      >>> stream_by_stream(setting, play, told.append).tolist(), told == list(setting.streams)
      ([0, 1], True)
    """
    played = []
    everything = (setting.index, setting.test, *own)
    for place, stream in enumerate(setting.streams):
        arguments = jax.tree.map(lambda leaf, n=place: leaf[n], everything)
        played.append(jax.tree.map(np.asarray, play(*arguments)))
        on_stream(stream)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *played)
