"""Checkpoints of training through orbax: arrays only, whole or not at all."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.training.update import Metrics, TrainState


def save_checkpoint(directory: Path, state: TrainState, history: Metrics) -> None:
    """Saves the state of all streams under the number of updates; the two newest are kept.

    A checkpoint that was interrupted is never listed, so the one before it stays valid.

    Args:
      directory: where the checkpoints of this run live.
      state: leading axis ``[S]``.
      history: ``[S, updates]``.
    """
    step = history.score.shape[1]  # not state.update: streams that failed stop at their own
    options = ocp.CheckpointManagerOptions(max_to_keep=2, create=True)
    with ocp.CheckpointManager(directory.absolute(), options=options) as manager:
        if step not in manager.all_steps():
            parts = {"state": state, "history": history} if step else {"state": state}
            tree = jax.tree.map(np.asarray, parts)
            manager.save(step, args=ocp.args.StandardSave(tree))


def restore_checkpoint(directory: Path, like: TrainState) -> tuple[TrainState, Metrics]:
    """The newest checkpoint in ``directory``.

    Args:
      directory: what `save_checkpoint` was given.
      like: a state of the same structure and shapes; its values are not used.

    Raises:
      ConfigError: there is none, or it does not fit ``like`` (another network, other seeds).
    """
    options = ocp.CheckpointManagerOptions(create=False)
    with ocp.CheckpointManager(directory.absolute(), options=options) as manager:
        step = manager.latest_step()
        if step is None:
            refuse("checkpoint", directory, "a directory with a saved checkpoint")
        num_streams = like.update.shape[0]
        curve: Any = jax.ShapeDtypeStruct((num_streams, step), np.float32)
        history = Metrics(*(curve for _ in Metrics._fields))
        # Orbax saves no empty arrays: before the first update there is no history.
        target = {"state": like, "history": history} if step else {"state": like}
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), target)
        try:
            tree = manager.restore(step, args=ocp.args.StandardRestore(abstract))
        except (ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"checkpoint: got {str(directory)!r}, expected one that fits the config ({reason})"
            ) from error
    nothing: Any = np.zeros((num_streams, 0), np.float32)
    empty = Metrics(*(nothing for _ in Metrics._fields))
    return tree["state"], jax.tree.map(np.asarray, tree.get("history", empty))


def has_checkpoint(directory: Path) -> bool:
    """Whether ``directory`` holds a complete checkpoint."""
    if not directory.is_dir():
        return False
    with ocp.CheckpointManager(directory.absolute()) as manager:
        return manager.latest_step() is not None


def clear_checkpoints(directory: Path) -> None:
    """Removes the checkpoints of a former run, and nothing that is not one."""
    if directory.is_dir():
        with ocp.CheckpointManager(directory.absolute()) as manager:
            for step in manager.all_steps():
                manager.delete(step)
