"""`mermaide bench` from a clone, results in `benchmarks/results/` unless `--out` says otherwise.

python benchmarks/run.py --quick
"""

import sys
from pathlib import Path

from mermaide_jax.cli import main

RESULTS = Path(__file__).parent / "results"

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not any(argument.split("=")[0] == "--out" for argument in arguments):
        arguments += ["--out", str(RESULTS), "--force"]
    sys.exit(main(["bench", *arguments]))
