"""F2 and F4: is MERMAIDE better than each learned baseline, and with how many interventions?

    mermaide reproduce --preset default --out results/bandits      # hours on two cores; a GPU helps
    mermaide reproduce --preset quick --out results/bandits        # the same, reduced: minutes
    python experiments/bandits.py results/bandits --findings docs/results/findings.json

Reads what the first (or second) command wrote. Protocol, declared before the test: 15 training and
10 test agents of each family, unseen coefficients, all principals with the same episodes, updates
and networks; what could be tuned was tuned on the agents of another seed (``--agents.seed 1``).
Prints scores with success rate and interventions, the share of the attainable, and the average
probability that MERMAIDE improves on each baseline (bootstrap over training runs); writes
``improvement.csv`` and ``improvement.png`` beside the results, and the block F2 and the shares
into the findings.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax.report._style import new_figure, save_png
from mermaide_jax.report.attained import ORACLES
from mermaide_jax.report.findings import merge_finding
from mermaide_jax.report.improvement import improvement_records
from mermaide_jax.report.names import principal_label, rule_label, rules_and_shots
from mermaide_jax.report.results import Results, read_results
from mermaide_jax.report.summary import format_table, summarize
from mermaide_jax.study.config import LEARNED

PRINCIPAL, BASELINES = LEARNED[0], LEARNED[1:]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is read, and where the findings go."""

    results: Annotated[Path, tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote."""
    findings: Path | None = None
    """Findings file whose blocks F2 and attainable_share are replaced."""


def findings_of(results: Results, records: list[dict]) -> tuple[dict[str, dict], dict[str, dict]]:
    """The measures of F2, and of the share of the attainable at the most shots, nested."""
    improvement: dict[str, dict] = {}
    for record in records:
        place = improvement.setdefault(record["agent_rule"], {})
        place = place.setdefault(str(record["k_shot"]), {}).setdefault(record["baseline"], {})
        place["probability_of_improvement"] = _measure(record, "value", results)
    shots = max(row["k_shot"] for row in results.rows)
    shares = {
        record["agent_rule"]: _measure(record, "share", results)
        for record in results.attained
        if (record["principal"], record["k_shot"], record["oracle"])
        == (PRINCIPAL, shots, ORACLES[0])
    }
    return improvement, shares


def _measure(record: dict, name: str, results: Results) -> dict:
    value = {"value": record[name], "low": record["low"], "high": record["high"]}
    return value | {"command": results.command}


def draw(records: list[dict]) -> Figure:
    """Probability of improvement with intervals, a panel for each family and K."""
    groups = rules_and_shots((r["agent_rule"], r["k_shot"]) for r in records)
    figure = new_figure(3.2 * len(groups), 2.6)
    for number, (family, shots) in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), number + 1)
        own = [r for r in records if (r["agent_rule"], r["k_shot"]) == (family, shots)]
        for height, record in enumerate(own):
            if record["low"] is not None:
                axes.plot([record["low"], record["high"]], [height, height], "C0-", lw=3)
            axes.plot(record["value"], height, "C0o")
        axes.axvline(0.5, color="0.6", lw=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.5, len(own) - 0.5))
        axes.set_title(f"{rule_label(family)}, {shots}-shot", fontsize=10)
        axes.set_xlabel("P(MERMAIDE improves)")
        names = [principal_label(r["baseline"]) for r in own] if number == 0 else []
        axes.set_yticks(range(len(names)), names)
    return figure


def main(experiment: Experiment) -> None:
    """Reads, compares, prints, writes."""
    results = read_results(experiment.results)
    records = improvement_records(results.rows, BASELINES)
    improvement, shares = findings_of(results, records)
    print(format_table(summarize(results.rows)))
    frame = pd.DataFrame(records)
    print(frame.to_string(index=False, float_format="%.2f"))
    for family, share in shares.items():
        interval = f"[{share['low']:.2f}, {share['high']:.2f}]"
        print(f"share of the attainable, {rule_label(family)}: {share['value']:.2f} {interval}")
    frame.to_csv(experiment.results / "improvement.csv", index=False)
    save_png(draw(records), experiment.results / "improvement.png")
    if experiment.findings is not None:
        merge_finding(experiment.findings, "F2", improvement)
        merge_finding(experiment.findings, "attainable_share", shares)


if __name__ == "__main__":
    main(tyro.cli(Experiment, description=__doc__))
