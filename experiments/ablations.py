"""Runs the ablations: see `mermaide_jax.studies.ablations.study` for what they are.

    python experiments/ablations.py --out results/ablations --seeds 5     # hours on two cores
    python experiments/ablations.py --out results/ablations --reduced     # all of it, too little
    python experiments/ablations.py --out results/ablations --groups cost bonus --resume

It is ``mermaide run ablations`` with progress, with a cache of compiled programs and, if reduced,
with programs that compile in less than half the time.
"""

import os
import subprocess
import sys
from collections.abc import MutableMapping

from mermaide_jax.cli import set_xla_flags
from mermaide_jax.cli.compile_cache import compile_cache
from mermaide_jax.cli.progress import TrainingProgress
from mermaide_jax.studies.ablations import study
from mermaide_jax.studies.kit import start
from mermaide_jax.studies.mermaide import StudyConfig

QUICK = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")
"""Flags of XLA that compile in less than half the time, for runs that are nearly all compiling."""


def compile_quickly(environ: MutableMapping[str, str]) -> None:
    """Adds those of `QUICK` that this release of XLA knows: it ends at others, and names them."""
    trial = [sys.executable, "-c", "import jax; jax.devices()"]
    options = {**environ, "XLA_FLAGS": " ".join(QUICK), "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(trial, env=options, capture_output=True, text=True)
    known = [flag for flag in QUICK if not ended.returncode or flag not in ended.stderr]
    environ["XLA_FLAGS"] = " ".join((environ.get("XLA_FLAGS", ""), *known)).strip()


def show(config: StudyConfig) -> TrainingProgress:
    """What shows the training of one study."""
    sizes = (config.training.updates, config.steps_per_update)
    return TrainingProgress([study.PRINCIPAL], *sizes)


def main(options: study.Ablations) -> int:
    """Runs what the command line asks for; gives the exit code."""
    if options.reduced:
        compile_quickly(os.environ)
    set_xla_flags(os.environ)  # read when the first array is made
    with compile_cache(True):
        return study.main(options, show)


if __name__ == "__main__":
    sys.exit(start(main, study.Ablations, study.__doc__))
