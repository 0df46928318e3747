"""Results of earlier formats in the words of the present one, so that no record is lost."""

from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]

_COLUMNS = {"agent_rule": "family"}
_PRINCIPALS = {"planner": "clairvoyant"}
_EVALUATION = {"planner_beam": "clairvoyant_beam"}
_RECORDS = ("rows", "episodes", "attained")


def upgrade_columns(names: Iterable[str]) -> list[str]:
    """Gives the present names of columns, whatever the format that has them.

    Example:
      >>> upgrade_columns(["agent_rule", "score"])
      ['family', 'score']
    """
    return [_COLUMNS.get(name, name) for name in names]


def upgrade_records(records: Iterable[Record]) -> list[Record]:
    """Renames the columns and principals of format 1.

    Args:
      records: rows, curves, episodes or shares, of any format.

    Returns:
      The same in the present words; others are left as they are.

    Example:
      >>> upgrade_records([{"agent_rule": "ucb", "principal": "planner"}])
      [{'family': 'ucb', 'principal': 'clairvoyant'}]
    """
    return [_upgrade_record(record) for record in records]


def upgrade_content(content: Record) -> Record:
    """Brings what a `results.json` of format 1 holds to the present format.

    Example:
      >>> upgrade_content({"format_version": 1, "config": {}})["config"]
      {}
    """
    lists = {key: content[key] for key in _RECORDS if isinstance(content.get(key), list)}
    upgraded = content | {key: upgrade_records(records) for key, records in lists.items()}
    if isinstance(content.get("config"), dict):
        upgraded["config"] = upgrade_config(content["config"])
    return upgraded


def upgrade_config(config: Record) -> Record:
    """Renames the fields and principals of a study's config that were called otherwise once.

    Args:
      config: as `json.loads` gave it. One of the present format is left as it is: its principals
        may well have names of their own that meant something else once.

    Example:
      >>> upgrade_config({"evaluation": {"planner_beam": 4}})
      {'evaluation': {'clairvoyant_beam': 4}}
    """
    if not isinstance(config, dict):
        return config  # refused by who reads it
    evaluation, entropy = config.get("evaluation"), config.get("baseline_entropy")
    is_former = isinstance(entropy, dict)
    is_former |= isinstance(evaluation, dict) and not _EVALUATION.keys().isdisjoint(evaluation)
    if not is_former:
        return config
    upgraded = dict(config)
    if isinstance(evaluation, dict):
        upgraded["evaluation"] = _renamed(evaluation, _EVALUATION)
    if isinstance(entropy, dict):
        pairs = [[name, bonus] for name, bonus in entropy.items() if bonus is not None]
        upgraded["baseline_entropy"] = pairs
    if isinstance(config.get("principals"), list):
        upgraded["principals"] = [_present_name(name) for name in config["principals"]]
    return upgraded


def _present_name(principal: Any) -> Any:
    return _PRINCIPALS.get(principal, principal) if isinstance(principal, str) else principal


def _upgrade_record(record: Any) -> Any:
    if not isinstance(record, dict):
        return record  # refused by who reads it
    named = _renamed(record, _COLUMNS)
    for column in ("principal", "oracle", "best_scripted"):
        if column in named:
            named[column] = _present_name(named[column])
    return named


def _renamed(record: Record, names: dict[str, str]) -> Record:
    return {names.get(key, key): value for key, value in record.items()}
