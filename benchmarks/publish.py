r"""Writes docs/results/speed.json and the table of docs/results/performance.md from measured runs.

    python -m benchmarks.publish benchmarks/results/zen3 \
        --other "EPYC, Zen 5"=benchmarks/results/zen5 Xeon=benchmarks/results/xeon

A folder holds the runs of one machine, each a ``speed.json`` in it or in a folder of its own; a row
that several of them have is that of the newest. Other machines stand beside, and give the rows that
the first one has not.
"""

import argparse
import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PUBLISHED = DOCS / "results" / "speed.json"
PAGE = DOCS / "results" / "performance.md"
KNOWN = ("command", "created", "revision", "machine", "versions", "suites", "wall_time_s")

_UNKNOWN = {"ratio": None}

Ratios = dict[str, dict[str, Any]]


def main(folder: Path, others: dict[str, Path]) -> None:
    """Merges the runs' `ratios`; each row keeps the conditions of the run it comes from."""
    runs, elsewhere = read(folder), {title: read(path) for title, path in others.items()}
    ratios, beside = merge(runs), {title: merge(those) for title, those in elsewhere.items()}
    for title, rows in beside.items():
        found = {
            key: row | {"measured_on": title}
            for key, row in rows.items()
            if row["ratio"] is not None and ratios.get(key, _UNKNOWN)["ratio"] is None
        }
        ratios |= found
        runs += elsewhere[title] if found else []
    about = [{name: run[name] for name in KNOWN if name in run} for run in runs]
    PUBLISHED.write_text(
        json.dumps({"ratios": ratios, "runs": about}, indent=1) + "\n", encoding="utf-8"
    )
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- /table -->\n")
    text = f"{before}<!-- table -->\n{table(ratios, beside)}<!-- /table -->\n{after}"
    PAGE.write_text(text, encoding="utf-8")


def read(folder: Path) -> list[dict[str, Any]]:
    """The runs of one machine, newest first."""
    files = [*folder.glob("speed.json"), *folder.glob("*/speed.json")]
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return sorted(runs, key=lambda run: run["created"], reverse=True)


def merge(runs: list[dict[str, Any]]) -> Ratios:
    """Each row from the first run that measured it, in the order of the longest list of rows."""
    order = max((run["ratios"] for run in runs), key=len)
    measured = [
        {key: row for key, row in run["ratios"].items() if row["ratio"] is not None}
        for run in reversed(runs)
    ]
    found = {key: row for rows in measured for key, row in rows.items()}
    return {key: found.get(key, row) for key, row in order.items()}


def table(ratios: Ratios, others: dict[str, Ratios]) -> str:
    """The rows in Markdown; ``others`` are those of other machines."""
    heads = ["row", "ratio", "95% interval", "bar", "aim", "", *others]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for key, row in ratios.items():
        cells = [row["title"], *_cells(row), *(_brief(rows.get(key)) for rows in others.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, Any]) -> list[str]:
    """Ratio, interval, bar, aim, and whether the bar is met."""
    bar = "at least" if "at_least" in row else "at most" if "at_most" in row else ""
    bound = f"{bar} {row.get('at_least', row.get('at_most')):.3g}" if bar else ""
    aim = f"{row['aim']:.3g}" if "aim" in row else ""
    if row["ratio"] is None or "measured_on" in row:
        return ["not measured", "", bound, aim, ""]
    verdict = {True: "met", False: "**not met**", None: ""}[row.get("passed")]
    return [f"{row['ratio']:.3g}", f"{row['low']:.3g} to {row['high']:.3g}", bound, aim, verdict]


def _brief(row: dict[str, Any] | None) -> str:
    if row is None or row["ratio"] is None:
        return ""
    return f"**{row['ratio']:.3g}**" if row.get("passed") is False else f"{row['ratio']:.3g}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Publish measured runs.")
    parser.add_argument("folder", type=Path, help="runs of one machine")
    parser.add_argument(
        "--other", nargs="+", default=[], metavar="TITLE=FOLDER", help="runs of others"
    )
    arguments = parser.parse_args()
    pairs = (other.partition("=") for other in arguments.other)
    main(arguments.folder, {title: Path(path) for title, _, path in pairs})
