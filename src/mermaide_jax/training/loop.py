"""The loop around any update: streams in parallel, a compiled chunk of updates at a time.

Nothing here knows what is trained. A `Trainer` is a pair of pure functions of one stream; its state
and its metrics may be any pytrees. The loop counts the updates, keeps the history of the metrics,
freezes a stream whose state is no longer finite, and hands everything to ``on_chunk`` for progress
and checkpoints.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax._jax.threefry import unrolled
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.training.streams import copy_to_host, over_streams, place_streams

MAX_CHUNK = 25
"""Updates between two returns to the host."""

Update = Callable[[chex.PRNGKey, Any, Any], tuple[Any, Any]]
"""``update(key, state, data) -> (state, metrics)`` of one stream; ``key`` is consumed."""


class Trainer(NamedTuple):
    """Something that can be trained, as pure functions of one stream.

    Attributes:
      init: ``init(key) -> state``.
      update: see `Update`. Metrics are arrays or scalars of fixed shapes.
    """

    init: Callable[[chex.PRNGKey], Any]
    update: Update


class Phase(NamedTuple):
    """A part of training with an update of its own.

    Attributes:
      update: see `Update`; states and metrics are those of the other phases.
      until: the number of updates, from the start of training on, at which it ends.
    """

    update: Update
    until: int


class TrainState(NamedTuple):
    """All that training carries; keys are arguments, so this and a seed resume a run exactly.

    Attributes:
      update: int32 scalar, updates done.
      learner: the trainer's own state.
      failed_at: int32 scalar, the first update whose state was not finite, or -1. From there on the
        rest is frozen as it was before.
    """

    update: jax.Array
    learner: Any
    failed_at: jax.Array


Chunk = Callable[..., tuple[TrainState, Any]]


class TrainingDiverged(RuntimeError):
    """Training gave NaN or infinity.

    Attributes:
      updates: per stream, the update at which it arose, or -1.
      state: the last good state of every stream; streams that failed are behind the others, so it
        is there to be looked at, not to be gone on from.
      history: metrics of the updates before the first of these, ``[S, updates]``.
    """

    def __init__(self, updates: np.ndarray, state: TrainState, history: Any) -> None:
        first = int(updates[updates >= 0].min())
        self.updates, self.state = updates, state
        self.history = jax.tree.map(lambda curve: curve[:, :first], history)
        streams = np.flatnonzero(updates >= 0).tolist()
        super().__init__(
            f"training gave NaN or infinity at update {first} (streams {streams}); the last good "
            "state is kept; a smaller learning rate or gradient norm may help"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.updates, self.state, self.history)  # of a process in a pool


class Progress(NamedTuple):
    """What ``on_chunk`` is given after each chunk.

    Attributes:
      update: updates done so far.
      length: updates in this chunk.
      state: the training state, leading axis ``[S]``, copied to the host.
      history: all metrics so far, ``[S, update, ...]`` numpy arrays.
    """

    update: int
    length: int
    state: TrainState
    history: Any


def start_state(trainer: Trainer, key: chex.PRNGKey) -> TrainState:
    """Starts one stream; ``key`` is consumed.

    Example:
      >>> trainer = Trainer(lambda key: jnp.float32(0.0), lambda key, x, data: (x, {}))
      >>> int(start_state(trainer, jax.random.key(0)).update)
      0
    """
    return TrainState(jnp.int32(0), trainer.init(key), jnp.int32(-1))


def init_streams(trainer: Trainer, keys: chex.PRNGKey) -> TrainState:
    """Starts ``S`` streams, one for each key ``[S]``.

    Example:
      >>> trainer = Trainer(lambda key: jnp.float32(0.0), lambda key, x, data: (x, {}))
      >>> init_streams(trainer, jax.random.split(jax.random.key(0), 3)).update.tolist()
      [0, 0, 0]
    """

    def init(key: chex.PRNGKey) -> TrainState:
        return start_state(trainer, key)

    return jax.jit(jax.vmap(init))(keys)


def advance(update: Update, key: chex.PRNGKey, state: TrainState, data: Any) -> tuple[Any, Any]:
    """Makes one update, or freezes the stream from the first one that is not finite.

    Args:
      update: of the trainer.
      key: typed key of this update, consumed.
      state: before.
      data: what it learns from.

    Returns:
      the state after, and the metrics.

    Example:
      >>> halve = lambda key, x, target: (x + (target - x) / 2, {"error": target - x})
      >>> state = start_state(Trainer(lambda key: jnp.float32(0.0), halve), jax.random.key(0))
      >>> state, metrics = advance(halve, jax.random.key(1), state, jnp.float32(1.0))
      >>> float(state.learner), int(state.update)
      (0.5, 1)
    """
    learner, metrics = update(key, state.learner, data)
    learner = jax.tree.map(_of_same_cipher, state.learner, learner)
    finite = _stays_finite(state.learner, learner)
    fine = finite & (state.failed_at < 0)
    failed_at = jnp.where(~finite & (state.failed_at < 0), state.update, state.failed_at)
    # Streams of one program cannot stop by themselves: one that failed goes on computing, and keeps
    # the last good state, while the others train.
    fresh = TrainState(state.update + 1, learner, failed_at)
    kept = jax.tree.map(lambda new, old: jnp.where(fine, new, old), fresh, state)
    return kept._replace(failed_at=failed_at), metrics


def _of_same_cipher(former: Any, new: Any) -> Any:
    """Gives a new key in a state the cipher that it had; that of an update's key may be quicker."""
    if not _is_key(new):
        return new
    return jax.random.wrap_key_data(jax.random.key_data(new), impl=jax.random.key_impl(former))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key)


def _stays_finite(former: Any, learner: Any) -> jax.Array:
    """Whether nothing is NaN, and nothing has become infinite.

    What was infinite before may remain so: it is how a best value so far, or a step that an
    optimiser has yet to find, starts.
    """

    def is_fine(old: jax.Array, new: jax.Array) -> jax.Array:
        if not jnp.issubdtype(jnp.asarray(new).dtype, jnp.inexact):
            return jnp.bool_(True)  # integers, and keys
        return jnp.all(jnp.isfinite(new) | (jnp.isinf(new) & jnp.isinf(old)))

    fine = jax.tree.map(is_fine, former, learner)
    return jnp.all(jnp.asarray(jax.tree.leaves(fine), bool))


def make_chunk(
    update: Update,
    num_streams: int,
    max_length: int = MAX_CHUNK,
    side_by_side: int | None = 1,
) -> Chunk:
    """Compiles up to ``max_length`` updates of ``S`` streams.

    Args:
      update: of the trainer.
      num_streams: ``S``.
      max_length: most updates in one call.
      side_by_side: see `over_streams`.

    Returns:
      ``chunk(keys, states, data, lengths) -> (states, metrics)``, every leaf with leading axis
      ``[S]``; ``lengths`` is how many updates to make, at most ``max_length``; metrics are
      ``[S, max_length, ...]``, those past the length meaningless. The states are donated. The key
      of update ``j`` is ``fold_in(key, j)``, so runs that stop and resume see the same draws.

    Example:
      >>> halve = lambda key, x, target: (x + (target - x) / 2, {"error": target - x})
      >>> keys = jax.random.split(jax.random.key(0), 2)
      >>> trainer = Trainer(lambda key: jnp.float32(0.0), halve)
      >>> states = init_streams(trainer, jax.random.clone(keys))
      >>> chunk = make_chunk(halve, num_streams=2, max_length=4)
      >>> states, metrics = chunk(keys, states, jnp.array([1.0, 2.0]), jnp.array([3, 3]))
      >>> states.learner.tolist()
      [0.875, 1.75]
    """

    def chunk(key: chex.PRNGKey, state: TrainState, data: Any, length: jax.Array):
        def one(index: jax.Array, state: TrainState) -> tuple[TrainState, Any]:
            drawn = unrolled(jax.random.fold_in(key, start + index))
            return advance(update, drawn, state, data)

        def body(index, carry):
            state, history = carry
            state, metrics = one(index, state)
            return state, jax.tree.map(lambda h, m: h.at[index].set(m), history, metrics)

        start = state.update
        shapes = jax.eval_shape(one, jnp.int32(0), state)[1]
        history = jax.tree.map(lambda m: jnp.zeros((max_length, *m.shape), m.dtype), shapes)
        return jax.lax.fori_loop(0, length, body, (state, history))

    return over_streams(chunk, num_streams, donate=(1,), side_by_side=side_by_side)


def train(
    keys: chex.PRNGKey,
    trainer: Trainer,
    data: Any,
    num_updates: int,
    *,
    before: Sequence[Phase] = (),
    resume: tuple[TrainState, Any] | None = None,
    on_chunk: Callable[[Progress], None] = lambda progress: None,
    side_by_side: int | None = 1,
) -> tuple[TrainState, Any]:
    """Trains ``S`` independent streams (seeds, settings) to the end.

    Args:
      keys: ``[S]`` typed keys. The result of a stream depends on its own key and data alone.
      trainer: what is trained.
      data: what every update of a stream is given; leading axis ``[S]``.
      num_updates: updates in all.
      before: phases that come before the trainer's own update, in order; the last ends with
        ``num_updates`` or sooner.
      resume: state and history to go on from.
      on_chunk: called after every chunk, for progress and checkpoints.
      side_by_side: see `over_streams`.

    Returns:
      Final state ``[S]`` and metrics ``[S, updates, ...]`` (numpy).

    Raises:
      ConfigError: keys, data or ``resume`` that are not of ``S`` streams, a state in which a
        stream had failed, or phases that do not end one after the other.
      TrainingDiverged: NaN or infinity; it carries the last good state.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> def update(key, x, target):
      ...     error = x - target + 0.1 * jax.random.normal(key)
      ...     return x - 0.1 * error, {"loss": error**2}
      >>> keys, targets = jax.random.split(jax.random.key(0), 2), jnp.asarray([1.0, 2.0])
      >>> trainer = Trainer(lambda key: jnp.float32(0.0), update)
      >>> state, metrics = train(keys, trainer, targets, 50)
      >>> state.learner.shape, metrics["loss"].shape
      ((2,), (2, 50))
    """
    check_at_least("num_updates", num_updates, 1)
    ends = [phase.until for phase in before]
    if [*ends, num_updates] != sorted([*ends, num_updates]):
        refuse(
            "before", ends, f"phases that end one after the other, by {num_updates} at the latest"
        )
    _check_streams(keys, data, resume)
    num_streams = keys.shape[0]
    key_init, key_run = (jax.vmap(jax.random.fold_in, (0, None))(keys, salt) for salt in (0, 1))
    state = init_streams(trainer, key_init) if resume is None else resume[0]
    pieces = [] if resume is None else [resume[1]]
    done = int(np.asarray(state.update)[0])
    # Placed beforehand: else the second call of a chunk would be compiled anew.
    key_run, data = place_streams((key_run, data), num_streams)
    # The states are donated to the first chunk, so they must not be the caller's own.
    state = place_streams(state, num_streams, copy=True)
    for phase in (*before, Phase(trainer.update, num_updates)):
        if done >= phase.until:
            continue
        chunk = make_chunk(phase.update, num_streams, side_by_side=side_by_side)
        while done < phase.until:
            length = min(MAX_CHUNK, phase.until - done)
            lengths = jnp.full((num_streams,), length, jnp.int32)
            state, metrics = chunk(key_run, state, data, lengths)
            pieces = [_joined([*pieces, _first(metrics, length)])]
            failed_at = np.asarray(state.failed_at)
            if (failed_at >= 0).any():
                raise TrainingDiverged(failed_at, state, pieces[0])
            done += length
            on_chunk(Progress(done, length, copy_to_host(state), pieces[0]))
    return state, pieces[0]


def _check_streams(keys: chex.PRNGKey, data: Any, resume: tuple[TrainState, Any] | None) -> None:
    """Refuses what `train` could not take apart into streams."""
    if keys.ndim != 1:
        refuse("keys", keys.shape, "the shape [S], a typed key for each stream")
    num_streams = keys.shape[0]
    for leaf in jax.tree.leaves(data):
        if jnp.shape(leaf)[:1] != (num_streams,):
            refuse(
                "data", jnp.shape(leaf), f"a leading axis of {num_streams} streams in every leaf"
            )
    if resume is None:
        return
    done, failed_at = (np.asarray(leaf) for leaf in (resume[0].update, resume[0].failed_at))
    if done.shape != (num_streams,):
        refuse("resume", done.shape, f"a state of {num_streams} streams")
    if (failed_at >= 0).any():
        refuse("resume", failed_at.tolist(), "a state in which no stream has failed (-1)")
    lengths = {np.shape(curve)[1] for curve in jax.tree.leaves(resume[1])}
    if len({*done.tolist(), *lengths}) > 1:
        refuse("resume", done.tolist(), "as many updates in every stream as in the history")


def _joined(pieces: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *pieces)


def _first(metrics: Any, length: int) -> Any:
    """The metrics of the first ``length`` updates of a chunk, on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:, :length], metrics)
