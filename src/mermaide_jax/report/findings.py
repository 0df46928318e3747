"""The findings on bandits as blocks of measures: F2, F4 and the share of the attainable."""

from collections.abc import Sequence
from typing import Any

from mermaide_jax.report.attained import oracles
from mermaide_jax.report.names import family_label, is_learned
from mermaide_jax.results.records import Record
from mermaide_jax.results.results import Results

__all__ = ["bandit_findings", "share_lines"]

Blocks = dict[str, dict[str, Any]]


def bandit_findings(
    results: Results,
    improvements: Sequence[Record],
    payments: Sequence[Record],
    principal: str = "mermaide",
) -> Blocks:
    """Gathers the blocks F2 and F4, and the share of the attainable at 1-shot, nested.

    Args:
      results: of the study.
      improvements: of `report.improvement.improvement_records`.
      payments: of `report.interventions.intervention_records`.
      principal: whose share it is.

    Returns:
      Blocks for `results.findings.merge_finding`, by name.

    Example:
      >>> results = Results({}, {}, "", 0.0, "", [], [], [], "the command")
      >>> gain = {"family": "ucb", "k_shot": 1, "value": 0.75, "low": 0.5, "high": 1.0}
      >>> blocks = bandit_findings(results, [gain | {"baseline": "reinforce"}], [])
      >>> blocks["F2"]["ucb"]["1"]["reinforce"]["probability_of_improvement"]
      {'value': 0.75, 'low': 0.5, 'high': 1.0, 'command': 'the command'}
    """
    blocks: Blocks = {"F2": {}, "F4": {}, "attainable_share": {}}
    for record in improvements:
        place = _place(blocks["F2"], record, record["baseline"])
        place["probability_of_improvement"] = _measure(record, results, "value", "low", "high")
    for record in payments:
        if is_learned(record["principal"]):
            place = _place(blocks["F4"], record, record["principal"])
            for name in ("interventions", "pulls_per_payment"):
                ends = (name, f"{name}_low", f"{name}_high")
                place[name] = _measure(record, results, *ends)
    of_tables = (principal, 1, oracles()[0])
    for record in results.attained:
        if (record["principal"], record["k_shot"], record["oracle"]) == of_tables:
            share = _measure(record, results, "share", "low", "high")
            blocks["attainable_share"][record["family"]] = share
    return blocks


def share_lines(blocks: Blocks) -> list[str]:
    """Writes a line of text for each family: the share of the attainable with its interval.

    Example:
      >>> share_lines({"attainable_share": {}})
      []
    """
    lines = []
    for family, share in blocks["attainable_share"].items():
        numbers = [share[name] for name in ("value", "low", "high")]
        value, low, high = ("none" if number is None else f"{number:.2f}" for number in numbers)
        label = family_label(family)
        lines.append(f"share of the attainable, {label}: {value} [{low}, {high}]")
    return lines


def _place(block: dict[str, Any], record: Record, principal: str) -> dict[str, Any]:
    """Where the measures of a principal belong: by family, K and name."""
    shots = block.setdefault(record["family"], {}).setdefault(str(record["k_shot"]), {})
    return shots.setdefault(principal, {})


def _measure(record: Record, results: Results, *names: str) -> dict[str, Any]:
    """Value, low and high, found under these names, and the command."""
    values = (record[name] for name in names)
    return dict(zip(("value", "low", "high"), values, strict=True)) | {"command": results.command}
