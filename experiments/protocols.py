"""Do the findings hold under other protocols: other splits, horizons, mixed agents, endless agents?

    mermaide reproduce --preset default --seeds 3 --agents.split same --out results/same
    mermaide reproduce --preset default --seeds 3 --game.horizon 200 --out results/bandits_200
    python experiments/protocols.py results/bandits results/same results/bandits_200 \
        --out results/protocols

Reads finished studies (one in parts is put together by ``experiments/bandits.py`` first) and names
each by what its game, its agents, its networks or its training have that the first study's have
not. Writes ``protocols.csv`` (scores and shares of the attainable with intervals, success,
interventions), ``improvement.csv`` (the probability that MERMAIDE improves on each baseline),
``protocols.png`` and ``about.json``, and prints both tables in short. Intervals are those of every
other table.
"""

import dataclasses
import sys
import time

from mermaide_jax.errors import refuse
from mermaide_jax.report.protocols import compare_protocols, protocols_figure, short_table
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.kit import Directories, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide.protocols import name_protocols


@dataclasses.dataclass(frozen=True)
class Protocols(Options):
    """What is read, and where the tables go."""

    results: Directories
    """Directories of finished studies, first the one that the others are held against."""


def main(options: Protocols) -> None:
    """Reads, compares, writes, prints."""
    began = time.monotonic()
    if not options.results:
        refuse("results", [], "at least one directory that `mermaide reproduce` wrote")
    studies = name_protocols([read_results(place) for place in options.results])
    directory = prepare_output(options.out, force=options.force)
    scores, improvements = compare_protocols(studies)
    tables = {"protocols": scores, "improvement": improvements}
    figures = {"protocols": protocols_figure(scores, improvements)}
    formats = {"protocols": "%.6g", "improvement": "%.4g"}
    write_experiment(directory, tables, figures, began, formats=formats)
    print(short_table(scores).to_string(index=False, float_format="%.2f"))
    print(improvements.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    sys.exit(start(main, Protocols, __doc__))
