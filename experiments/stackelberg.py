"""Runs the Stackelberg study: see `mermaide_jax.studies.stackelberg.study` for its protocol.

python experiments/stackelberg.py --out results/stackelberg            # or with --reduced
"""

import sys

from mermaide_jax.studies.kit import run_study

if __name__ == "__main__":
    sys.exit(run_study("stackelberg"))
