"""What would it be worth to be informed of the agent, in the full game, with these networks?

    mermaide reproduce --preset default --out results/bandits
    python experiments/informed.py results/bandits --out results/informed

Takes the config of a finished study and trains its world model without meta-learning anew, informed
of more than actions at every step, in observation and in nothing else (`games.informed`):

- ``task``: base rewards and coefficient, and what they say of the agent's indices if rewards had no
  noise. That is all that any number of episodes with an agent can teach of the next one, so what
  it is worth bounds the worth of adapting;
- ``state``: the agent's own estimates, and so its indices. Nothing is hidden but the draws to
  come, so what it still earns less than the all-knowing planner is lost in training.

The index is what the agent maximises: estimates plus width for UCB, estimates for epsilon-greedy.
The networks (architecture arms) get its distance from the best other one, plain and squashed so
that near ties stand out. "Actions alone" and the references are the rows of the finished study, of
the same seeds. Scores are interquartile means, intervals 95% bootstraps over runs within agents.
Writes ``informed.csv``, ``informed.png`` and ``about.json``.
"""

import dataclasses
import sys
import time

from mermaide_jax.report.attained import oracles, scripts
from mermaide_jax.report.variants import variant_figure, variant_table
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.kit import Directory, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide.informed import (
    PRINCIPAL,
    families_alone,
    known_rows,
    train_informed,
)

LABELS = {
    "nothing": "actions alone",
    "task": "and informed of the task",
    "state": "and informed of the state",
}


@dataclasses.dataclass(frozen=True)
class Informed(Options):
    """What is measured."""

    results: Directory
    """Directory that `mermaide reproduce` wrote, with the world model without meta-learning, a
    script and the all-knowing planner."""
    seeds: int = 3
    """Training runs for each family, the first ones of the study."""
    families: tuple[str, ...] = ()
    """Families of agents, one after the other; those of the study if none is named."""


def main(options: Informed) -> None:
    """Trains, tests, compares, prints, writes."""
    began, results = time.monotonic(), read_results(options.results)
    configs = families_alone(results, options.families, options.seeds)
    directory = prepare_output(options.out, force=options.force)
    known = known_rows(results, configs)
    found = {"nothing": [row for row in known if row["principal"] == PRINCIPAL]}
    references = [row for row in known if row["principal"] in (*scripts(), oracles()[0])]
    for knowledge in ("task", "state"):
        found[knowledge] = [row for config in configs for row in train_informed(config, knowledge)]
    table = variant_table(found, references, "informed_of")
    figures = {"informed": variant_figure(table, LABELS, "informed_of")}
    about = {"seeds": sorted({row["seed"] for row in known}), "study": results.command}
    write_experiment(directory, {"informed": table}, figures, began, **about)
    print(table.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Informed, __doc__))
