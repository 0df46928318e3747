"""Does planning through the world model that was learned help a principal in the test?

    mermaide reproduce --preset default --out results/bandits
    python experiments/planning.py results/bandits --out results/planning

Takes the trained principals of the first command that have a world model, adapts them to the test
agents on K episodes with the same draws, and lets them play the first of the same episodes twice:
by their policy, and with planning above it (`principals.planning`), which plays on in imagination
before each step, with and without paying, and departs from the policy where that earns surely more.
A study may be given in parts, by family or by seed. Gains are over the same principal without
planning: of interquartile means with a 95% bootstrap interval over training runs, and in means over
all runs. Writes ``planning.csv``, ``planning.png`` and ``about.json``.
"""

import dataclasses
import sys
import time

from mermaide_jax.errors import check_at_least, check_counts, check_non_negative
from mermaide_jax.report.gains import variant_comparison, variant_gains_figure
from mermaide_jax.studies.kit import Directories, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide import principal_configs
from mermaide_jax.studies.mermaide.finished import Part, load_parts
from mermaide_jax.studies.mermaide.planning import check_plannable, play_with_planning


@dataclasses.dataclass(frozen=True)
class Planning(Options):
    """What is measured."""

    results: Directories
    """Directory that `mermaide reproduce` wrote, with checkpoints, or several."""
    shots: tuple[int, ...] = (0, 1)
    """Numbers K of episodes to adapt on."""
    episodes: int = 4
    """Episodes with each agent, the first of those of the study."""
    rollouts: int = 64
    """Imagined episodes for each choice."""
    errors: float = 2.0
    """How many standard errors a gain must have to be sure enough."""


def load(options: Planning) -> list[Part]:
    """The parts of the study, with the principals that have a world model."""
    predicts = lambda name, config: principal_configs(name, config)[0].world_model  # noqa: E731
    parts = load_parts(options.results, predicts, "a principal with a world model")
    for config, principals in parts:
        for name in principals:
            check_plannable(name, config, options.rollouts, options.errors)
    return parts


def main(options: Planning) -> None:
    """Plays, compares, prints, writes."""
    began = time.monotonic()
    check_at_least("--episodes", options.episodes, 1)
    check_at_least("--rollouts", options.rollouts, 2)
    check_counts("--shots", options.shots)
    check_non_negative("--errors", options.errors)
    parts = load(options)
    directory = prepare_output(options.out, force=options.force)
    sizes = (options.shots, options.episodes, options.rollouts, options.errors)
    found: dict[str, tuple[list, list]] = {}
    for config, principals in parts:
        for name, trained in principals.items():
            played = play_with_planning(name, config, trained, *sizes)
            for rows, more in zip(found.setdefault(name, ([], [])), played, strict=True):
                rows.extend(more)
    table = variant_comparison(found, "planning")
    figures = {"planning": variant_gains_figure(table, "gain in score by planning")}
    about = dict(zip(("episodes", "rollouts", "errors"), sizes[1:], strict=True))
    write_experiment(directory, {"planning": table}, figures, began, **about)
    print(table.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Planning, __doc__))
