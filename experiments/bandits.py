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
import itertools
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax.errors import refuse
from mermaide_jax.report.attained import attained_records, oracles
from mermaide_jax.report.figures import write_figures
from mermaide_jax.report.improvement import improvement_records
from mermaide_jax.report.interventions import intervention_records, interventions_figure
from mermaide_jax.report.names import families_and_shots, family_label, principal_label
from mermaide_jax.report.style import new_figure
from mermaide_jax.report.summary import format_table, summarize
from mermaide_jax.results.files import write_atomically
from mermaide_jax.results.findings import merge_finding
from mermaide_jax.results.results import (
    Results,
    merge_results,
    prepare_output,
    read_results,
    write_results,
)
from mermaide_jax.studies.kit import file_writers, start
from mermaide_jax.studies.mermaide.config import LEARNED

PRINCIPAL, BASELINES = LEARNED[0], LEARNED[1:]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is read, and where the findings go."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote, or those of the parts of a study."""
    out: Path | None = None
    """Directory for the whole study, if there are several parts."""
    force: bool = False
    """Accept an output directory that holds files."""
    compact: bool = False
    """Leave recorded episodes and the figures of the study out of the output directory, and the
    rows to results.parquet alone."""
    findings: Path | None = None
    """Findings file whose blocks F2, F4 and attainable_share are replaced."""


def findings_of(
    results: Results, improvements: list[dict], payments: list[dict]
) -> dict[str, dict[str, dict]]:
    """The blocks F2 and F4, and the share of the attainable at 1-shot, nested."""
    blocks: dict[str, dict[str, dict]] = {"F2": {}, "F4": {}, "attainable_share": {}}
    for record in improvements:
        place = _place(blocks["F2"], record, record["baseline"])
        place["probability_of_improvement"] = _measure(record, results, "value", "low", "high")
    for record in payments:
        if record["principal"] in LEARNED:
            place = _place(blocks["F4"], record, record["principal"])
            for name in ("interventions", "pulls_per_payment"):
                ends = (name, f"{name}_low", f"{name}_high")
                place[name] = _measure(record, results, *ends)
    for record in results.attained:
        if (record["principal"], record["k_shot"], record["oracle"]) == (PRINCIPAL, 1, oracles()[0]):
            share = _measure(record, results, "share", "low", "high")
            blocks["attainable_share"][record["family"]] = share
    return blocks


def _place(block: dict[str, dict], record: dict, principal: str) -> dict:
    """Where the measures of a principal belong: by family, K and name."""
    shots = block.setdefault(record["family"], {}).setdefault(str(record["k_shot"]), {})
    return shots.setdefault(principal, {})


def _measure(record: dict, results: Results, *names: str) -> dict:
    """Value, low and high, found under these names, and the command."""
    values = (record[name] for name in names)
    return dict(zip(("value", "low", "high"), values, strict=True)) | {"command": results.command}


def draw(records: list[dict]) -> Figure:
    """Probability of improvement with intervals, a row for each family, a column for each K."""
    groups = families_and_shots((r["family"], r["k_shot"]) for r in records)
    families = list(dict.fromkeys(family for family, _ in groups))
    shots = sorted({number for _, number in groups})
    figure = new_figure(2.6 * len(shots) + 1.4, 1.3 + 1.2 * len(families))
    panels = figure.subplots(len(families), len(shots), squeeze=False, sharex=True, sharey=True)
    for (row, family), (column, number) in itertools.product(enumerate(families), enumerate(shots)):
        axes = panels[row, column]
        own = [r for r in records if (r["family"], r["k_shot"]) == (family, number)]
        for height, record in enumerate(own):
            if record["low"] is not None:
                axes.plot([record["low"], record["high"]], [height, height], "C0-", lw=3)
            axes.plot(record["value"], height, "C0o")
        axes.axvline(0.5, color="0.6", lw=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.5, len(BASELINES) - 0.5))
        axes.set_title(f"{family_label(family)}, {number}-shot", fontsize=10)
        axes.set_yticks(range(len(own)), [principal_label(r["baseline"]) for r in own])
    for axes in panels[-1]:
        axes.set_xlabel("P(MERMAIDE improves)")
    return figure


def checked(results: Results) -> Results:
    """The same, if there is something to compare.

    Raises:
      ConfigError: MERMAIDE or every learned baseline is missing.
    """
    present = {row["principal"] for row in results.rows}
    if PRINCIPAL not in present or present.isdisjoint(BASELINES):
        expected = f"{PRINCIPAL} and at least one of {', '.join(BASELINES)}"
        refuse("principals", sorted(present), expected)
    return results


def read_parts(experiment: Experiment) -> tuple[Results, Path]:
    """The study, put together and written if it came in parts, and its directory."""
    if not experiment.results:
        refuse("results", [], "a directory that `mermaide reproduce` wrote, or several")
    if experiment.out is None:
        if len(experiment.results) > 1:
            refuse("--out", "nothing", "a directory for the study that these parts make")
        if experiment.compact:
            refuse("--compact", True, "with --out: a finished study is left as it is")
        return checked(read_results(experiment.results[0])), experiment.results[0]
    whole = checked(merge_results([read_results(part) for part in experiment.results]))
    shares = [share for name in oracles() for share in attained_records(whole.rows, name)]
    whole = dataclasses.replace(whole, attained=shares)
    if experiment.compact:
        whole = dataclasses.replace(whole, episodes=[])
    directory = prepare_output(experiment.out, force=experiment.force)
    write_results(directory, whole, compact=experiment.compact)
    if not experiment.compact:
        write_figures(directory, whole)
    return whole, directory


def main(experiment: Experiment) -> None:
    """Reads, compares, prints, writes."""
    results, directory = read_parts(experiment)
    records = improvement_records(results.rows, BASELINES)
    payments = intervention_records(results.rows)
    blocks = findings_of(results, records, payments)
    print(format_table(summarize(results.rows)))
    tables = {"improvement": pd.DataFrame(records), "interventions": pd.DataFrame(payments)}
    for frame in tables.values():
        print(frame.to_string(index=False, float_format="%.2f"))
    for family, share in blocks["attainable_share"].items():
        numbers = [share[name] for name in ("value", "low", "high")]
        value, low, high = ("none" if number is None else f"{number:.2f}" for number in numbers)
        print(f"share of the attainable, {family_label(family)}: {value} [{low}, {high}]")
    figures = {
        "improvement": draw(records),
        "interventions": interventions_figure(payments, results.config["game"]["cost"]),
    }
    write_atomically(directory, file_writers(tables, figures, dict.fromkeys(tables, "%.6g")))
    if experiment.findings is not None:
        for name, block in blocks.items():
            merge_finding(experiment.findings, name, block)


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
