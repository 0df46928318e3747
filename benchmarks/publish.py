"""Writes docs/results/speed.json and the table of docs/performance.md from measured runs.

    cd benchmarks/results
    python ../publish.py {simulator,main,devices,scaling}/speed.json --beside xeon/speed.json

A row that several runs have is taken from the first that measured it. What another machine measured
before can stand beside.
"""

import argparse
import json
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
PUBLISHED = DOCS / "results" / "speed.json"
PAGE = DOCS / "performance.md"


def main(files: list[Path], beside: Path | None) -> None:
    """Merges the files' `ratios`; each row keeps the conditions of the run it comes from."""
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    ratios: dict[str, dict] = {}
    for run in runs:
        for key, row in run["ratios"].items():
            if key not in ratios or ratios[key]["ratio"] is None:
                ratios[key] = row
    known = ("command", "created", "revision", "machine", "versions", "suites", "wall_time_s")
    about = [{name: run[name] for name in known if name in run} for run in runs]
    PUBLISHED.write_text(
        json.dumps({"ratios": ratios, "runs": about}, indent=1) + "\n", encoding="utf-8"
    )
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- /table -->\n")
    other = json.loads(beside.read_text(encoding="utf-8"))["ratios"] if beside else None
    text = f"{before}<!-- table -->\n{table(ratios, other)}<!-- /table -->\n{after}"
    PAGE.write_text(text, encoding="utf-8")


def table(ratios: dict[str, dict], other: dict[str, dict] | None = None) -> str:
    """The rows in Markdown; ``other`` are those of another machine."""
    lines = ["| row | ratio | 95% interval | bar | aim | |", "|---|---|---|---|---|---|"]
    if other is not None:
        lines = [f"{line}{more}" for line, more in zip(lines, (" before |", "---|"), strict=True)]
    for key, row in ratios.items():
        bar = "at least" if "at_least" in row else "at most" if "at_most" in row else ""
        value = row.get("at_least", row.get("at_most"))
        verdict = {True: "met", False: "**not met**", None: ""}[row.get("passed")]
        if row["ratio"] is None:
            interval, ratio, verdict = "", "not measured", ""
        else:
            ratio, interval = f"{row['ratio']:.3g}", f"{row['low']:.3g} to {row['high']:.3g}"
        bound = f"{bar} {value:.3g}" if bar else ""
        aim = f"{row['aim']:.3g}" if "aim" in row else ""
        line = f"| {row['title']} | {ratio} | {interval} | {bound} | {aim} | {verdict} |"
        lines.append(line if other is None else f"{line} {_brief(other.get(key))} |")
    return "\n".join(lines) + "\n"


def _brief(row: dict | None) -> str:
    return "" if row is None or row["ratio"] is None else f"{row['ratio']:.3g}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="speed.json of runs")
    parser.add_argument("--beside", type=Path, metavar="FILE", help="of another machine")
    arguments = parser.parse_args()
    main(arguments.files, arguments.beside)
