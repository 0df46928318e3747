"""Checkpoints of training through orbax: arrays only, whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.training.loop import TrainState
from mermaide_jax.training.streams import copy_to_host


class FormerLayout(NamedTuple):
    """How states were laid out by an earlier release, whose checkpoints are still to be read.

    Attributes:
      like: a state of that layout, leading axis ``[S]``; its values are not used.
      upgrade: ``upgrade(state) -> TrainState``.
    """

    like: Any
    upgrade: Callable[[Any], TrainState]


def save_checkpoint(directory: Path, state: TrainState, history: Any) -> None:
    """Saves the state of all streams under the number of updates; the two newest are kept.

    A checkpoint that was interrupted is never listed, so the one before it stays valid.

    Args:
      directory: where the checkpoints of this run live.
      state: leading axis ``[S]``.
      history: metrics, leaves ``[S, updates, ...]``.

    Example:
      >>> import pathlib, tempfile
      >>> trainer = training.Trainer(lambda key: jnp.float32(0.0), lambda key, x, data: (x, {}))
      >>> states = training.loop.init_streams(trainer, jax.random.split(jax.random.key(0), 2))
      >>> directory = pathlib.Path(tempfile.mkdtemp())
      >>> save_checkpoint(directory, states, {"loss": np.zeros((2, 0))})
      >>> has_checkpoint(directory)
      True
    """
    step = _updates_done(state, history)
    directory.mkdir(parents=True, exist_ok=True)
    with _manager(directory, max_to_keep=2) as manager:
        if step not in manager.all_steps():
            parts = {"state": state, "history": history} if step else {"state": state}
            manager.save(step, args=ocp.args.StandardSave(copy_to_host(parts)))


def _updates_done(state: TrainState, history: Any) -> int:
    """Updates of all streams; those that failed stop at their own, so the history has the say."""
    curves = jax.tree.leaves(history)
    return curves[0].shape[1] if curves else int(np.max(np.asarray(state.update)))


def restore_checkpoint(
    directory: Path, like: TrainState, metrics: Any, former: FormerLayout | None = None
) -> tuple[TrainState, Any]:
    """Reads the newest checkpoint in ``directory``.

    Args:
      directory: what `save_checkpoint` was given.
      like: a state of the same structure and shapes, leading axis ``[S]``; its values are not used.
      metrics: the metrics of one update of one stream, likewise (`jax.eval_shape` of an update).
      former: the layout to try where that of ``like`` does not fit.

    Returns:
      state, and history ``[S, updates, ...]`` (numpy).

    Raises:
      ConfigError: there is none, it is damaged, or it does not fit ``like`` (another network, other
        seeds).

    Example:
      >>> import pathlib, tempfile
      >>> trainer = training.Trainer(lambda key: jnp.float32(0.0), lambda key, x, data: (x, {}))
      >>> states = training.loop.init_streams(trainer, jax.random.split(jax.random.key(0), 2))
      >>> directory = pathlib.Path(tempfile.mkdtemp())
      >>> save_checkpoint(directory, states, {"loss": np.zeros((2, 0), np.float32)})
      >>> metrics = {"loss": jax.ShapeDtypeStruct((), jnp.float32)}
      >>> restore_checkpoint(directory, states, metrics)[0].learner.tolist()
      [0.0, 0.0]
    """
    if not has_checkpoint(directory):
        refuse("checkpoint", directory, "a directory with a saved checkpoint")
    with _manager(directory) as manager:
        step = manager.latest_step()
        num_streams = like.update.shape[0]
        history = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((num_streams, step, *leaf.shape), leaf.dtype), metrics
        )

        def read(state: Any) -> Any:
            # Orbax saves no empty arrays: before the first update there is no history.
            target = {"state": state, "history": history} if step else {"state": state}
            abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), target)
            tree = manager.restore(step, args=ocp.args.StandardRestore(abstract))
            _check_shapes(abstract, tree)
            return tree

        try:
            tree = read(like)
        except _MISFITS as error:
            if "DATA_LOSS" in str(error):
                whole = "whole files; remove it to go on from the one before, if there is one"
                refuse("checkpoint", directory / str(step), whole)
            tree = _read_former(read, former)
            if tree is None:
                reason = " ".join(str(error).split())[:200]
                expected = f"expected one that fits the config ({reason})"
                raise ConfigError(f"checkpoint: got {str(directory)!r}, {expected}") from error
    nothing = lambda leaf: np.zeros((num_streams, 0, *leaf.shape), leaf.dtype)  # noqa: E731
    empty = jax.tree.map(nothing, metrics)
    return tree["state"], jax.tree.map(np.asarray, tree.get("history", empty))


@contextlib.contextmanager
def _manager(directory: Path, max_to_keep: int | None = None) -> Iterator[ocp.CheckpointManager]:
    """Opens the checkpoints in a directory that exists.

    Orbax takes some signs in paths for patterns: such a directory is reached by a link.
    """
    options = ocp.CheckpointManagerOptions(max_to_keep=max_to_keep, create=False)
    path = directory.absolute()
    with contextlib.ExitStack() as stack:
        if _PATTERN_SIGNS & set(str(path)):
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "checkpoints")
            path.symlink_to(directory.absolute(), target_is_directory=True)
        yield stack.enter_context(ocp.CheckpointManager(path, options=options))


_PATTERN_SIGNS = set("[]*?\\") - {os.sep}

_MISFITS = (ValueError, KeyError, TypeError)
"""What orbax raises where the structure or the shapes are others."""


def _check_shapes(expected: Any, tree: Any) -> None:
    """Refuses arrays of other shapes, which orbax reads as they are.

    Raises:
      ValueError: naming the first of them.
    """
    for (path, leaf), found in zip(
        jax.tree.leaves_with_path(expected), jax.tree.leaves(tree), strict=True
    ):
        if found.shape != leaf.shape:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise ValueError(f"{name} has the shape {found.shape}, not {leaf.shape}")


def _read_former(read: Callable[[Any], Any], former: FormerLayout | None) -> Any:
    """The same of the former layout, or None if it does not fit either."""
    if former is None:
        return None
    try:
        tree = read(former.like)
    except _MISFITS:
        return None
    return tree | {"state": former.upgrade(tree["state"])}


def has_checkpoint(directory: Path) -> bool:
    """Tells whether ``directory`` holds a complete checkpoint.

    Example:
      >>> import pathlib, tempfile
      >>> has_checkpoint(pathlib.Path(tempfile.mkdtemp()))
      False
    """
    if not directory.is_dir():
        return False
    with _manager(directory) as manager:
        return manager.latest_step() is not None


def clear_checkpoints(directory: Path) -> None:
    """Removes the checkpoints of a former run, and nothing that is not one.

    Example:
      >>> import pathlib, tempfile
      >>> clear_checkpoints(pathlib.Path(tempfile.mkdtemp()))
    """
    if directory.is_dir():
        with _manager(directory) as manager:
            for step in manager.all_steps():
                manager.delete(step)
