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
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax import meta
from mermaide_jax.errors import refuse
from mermaide_jax.principals import LearnedPrincipal
from mermaide_jax.report.ablations import paired_differences
from mermaide_jax.report.names import family_label, principal_label
from mermaide_jax.report.style import SERIES, new_figure, quiet_grid, styled
from mermaide_jax.results.results import prepare_output
from mermaide_jax.statistics import interquartile_mean
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.learned import Trained, build, evaluate_principal
from mermaide_jax.studies.mermaide.records import Record, score_rows
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import TrainingConfig, make_adapt

BOTH, STEP, MEMORY = "both", "gradient step alone", "memory alone"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directory that `mermaide reproduce` (or `train`) wrote, with checkpoints, or several."""
    out: Path
    """Directory for the table and the figure."""
    force: bool = False
    """Accept an output directory that holds files."""


def ways(training: TrainingConfig, learned: LearnedPrincipal) -> dict[str, meta.Adapt]:
    """How a principal may adapt: those of the three that differ."""
    forgetful = learned._replace(remember=lambda params, actions, interventions: params)
    step = {STEP: make_adapt(training, forgetful)}
    if not learned.config.memory:
        return step
    alone = make_adapt(training, learned, num_steps=0)
    return {BOTH: make_adapt(training, learned)} | step | {MEMORY: alone}


def test_ways(name: str, config: StudyConfig, trained: Trained) -> dict[str, list[Record]]:
    """Rows of scores of one principal, for each way to adapt."""
    setting = make_setting(config)
    learned, training = build(name, config, setting)
    rows: dict[str, list[Record]] = {}
    for way, adapt in ways(training, learned).items():
        tests = evaluate_principal(name, config, setting, trained, adapt)
        rows[way] = [
            row
            for number, test in tests.items()
            for row in score_rows(name, config, setting, test.scores, number)
        ]
        print(f"{principal_label(name)}, {way}: tested", flush=True)
    return rows


def load(places: tuple[Path, ...]) -> list[tuple[StudyConfig, dict[str, Trained]]]:
    """The parts of a study, with those of their principals that adapt in training.

    Raises:
      ConfigError: no directory, no principal that adapts in training, or nothing but one K.
    """
    studies = []
    for place in places:
        config, principals = load_study(place)
        if 0 not in config.evaluation.shots or len(config.evaluation.shots) < 2:
            refuse("shots", config.evaluation.shots, "0 and at least one more")
        adapting = {
            name: trained
            for name, trained in principals.items()
            if principal_configs(name, config)[1].is_meta
        }
        studies.append((config, adapting))
    if not any(adapting for _, adapting in studies):
        expected = "studies of a principal that adapts in training"
        refuse("results", [str(place) for place in places], expected)
    return studies


def measure(
    studies: list[tuple[StudyConfig, dict[str, Trained]]],
) -> dict[tuple[str, str], list[Record]]:
    """Rows of all parts, by principal and way to adapt."""
    found: dict[tuple[str, str], list[Record]] = {}
    for config, principals in studies:
        for name, trained in principals.items():
            for way, rows in test_ways(name, config, trained).items():
                found.setdefault((name, way), []).extend(rows)
    return found


def gains(found: dict[tuple[str, str], list[Record]]) -> pd.DataFrame:
    """A line for each principal, way, family and K: score, and its gain over 0-shot."""
    lines = []
    for (name, way), rows in found.items():
        before = [row for row in rows if row["k_shot"] == 0]
        for shots in sorted({row["k_shot"] for row in rows} - {0}):
            after = [row for row in rows if row["k_shot"] == shots]
            for record in paired_differences(after, before, name, by=("family",)):
                family = record["family"]
                means = [
                    interquartile_mean([r["score"] for r in part if r["family"] == family])
                    for part in (before, after)
                ]
                about = {"principal": name, "way": way, "agents": family, "k_shot": shots}
                scores = {"zero_shot": means[0], "score": means[1], "gain": record["difference"]}
                spread = {key: record[key] for key in ("low", "high", "seeds")}
                lines.append(about | scores | spread)
    return pd.DataFrame(lines)


def draw(table: pd.DataFrame) -> Figure:
    """Gain over 0-shot against K: a line for each way, a panel for each principal and family."""
    groups = list(table.groupby(["principal", "agents"], sort=False))
    with styled():
        figure = new_figure(3.4 * len(groups) + 0.6, 3.0)
        panels = figure.subplots(1, len(groups), squeeze=False)[0]
        for axes, ((name, family), part) in zip(panels, groups, strict=True):
            for color, (way, line) in zip(SERIES, part.groupby("way", sort=False), strict=False):
                places = np.arange(len(line))
                axes.plot(places, line["gain"], "o-", color=color, ms=4, label=way)
                if line["low"].notna().all():
                    axes.fill_between(places, line["low"], line["high"], color=color, alpha=0.2)
                axes.set_xticks(places, [str(number) for number in line["k_shot"]])
            axes.axhline(0, color="0.6", lw=1)
            axes.set(title=f"{principal_label(str(name))}\n{family_label(str(family))}", xlabel="K")
            quiet_grid(axes, "y")
        panels[0].set_ylabel("gain in score over 0-shot")
        lines = panels[0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=len(lines[0]), fontsize=8)
    return figure


def main(experiment: Experiment) -> None:
    """Tests, prints, writes."""
    began = time.monotonic()
    studies = load(experiment.results)
    directory = prepare_output(experiment.out, force=experiment.force)
    found = measure(studies)
    table = gains(found)
    write_experiment(directory, {"adaptation": table}, {"adaptation": draw(table)}, began)
    print(table.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
