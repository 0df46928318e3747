"""Runs the Stackelberg study; its protocol: `mermaide_jax.studies.stackelberg.study`."""

import sys

from mermaide_jax.studies.kit import run_study

if __name__ == "__main__":
    sys.exit(run_study("stackelberg"))
