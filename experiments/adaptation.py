"""What does adaptation do: the gradient step, or the memory of the episodes?

    mermaide reproduce --preset default --evaluation.shots 0 1 2 5 10 --out results/bandits
    python experiments/adaptation.py results/bandits --out results/adaptation

Takes the principals of the first command that adapt in training, and lets them meet the test
agents again, with the same draws, in three ways: adapting as they were trained to (both), by
gradient steps alone (the memory stays empty), and by memory alone (no step). A study may be given
in parts. Reports interquartile means over seeds and agents and, for each K, the gain over 0-shot
with a 95% bootstrap interval over training runs. Writes ``adaptation.csv``, ``adaptation.png`` and
``about.json``.
"""

import dataclasses
import sys
import time

from mermaide_jax.errors import refuse
from mermaide_jax.report.gains import shot_gains, shot_gains_figure
from mermaide_jax.studies.kit import Directories, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide import principal_configs
from mermaide_jax.studies.mermaide.adaptation import compare_ways
from mermaide_jax.studies.mermaide.finished import Part, load_parts


@dataclasses.dataclass(frozen=True)
class Adaptation(Options):
    """What is measured."""

    results: Directories
    """Directory that `mermaide reproduce` (or `train`) wrote, with checkpoints, or several."""


def load(options: Adaptation) -> list[Part]:
    """The parts of the study, with the principals that adapt in training."""
    adapts = lambda name, config: principal_configs(name, config)[1].is_meta  # noqa: E731
    parts = load_parts(options.results, adapts, "a principal that adapts in training")
    for config, _ in parts:
        if 0 not in config.evaluation.shots or len(config.evaluation.shots) < 2:
            refuse("shots", config.evaluation.shots, "0 and at least one more")
    return parts


def main(options: Adaptation) -> None:
    """Tests, prints, writes."""
    began, parts = time.monotonic(), load(options)
    directory = prepare_output(options.out, force=options.force)
    found: dict[tuple[str, str], list[dict]] = {}
    for config, principals in parts:
        for name, trained in principals.items():
            for way, rows in compare_ways(name, config, trained).items():
                found.setdefault((name, way), []).extend(rows)
    table = shot_gains(found)
    figures = {"adaptation": shot_gains_figure(table)}
    write_experiment(directory, {"adaptation": table}, figures, began)
    print(table.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    sys.exit(start(main, Adaptation, __doc__))
