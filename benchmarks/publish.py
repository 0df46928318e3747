"""Writes docs/results/speed.json: the ratios of one or more measured runs, with their conditions.

    python benchmarks/publish.py benchmarks/results/speed.json benchmarks/results/start/speed.json

A row that several runs have is taken from the first that measured it.
"""

import json
import sys
from pathlib import Path

PUBLISHED = Path(__file__).parent.parent / "docs" / "results" / "speed.json"


def main(files: list[str]) -> None:
    """Merges the files' `ratios`; each row keeps the conditions of the run it comes from."""
    runs = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files]
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


if __name__ == "__main__":
    main(sys.argv[1:])
