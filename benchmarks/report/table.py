"""The results as plain text: the rows against their bars, then every contender's figures."""

from typing import Any

from mermaide_jax.throughput.text import aligned, rate, seconds

_VERDICT = {True: "pass", False: "FAIL", None: ""}


def format_ratios(ratios: dict[str, dict[str, Any]]) -> str:
    """The table of rows: ratio, its interval, bar, aim and verdict.

    Args:
      ratios: as in ``speed.json``.
    """
    lines = [("", "ratio", "95% interval", "bar", "aim", "")]
    for entry in ratios.values():
        lines.append(
            (
                entry["title"],
                _number(entry["ratio"]),
                "" if entry["ratio"] is None else f"{_number(entry['low'])} to "
                f"{_number(entry['high'])}",
                _bar(entry),
                _number(entry.get("aim")),
                _reason(entry) if "reason" in entry
                else _VERDICT[entry["passed"]],
            )
        )  # fmt: skip
    return aligned(lines)


def format_case(case: dict[str, Any]) -> str:
    """One case: seconds of a call and rate of every contender, slowest last."""
    sizes = ", ".join(f"{name} {value}" for name, value in case["sizes"].items())
    head = f"{case['name']} ({sizes}; {case['clock']} time; {case['repeats']} blocks)"
    lines = [("", "median", "quartiles", f"{case['unit']}/s", "setup", "temp memory", "")]
    ranked = sorted(case["contenders"], key=lambda e: -e.get("summary", {}).get("rate", 0.0))
    for entry in ranked:
        facts, summary = entry.get("facts", {}), entry.get("summary")
        remark = "" if entry["status"] == "measured" else _reason(entry)
        if entry["name"] in case["checksums_agree"]["disagree"]:
            remark = "checksum differs"
        if not entry["same_checksum"]:
            remark = remark or "another law"
        lines.append(
            (
                entry["name"],
                seconds(summary["median_s"]) if summary else "",
                f"{seconds(summary['lower_quartile_s'])} to "
                f"{seconds(summary['upper_quartile_s'])}" if summary else "",
                rate(summary["rate"]) if summary else "",
                seconds(entry.get("setup_wall_s")),
                _bytes(facts.get("temp_bytes")),
                remark,
            )
        )  # fmt: skip
    return f"{head}\n{aligned(lines)}"


def _reason(entry: dict[str, Any]) -> str:
    reason = entry["reason"]
    return f"not measured: {reason if len(reason) <= 90 else reason[:87] + '...'}"


def _bar(entry: dict[str, Any]) -> str:
    if "at_least" in entry:
        return f">= {_number(entry['at_least'])}"
    return f"<= {_number(entry['at_most'])}" if "at_most" in entry else ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _bytes(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:.3g} MB"
