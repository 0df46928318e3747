"""What a record of the results holds: the columns, in one place, and the check against them."""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

from mermaide_jax.errors import refuse

__all__ = [
    "ATTAINED_COLUMNS",
    "CURVE_COLUMNS",
    "EPISODE_KEYS",
    "FORMAT_VERSION",
    "ROW_COLUMNS",
    "check_records",
    "to_plain",
]

FORMAT_VERSION = 2
"""2: the column ``agent_rule`` is called ``family``, the principal ``planner`` ``clairvoyant``."""

ROW_COLUMNS: dict[str, type] = {
    "principal": str,
    "family": str,
    "coefficient": float,  # beta of UCB, epsilon of epsilon-greedy
    "split": str,
    "k_shot": int,  # episodes the principal was fine-tuned on
    "seed": int,
    "agent": int,  # index within the family's test set
    "score": float,  # per episode: pulls of the target less cost times interventions
    "success_rate": float,  # share of steps in which the agent pulled the target
    "interventions": float,  # mean number per episode
    "world_model_log_likelihood": float,  # mean nats per step; null without a world model
    "world_model_accuracy": float,  # share of next actions predicted; null without a world model
    "horizon": int,
    "episodes": int,  # evaluation episodes behind this row
}
"""Column of a row (one principal, seed, agent and K) to its type."""

ATTAINED_COLUMNS: dict[str, type] = {
    "family": str,
    "k_shot": int,
    "principal": str,
    "oracle": str,  # worth 1
    "best_scripted": str,  # worth 0
    "share": float,  # of the attainable; null where the oracle is not above the best script
    "low": float,
    "high": float,
}
"""Column of a share of the attainable (one principal, family, K and oracle) to its type."""

CURVE_COLUMNS: dict[str, type] = {
    "principal": str,
    "family": str,
    "seed": int,
    "update": int,
    "phase": str,  # "world_model" or "joint"
    "score": float,
    "success_rate": float,
    "interventions": float,  # per episode
    "world_model_log_likelihood": float,
    "entropy": float,
}
"""Column of a training curve point to its type."""

EPISODE_KEYS: dict[str, type] = {
    "principal": str,
    "family": str,
    "coefficient": float,
    "seed": int,
    "k_shot": int,
    "agent": int,
    "target": int,  # the arm a*
    "mean_rewards": list,  # [A]
    "action": list,  # [T]
    "intervention": list,  # [T] what was paid, 0 where nothing was
    "predicted_target_probability": list,  # [T], or null without a world model
    "policy_probability": list,  # [T] probability of intervening, or null
    "agent_estimates": list,  # [T][A] sample means before acting
    "reward": list,  # [T] what the agent received
    "score": float,
}
"""Key of a recorded episode to its type."""


def check_records(
    where: str, records: Iterable[Mapping[str, Any]], columns: Mapping[str, type]
) -> None:
    """Refuses records that lack a column or hold a value of another type.

    A float may be an integer, or null (not measured); text and integers may not be null.
    Columns beyond `columns` are allowed.

    Args:
      where: what is read or written, named in the error.
      records: plain dictionaries, as from JSON.
      columns: name to type.

    Raises:
      ConfigError: naming the first record and column that do not fit, and what is allowed.
    """
    for index, record in enumerate(records):
        if not isinstance(record, Mapping):
            refuse(f"{where}[{index}]", record, "an object")
        missing = [name for name in columns if name not in record]
        if missing:
            refuse(f"{where}[{index}]", sorted(record), f"column {missing[0]!r} among them")
        for name, kind in columns.items():
            if not _fits(record[name], kind):
                refuse(f"{where}[{index}].{name}", record[name], _EXPECTED[kind])


_EXPECTED = {
    str: "text",
    int: "an integer",
    float: "a finite number or null",
    list: "a list or null",
}


def _fits(value: Any, kind: type) -> bool:
    """Whether a plain value may stand in a column of this type."""
    if kind is float:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return value is None or (is_number and math.isfinite(value))
    if kind is list:
        return value is None or isinstance(value, list)
    return isinstance(value, kind) and not isinstance(value, bool)


def to_plain(value: Any) -> Any:
    """The value as JSON knows it: arrays become lists, NaN and infinity become None.

    Args:
      value: nested dictionaries, lists, tuples, dataclasses, NumPy or JAX arrays and scalars.

    Returns:
      The same out of dict, list, str, int, float, bool and None.

    Raises:
      ConfigError: if a part is none of these.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(part) for part in value]
    if hasattr(value, "tolist"):  # NumPy and JAX arrays and scalars
        return to_plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if hasattr(value, "__fspath__"):
        return str(value)
    return refuse("value", value, "numbers, text, arrays, lists, dictionaries or dataclasses")
