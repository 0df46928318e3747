"""Pay-the-first-k for every k, on the training and on the test agents of a preset.

    python experiments/first_k.py --preset standard

The study chooses k on the training agents; this shows what hindsight would have chosen.
"""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import registry
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.principals import first_k
from mermaide_jax.studies.kit import start
from mermaide_jax.studies.mermaide.setting import make_setting


@dataclasses.dataclass(frozen=True)
class FirstK:
    """What is played."""

    preset: str = "standard"
    """Preset whose agents are met."""


def main(options: FirstK) -> None:
    """Prints the mean score over agents for each fifth k."""
    config = registry.get("preset", options.preset, "--preset").value
    setting = make_setting(config)
    principal = first_k(setting.game.pay_target)
    counts = jnp.arange(0, setting.game.horizon + 1, 5)
    print("k".ljust(24), *(f"{k:6d}" for k in counts.tolist()))
    for number, stream in enumerate(setting.streams):
        if stream.seed != config.seed:
            continue
        games = setting.populations.games_of(stream.population)
        families = dict(setting.populations.families)[stream.population]
        for role in ("train", "test"):
            sets = jax.tree.map(lambda leaf: leaf[number], getattr(setting, role))  # noqa: B023
            tasks, key = tuple(sets[family] for family in families), jax.random.key(0)
            score = lambda k: evaluate(key, games, principal, k, tasks, 32).score  # noqa: B023, E731
            means = np.asarray(jax.jit(jax.vmap(score))(counts)).mean(axis=1)
            print(f"{stream.population} {role}".ljust(24), *(f"{mean:6.2f}" for mean in means))


if __name__ == "__main__":
    sys.exit(start(main, FirstK, __doc__))
