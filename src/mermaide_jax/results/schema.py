"""What a record of the results holds: its Arrow schema, in one place, and the check against it."""

import dataclasses
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from mermaide_jax.errors import refuse

__all__ = [
    "ATTAINED_COLUMNS",
    "ATTAINED_SCHEMA",
    "CURVE_COLUMNS",
    "CURVE_SCHEMA",
    "EPISODE_KEYS",
    "EPISODE_SCHEMA",
    "FORMAT_VERSION",
    "ROW_COLUMNS",
    "ROW_SCHEMA",
    "check_records",
    "python_types",
    "to_plain",
]

FORMAT_VERSION = 3
"""2: ``agent_rule`` is ``family``, ``planner`` ``clairvoyant``; 3: all records are Parquet."""

_TEXT = pa.string()
_INTEGER = pa.int64()
_EXACT = pa.float64()  # what tables are made of
_SINGLE = pa.float32()  # what networks and agents computed, in float32 already


def _schema(**columns: pa.DataType) -> pa.Schema:
    """The columns in order; text and integers may not be null."""
    return pa.schema(
        [pa.field(name, kind, kind not in (_TEXT, _INTEGER)) for name, kind in columns.items()]
    )


ROW_SCHEMA = _schema(
    principal=_TEXT,
    family=_TEXT,
    coefficient=_EXACT,  # beta of UCB, epsilon of epsilon-greedy
    split=_TEXT,
    k_shot=_INTEGER,  # episodes the principal was fine-tuned on
    seed=_INTEGER,
    agent=_INTEGER,  # index within the family's test set
    score=_EXACT,  # per episode: pulls of the target less cost times interventions
    success_rate=_EXACT,  # share of steps in which the agent pulled the target
    interventions=_EXACT,  # mean number per episode
    world_model_log_likelihood=_EXACT,  # mean nats per step; null without a world model
    world_model_accuracy=_EXACT,  # share of next actions predicted; null without a world model
    horizon=_INTEGER,
    episodes=_INTEGER,  # evaluation episodes behind this row
)
"""A row: one principal, seed, agent and K."""

ATTAINED_SCHEMA = _schema(
    family=_TEXT,
    k_shot=_INTEGER,
    principal=_TEXT,
    oracle=_TEXT,  # worth 1
    best_scripted=_TEXT,  # worth 0
    share=_EXACT,  # of the attainable; null where the oracle is not above the best script
    low=_EXACT,
    high=_EXACT,
)
"""A share of the attainable: one principal, family, K and oracle."""

CURVE_SCHEMA = _schema(
    principal=_TEXT,
    family=_TEXT,
    seed=_INTEGER,
    update=_INTEGER,
    phase=_TEXT,  # "world_model" or "joint"
    score=_SINGLE,
    success_rate=_SINGLE,
    interventions=_SINGLE,  # per episode
    world_model_log_likelihood=_SINGLE,
    entropy=_SINGLE,
)
"""A point of a training curve."""

EPISODE_SCHEMA = _schema(
    principal=_TEXT,
    family=_TEXT,
    coefficient=_EXACT,
    seed=_INTEGER,
    k_shot=_INTEGER,
    agent=_INTEGER,
    target=_INTEGER,  # the arm a*
    mean_rewards=pa.list_(_SINGLE),  # [A]
    action=pa.list_(_INTEGER),  # [T]
    intervention=pa.list_(_SINGLE),  # [T] what was paid, 0 where nothing was
    predicted_target_probability=pa.list_(_SINGLE),  # [T], or null without a world model
    policy_probability=pa.list_(_SINGLE),  # [T] probability of intervening, or null
    agent_estimates=pa.list_(pa.list_(_SINGLE)),  # [T][A] sample means before acting
    reward=pa.list_(_SINGLE),  # [T] what the agent received
    score=_EXACT,
)
"""A recorded episode."""


def python_types(schema: pa.Schema) -> dict[str, type]:
    """Gives the type in Python of every column of a schema, for `check_records`.

    Example:
      >>> python_types(ROW_SCHEMA)["score"]
      <class 'float'>
    """
    kinds = {_TEXT: str, _INTEGER: int, _EXACT: float, _SINGLE: float}
    return {field.name: kinds.get(field.type, list) for field in schema}


ROW_COLUMNS = python_types(ROW_SCHEMA)
ATTAINED_COLUMNS = python_types(ATTAINED_SCHEMA)
CURVE_COLUMNS = python_types(CURVE_SCHEMA)
EPISODE_KEYS = python_types(EPISODE_SCHEMA)


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

    Example:
      >>> check_records("points", [{"x": 0.5}], {"x": float})
      >>> check_records("points", [{"y": 0.5}], {"x": float})
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: points[0]: got ..., expected ...
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
    """Makes a value what JSON knows: arrays become lists, NaN and infinity become None.

    Args:
      value: nested dictionaries, lists, tuples, dataclasses, NumPy or JAX arrays and scalars.

    Returns:
      The same out of dict, list, str, int, float, bool and None.

    Raises:
      ConfigError: if a part is none of these.

    Example:
      >>> to_plain({"x": np.array([1.0, np.nan])})
      {'x': [1.0, None]}
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
