"""Results of earlier formats in the words of the present one, so that no record is lost."""

from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]

_COLUMNS = {"agent_rule": "family"}
_PRINCIPALS = {"planner": "clairvoyant"}
_EVALUATION = {"planner_beam": "clairvoyant_beam"}
_RECORDS = ("rows", "episodes", "attained")


def upgrade_columns(names: Iterable[str]) -> list[str]:
    """The present names of columns, whatever the format that has them."""
    return [_COLUMNS.get(name, name) for name in names]


def upgrade_records(records: Iterable[Record]) -> list[Record]:
    """Renames the columns and principals of format 1.

    Args:
      records: rows, curves, episodes or shares, of any format.

    Returns:
      The same in the present words; others are left as they are.
    """
    return [_upgrade_record(record) for record in records]


def upgrade_content(content: Record) -> Record:
    """Brings what a `results.json` of format 1 holds to the present format."""
    upgraded = content | {key: upgrade_records(content[key]) for key in _RECORDS if key in content}
    return (
        upgraded | {"config": upgrade_config(content["config"])}
        if "config" in content
        else upgraded
    )


def upgrade_config(config: Record) -> Record:
    """Renames the fields and principals of a study's config that were called otherwise once."""
    upgraded = dict(config)
    if isinstance(config.get("evaluation"), dict):
        upgraded["evaluation"] = _renamed(config["evaluation"], _EVALUATION)
    if isinstance(config.get("principals"), list):
        upgraded["principals"] = [_PRINCIPALS.get(name, name) for name in config["principals"]]
    return upgraded


def _upgrade_record(record: Record) -> Record:
    named = _renamed(record, _COLUMNS)
    for column in ("principal", "oracle", "best_scripted"):
        if column in named:
            named[column] = _PRINCIPALS.get(named[column], named[column])
    return named


def _renamed(record: Record, names: dict[str, str]) -> Record:
    return {names.get(key, key): value for key, value in record.items()}
