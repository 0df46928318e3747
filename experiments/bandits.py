"""F2 and F4: is MERMAIDE better than each learned baseline, and with how many interventions?

    mermaide reproduce --preset default --out results/bandits      # hours on two cores; a GPU helps
    mermaide reproduce --preset quick --out results/bandits        # the same, reduced: minutes
    python experiments/bandits.py results/bandits --findings results/findings.json

Reads what the first (or second) command wrote. A study may be run in parts, with some of the
families, seeds or principals each, and is put together in the directory ``--out`` (``--compact``
leaves out what is large):

    python experiments/bandits.py results/ucb results/epsilon_greedy --out results/bandits

Protocol, declared before the test: 15 training and 10 test agents of each family, unseen
coefficients, all principals with the same episodes, updates and networks; what could be tuned was
tuned on the agents of another seed (``--agents.seed 1``), for each principal by itself.
Prints scores with success rate and interventions, the share of the attainable, the average
probability that MERMAIDE improves on each baseline, and the target pulls that a payment brought
(bootstraps over training runs); writes ``improvement`` and ``interventions`` (``.csv`` and
``.png``) beside the results, and the blocks F2 and F4 and the shares into the findings.
"""

import dataclasses
import sys
from pathlib import Path

import pandas as pd

from mermaide_jax.errors import refuse
from mermaide_jax.report.figures import write_figures
from mermaide_jax.report.findings import bandit_findings, share_lines
from mermaide_jax.report.improvement import improvement_figure, improvement_records
from mermaide_jax.report.interventions import intervention_records, interventions_figure
from mermaide_jax.report.names import learned_principals
from mermaide_jax.report.summary import format_table, summarize
from mermaide_jax.results.files import write_atomically
from mermaide_jax.results.findings import merge_finding
from mermaide_jax.results.results import Results, reduce_results, write_results
from mermaide_jax.studies.kit import Directories, file_writers, prepare_output, start
from mermaide_jax.studies.mermaide.finished import read_study


@dataclasses.dataclass(frozen=True)
class Bandits:
    """What is read, and where the findings go."""

    results: Directories
    """Directory that `mermaide reproduce` wrote, or those of the parts of a study."""
    out: Path | None = None
    """Directory for the whole study, if there are several parts."""
    force: bool = False
    """Accept an output directory that holds files."""
    compact: bool = False
    """Leave recorded episodes and the figures of the study out of the output directory, and
    average training curves over stretches of updates."""
    findings: Path | None = None
    """Findings file whose blocks F2, F4 and attainable_share are replaced."""


def read(options: Bandits) -> tuple[Results, Path]:
    """The study, put together and written if it is to be, and its directory."""
    if options.out is None and len(options.results) > 1:
        refuse("--out", "nothing", "a directory for the study that these parts make")
    if options.out is None and options.compact:
        refuse("--compact", True, "with --out: a finished study is left as it is")
    study = read_study(options.results)
    if options.out is None:
        return study, next(iter(options.results))
    directory = prepare_output(options.out, force=options.force)
    write_results(directory, reduce_results(study) if options.compact else study)
    if not options.compact:
        write_figures(directory, study)
    return study, directory


def main(options: Bandits) -> None:
    """Reads, compares, prints, writes."""
    study, directory = read(options)
    principal, *baselines = learned_principals()
    improvements = improvement_records(study.rows, baselines, principal)
    payments = intervention_records(study.rows)
    blocks = bandit_findings(study, improvements, payments, principal)
    print(format_table(summarize(study.rows)))
    tables = {"improvement": pd.DataFrame(improvements), "interventions": pd.DataFrame(payments)}
    for table in tables.values():
        print(table.to_string(index=False, float_format="%.2f"))
    print(*share_lines(blocks), sep="\n")
    figures = {
        "improvement": improvement_figure(improvements),
        "interventions": interventions_figure(payments, study.config["game"]["cost"]),
    }
    write_atomically(directory, file_writers(tables, figures, dict.fromkeys(tables, "%.6g")))
    if options.findings is not None:
        for name, block in blocks.items():
            merge_finding(options.findings, name, block)


if __name__ == "__main__":
    sys.exit(start(main, Bandits, __doc__))
