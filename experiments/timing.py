"""When does each principal pay, and when does it get the target?

    mermaide reproduce --preset default --out results/bandits
    python experiments/timing.py results/bandits --out results/timing

Takes the trained principals of the first command, adapts them to the test agents on K episodes and
lets them play the first of the same episodes again; the all-knowing planner, which need not be
trained, plays them too. For each step of the episode: how many are paid for, in how many the agent
takes the target, and how many are paid for where it had not taken the target before, which is what
a principal does in the agent's first round through the arms. A study may be given in parts, by
family or by seed. Writes ``timing.csv`` (means over training runs, with the least and greatest),
``timing.png`` and ``about.json``.
"""

import dataclasses
import sys
import time

import pandas as pd

from mermaide_jax.errors import check_at_least, check_counts, refuse
from mermaide_jax.report.timing import profiles_by_tenths, profiles_figure, runs_spread
from mermaide_jax.studies.kit import Directories, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide.finished import Part, load_parts
from mermaide_jax.studies.mermaide.timing import payment_times


@dataclasses.dataclass(frozen=True)
class Timing(Options):
    """What is measured."""

    results: Directories
    """Directory that `mermaide reproduce` wrote, with checkpoints, or several."""
    shots: tuple[int, ...] = (0, 1)
    """Numbers K of episodes to adapt on."""
    episodes: int = 8
    """Episodes with each agent, the first of those of the study."""


def load(options: Timing) -> list[Part]:
    """The parts of the study, in which principals pay for the target."""
    parts = load_parts(options.results)
    for config, _ in parts:
        if config.game.kind != "binary":
            refuse("kind", config.game.kind, "'binary'")
    return parts


def main(options: Timing) -> None:
    """Plays, prints, writes."""
    began = time.monotonic()
    check_at_least("--episodes", options.episodes, 1)
    check_counts("--shots", options.shots)
    parts = load(options)
    directory = prepare_output(options.out, force=options.force)
    sizes = (options.shots, options.episodes)
    runs = pd.concat(payment_times(config, principals, *sizes) for config, principals in parts)
    table = runs_spread(runs)
    about = {"episodes": options.episodes, "seeds": sorted(set(runs["seed"].tolist()))}
    write_experiment(
        directory, {"timing": table}, {"timing": profiles_figure(table)}, began, **about
    )
    print(profiles_by_tenths(table).to_string(float_format="%.2f"))


if __name__ == "__main__":
    sys.exit(start(main, Timing, __doc__))
