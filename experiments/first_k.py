"""Pay-the-first-k for every k, on the training and on the test agents of a preset.

    python experiments/first_k.py --preset standard

The study chooses k on the training agents; this shows what hindsight would have chosen.
"""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.errors import check_choice
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.principals import first_k
from mermaide_jax.studies.kit import start
from mermaide_jax.studies.mermaide import PRESETS
from mermaide_jax.studies.mermaide.setting import make_setting


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is played."""

    preset: str = "standard"
    """Preset whose agents are met."""


def main(experiment: Experiment) -> None:
    """Prints the mean score over agents for each fifth k."""
    config = PRESETS[check_choice("--preset", experiment.preset, PRESETS)]
    setting = make_setting(config)
    game, principal = setting.game, first_k(setting.game.pay_target)
    counts = jnp.arange(0, game.horizon + 1, 5)
    print("k".ljust(24), *(f"{k:6d}" for k in counts.tolist()))
    for number, stream in enumerate(setting.streams):
        if stream.seed != config.seed:
            continue
        for role in ("train", "test"):
            tasks = jax.tree.map(lambda leaf: leaf[number], getattr(setting, role))  # noqa: B023
            key = jax.random.key(0)
            score = lambda k: evaluate(key, game, principal, k, tasks, 32).score  # noqa: B023, E731
            means = np.asarray(jax.jit(jax.vmap(score))(counts)).mean(axis=1)
            print(f"{stream.population} {role}".ljust(24), *(f"{mean:6.2f}" for mean in means))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
