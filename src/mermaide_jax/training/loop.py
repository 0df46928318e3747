"""The loop around the update: streams in parallel, a compiled chunk of updates at a time."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mermaide_jax._jax.batching import map_batches
from mermaide_jax._jax.compiling import LITTLE_MEMORY, CpuJit
from mermaide_jax._jax.threefry import unrolled
from mermaide_jax.base import Game, Task
from mermaide_jax.errors import refuse
from mermaide_jax.games import Economics
from mermaide_jax.principals import LearnedPrincipal
from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.update import Metrics, TrainState, Update, make_update

MAX_CHUNK = 25
"""Updates between two returns to the host."""

Chunk = Callable[..., tuple[TrainState, Metrics]]


class TrainingDiverged(RuntimeError):
    """Training gave NaN or infinity.

    Attributes:
      updates: per stream, the update at which it arose, or -1.
      state: the last good state of every stream; streams that failed are behind the others, so it
        is there to be looked at, not to be gone on from.
      history: metrics of the updates before the first of these, ``[S, updates]``.
    """

    def __init__(self, updates: np.ndarray, state: TrainState, history: Metrics) -> None:
        first = int(updates[updates >= 0].min())
        self.updates, self.state = updates, state
        self.history = jax.tree.map(lambda curve: curve[:, :first], history)
        streams = np.flatnonzero(updates >= 0).tolist()
        super().__init__(
            f"training gave NaN or infinity at update {first} (streams {streams}); the last good "
            "state is kept; a smaller outer_learning_rate or max_gradient_norm may help"
        )


class Progress(NamedTuple):
    """What ``on_chunk`` is told after each chunk.

    Attributes:
      update: updates done so far.
      steps: environment steps played in this chunk, all streams together.
      state: the training state, leading axis ``[S]``, copied to the host.
      history: all metrics so far, ``[S, update]`` numpy arrays.
    """

    update: int
    steps: int
    state: TrainState
    history: Metrics


def stream_mesh(num_streams: int) -> Mesh:
    """As many devices as divide the streams evenly."""
    devices = jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if num_streams % n == 0)
    return Mesh(np.asarray(devices[:count]), ("streams",))


def place_streams(tree: Any, num_streams: int, *, copy: bool = False) -> Any:
    """Puts leading axis ``[S]`` on the devices as a chunk returns it, so that nothing moves.

    Args:
      tree: arrays.
      num_streams: ``S``.
      copy: never share memory with ``tree``, for what will be donated.
    """
    placement = NamedSharding(stream_mesh(num_streams), PartitionSpec("streams"))
    return jax.device_put(tree, placement, may_alias=False if copy else None)


def over_streams(
    function: Callable[..., Any], num_streams: int, donate: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """``function`` over leading axis ``[S]``, the streams split evenly over the devices.

    Streams never talk to each other, so each device runs its own share as one program: side by
    side, but on a CPU one after the other, as each has weights of its own and fills the caches
    alone. Arguments whose numbers are in ``donate`` are overwritten by results of the same shape.
    On a CPU, unless called under a trace, it is compiled in an order that needs little memory.
    """
    spec = PartitionSpec("streams")
    mesh = stream_mesh(num_streams)
    side_by_side = 1 if jax.default_backend() == "cpu" else None
    share = functools.partial(map_batches, function, side_by_side)
    mapped = jax.shard_map(share, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return CpuJit(mapped, LITTLE_MEMORY, donate_argnums=donate)


def make_chunk(update: Update, num_streams: int, max_length: int = MAX_CHUNK) -> Chunk:
    """Compiles up to ``max_length`` updates of ``S`` streams.

    Returns:
      ``chunk(keys, states, tasks, lengths) -> (states, metrics)``, every leaf with leading axis
      ``[S]``; ``lengths`` is how many updates to make, at most ``max_length``; metrics are
      ``[S, max_length]``, those past the length meaningless. The states are donated. The key of
      update ``j`` is ``fold_in(key, j)``, so runs that stop and resume see the same draws.
    """

    def chunk(key: chex.PRNGKey, state: TrainState, tasks: Task, length: jax.Array):
        def body(index, carry):
            state, history = carry
            drawn = unrolled(jax.random.fold_in(key, start + index))
            state, metrics = update.update(drawn, state, tasks)
            return state, jax.tree.map(lambda h, m: h.at[index].set(m), history, metrics)

        start = state.update
        history = Metrics(*(jnp.zeros((max_length,), jnp.float32) for _ in Metrics._fields))
        return jax.lax.fori_loop(0, length, body, (state, history))

    return over_streams(chunk, num_streams, donate=(1,))


def init_streams(update: Update, keys: chex.PRNGKey) -> TrainState:
    """Fresh states, one for each of ``S`` keys."""
    return jax.jit(jax.vmap(update.init))(keys)


def train(
    keys: chex.PRNGKey,
    config: TrainingConfig,
    learned: LearnedPrincipal,
    game: Game,
    tasks: Task,
    economics: Economics,
    *,
    resume: tuple[TrainState, Metrics] | None = None,
    on_chunk: Callable[[Progress], None] = lambda progress: None,
) -> tuple[TrainState, Metrics]:
    """Trains ``S`` independent streams (seeds, families) to the end (Algorithm 1 of MERMAIDE).

    Args:
      keys: ``[S]`` typed keys. The result of a stream depends on its own key and tasks alone.
      config: static side of training.
      learned: the principal.
      game: the game.
      tasks: training agents, leading axes ``[S, number of agents]``.
      economics: terms of the game, for redrawn rewards.
      resume: state and history to go on from.
      on_chunk: called after every chunk, for progress and checkpoints.

    Returns:
      Final state ``[S]`` and metrics ``[S, updates]`` (numpy).

    Raises:
      ConfigError: keys, tasks or ``resume`` that are not of ``S`` streams, or a state in which a
        stream had failed.
      TrainingDiverged: NaN or infinity; it carries the last good state.
    """
    _check_streams(keys, tasks, resume)
    num_streams = keys.shape[0]
    key_init, key_run = (jax.vmap(jax.random.fold_in, (0, None))(keys, salt) for salt in (0, 1))
    warm_up = config.world_model_updates if learned.config.world_model else 0
    steps = config.tasks_per_update * config.episodes_per_task * game.horizon * num_streams
    if resume is None:
        state = init_streams(make_update(config, learned, game, economics), key_init)
        pieces = []
    else:
        state, history = resume
        pieces = [history]
    done = int(np.asarray(state.update)[0])
    # Placed beforehand: else the second call of a chunk would be compiled anew.
    key_run, tasks = place_streams((key_run, tasks), num_streams)
    # The states are donated to the first chunk, so they must not be the caller's own.
    state = place_streams(state, num_streams, copy=True)
    for last, world_model_only in ((warm_up, True), (config.updates, False)):
        if done >= last:
            continue
        update = make_update(config, learned, game, economics, world_model_only=world_model_only)
        chunk = make_chunk(update, num_streams)
        while done < last:
            length = min(MAX_CHUNK, last - done)
            lengths = jnp.full((num_streams,), length, jnp.int32)
            state, metrics = chunk(key_run, state, tasks, lengths)
            pieces.append(_first(metrics, length))
            history = jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *pieces)
            failed_at = np.asarray(state.failed_at)
            if (failed_at >= 0).any():
                raise TrainingDiverged(failed_at, state, history)
            done += length
            kept = jax.tree.map(np.array, state)
            on_chunk(Progress(done, length * steps, kept, history))
    return state, history


def _check_streams(
    keys: chex.PRNGKey, tasks: Task, resume: tuple[TrainState, Metrics] | None
) -> None:
    """Refuses what `train` could not take apart into streams."""
    if keys.ndim != 1:
        refuse("keys", keys.shape, "the shape [S], a typed key for each stream")
    num_streams = keys.shape[0]
    shape = jnp.shape(tasks.target)
    if len(shape) != 2 or shape[0] != num_streams:
        refuse("tasks.target", shape, f"the shape [{num_streams}, number of agents]")
    if resume is None:
        return
    done, failed_at = (np.asarray(leaf) for leaf in (resume[0].update, resume[0].failed_at))
    if done.shape != (num_streams,):
        refuse("resume", done.shape, f"a state of {num_streams} streams")
    if (failed_at >= 0).any():
        refuse("resume", failed_at.tolist(), "a state in which no stream has failed (-1)")
    if len({*done.tolist(), resume[1].score.shape[1]}) > 1:
        refuse("resume", done.tolist(), "as many updates in every stream as in the history")


def _first(metrics: Metrics, length: int) -> Metrics:
    """The metrics of the first ``length`` updates of a chunk, on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, :length], metrics)
