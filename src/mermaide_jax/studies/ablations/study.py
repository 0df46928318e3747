"""What each part of MERMAIDE is worth: one part changed at a time, all else as in a base.

    mermaide run ablations --out results/ablations --seeds 5     # hours on two cores
    mermaide run ablations --out results/ablations --reduced     # all of it, too little
    mermaide run ablations --out results/ablations --groups cost bonus --resume

Protocol, declared before the test: `VARIANTS` is the whole table; MERMAIDE is trained and tested on
both families for each entry, with the agents, seeds and schedule of the base: nothing is tuned
anew. Each run is an ordinary study in ``OUT/GROUP/VARIANT/`` (`mermaide show` reads it). What says
the same is run once; what says what the base says is ``OUT/base``. Scores and shares of the
attainable are those of every other table; differences are of interquartile means, paired by seed
and agent, with a 95% bootstrap over training runs (none with a single seed). Writes
``ablations.csv``, ``ablations.png`` and ``about.json``.

How to read it:
- Another cost, bonus, noise, rule of charging or of the agents is another game with another scale
  of scores: there is no difference from the base, the shares of the attainable are to be compared.
- DiCE concerns the policy. Where the inner loop leaves the policy alone, it is second order.
- "Nothing" adapts is also zero inner steps: half of the episodes are still played afterwards.
- The networks `arms` read target and intervention (and count the steps, shown the time or not), so
  these are hidden from GRUs, which are compared with GRUs. Where arms are counted from the target,
  the frame shows it: hiding it there is a control. It is withheld only where arms bear their own
  names (new ones in every update): nothing but the agent's answer to a payment can show it then.
- Feed-forward networks have one hidden layer, the others as many as the base.
- The initial pull is one of epsilon-greedy agents; UCB agents play as in the base.
"""

import dataclasses
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mermaide_jax import registry
from mermaide_jax.errors import check_at_least, check_choice
from mermaide_jax.principals.members import names_of
from mermaide_jax.report.ablations import (
    DIFFERENCE,
    ablation_figure,
    format_ablations,
    paired_differences,
)
from mermaide_jax.report.summary import summarize
from mermaide_jax.results.records import Record, frame_records
from mermaide_jax.results.results import Results
from mermaide_jax.studies.ablations.runs import Runs, Show, finished_runs, run_all, silent
from mermaide_jax.studies.ablations.table import (
    BASE,
    GROUPS,
    VARIANTS,
    Plan,
    Variant,
    as_played,
    planned,
)
from mermaide_jax.studies.kit import Options, Study, prepare_output, write_experiment
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.training import TrainingDiverged

PRINCIPAL = "mermaide"
_ENDS = ("low", "high", "attained_low", "attained_high")


@dataclasses.dataclass(frozen=True)
class Ablations(Options):
    """What is run."""

    preset: str = "default"
    """Preset that is the base."""
    horizon: int = 50
    """Steps of an episode, in place of the preset's."""
    seeds: int = 3
    """Independent trainings of each variant."""
    groups: tuple[str, ...] = tuple(GROUPS)
    """Groups of variants to run."""
    reduced: bool = False
    """All variants, each far too small to learn: 30 steps, 10 updates, two seeds at most."""
    resume: bool = False
    """Take over the runs that are finished, and go on with one that was interrupted."""


def base_config(options: Ablations) -> StudyConfig:
    """Gives what every variant changes.

    Example:
      >>> from pathlib import Path
      >>> base = base_config(Ablations(out=Path("there"), horizon=100))
      >>> base.game.horizon, base.seeds, base.principals[0]
      (100, 3, 'mermaide')
    """
    preset = registry.get("preset", options.preset, "--preset").value
    beam = min(preset.evaluation.clairvoyant_beam, 8)  # a reference to scale by, not to converge
    check_at_least("--seeds", options.seeds, 1)
    check_at_least("--horizon", options.horizon, 1)
    base = dataclasses.replace(
        preset,
        game=dataclasses.replace(preset.game, horizon=options.horizon),
        evaluation=dataclasses.replace(preset.evaluation, clairvoyant_beam=beam),
        principals=(PRINCIPAL, *names_of("scripted", "reference")),
        seeds=options.seeds,
    )
    return _reduced(base) if options.reduced else base


def _reduced(base: StudyConfig) -> StudyConfig:
    """Small; and without a phase of its own for the world model, which is a program to compile."""
    blocks = None if base.training.agents_per_block is None else 3
    sizes = {"updates": 10, "world_model_updates": 0, "tasks_per_update": 6, "episodes_per_task": 4}
    return dataclasses.replace(
        base,
        game=dataclasses.replace(base.game, horizon=min(base.game.horizon, 30)),
        training=dataclasses.replace(base.training, agents_per_block=blocks, **sizes),
        evaluation=registry.get("preset", "smoke").value.evaluation,
        seeds=min(base.seeds, 2),
    )


def run(options: Ablations, show: Show = silent) -> list[str]:
    """Runs what is not there yet, writes the table and the figure, prints the table.

    Args:
      options: what is run.
      show: shows the training of each run.

    Returns:
      The runs that diverged.

    Raises:
      ConfigError: an impossible option, before any work.

    Example:
      >>> from pathlib import Path
      >>> run(Ablations(out=Path("there"), groups=("costs",)))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: --groups: got 'costs', expected ... (did you mean 'cost'?)
    """
    began = time.monotonic()
    check_at_least("number of --groups", len(options.groups), 1)
    for group in options.groups:
        check_choice("--groups", group, GROUPS)
    plan = planned(base_config(options))
    entries = [entry for entry in VARIANTS if entry.group in options.groups]
    wanted = dict([plan[BASE, BASE], *(plan[entry.group, entry.label] for entry in entries)])
    directory = prepare_output(options.out, force=options.force or options.resume)
    done = finished_runs(wanted, directory) if options.resume else {}
    runs, diverged = run_all(wanted, done, directory, options.resume, _say, show)
    records = compare(entries, plan, runs)
    shown = {record["group"] for record in records}
    figure = ablation_figure(records, {name: GROUPS[name] for name in GROUPS if name in shown})
    tables, figures = {"ablations": pd.DataFrame(records)}, {"ablations": figure}
    write_experiment(directory, tables, figures, began, formats={"ablations": "%.5g"})
    print(format_ablations(records))
    return diverged


def compare(entries: Iterable[Variant], plan: Plan, runs: Runs) -> list[Record]:
    """Makes a record for each entry, family and K; the base first. Missing runs have none.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> blank = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"principal": PRINCIPAL}
      >>> rows = [blank | {"seed": seed, "score": 1.0 + seed} for seed in (0, 1)]
      >>> runs = {BASE: Results({}, {}, "", 0.0, "", rows, [], [], "")}
      >>> records = compare(VARIANTS, planned(StudyConfig()), runs)
      >>> records[0]["variant"], records[0]["score"]
      ('base', 1.5)
    """
    records: list[Record] = []
    for entry in (Variant(BASE, BASE, {}), *entries):
        name, config = plan[entry.group, entry.label]
        against, reference = plan[BASE if entry.against == BASE else entry.group, entry.against]
        if name not in runs:
            continue
        about: dict[str, Any] = {"group": entry.group, "variant": entry.label, "run": name}
        about |= {"against": against, "same_game": as_played(config) == as_played(reference)}
        differ = about["same_game"] and name != against and against in runs
        gains = _gains(runs[name], runs[against]) if differ else {}
        for line in frame_records(summarize(runs[name].rows)):
            if line.pop("principal") == PRINCIPAL:
                family, shots = line.pop("family"), line.pop("k_shot")
                gain = gains.get((family, shots), dict.fromkeys(DIFFERENCE, np.nan))
                if config.seeds == 1:  # what is left is the spread of agents, which variants share
                    line |= dict.fromkeys(_ENDS, np.nan)
                records.append(about | {"family": family, "k_shot": shots} | line | gain)
    return records


def _gains(own: Results, reference: Results) -> dict[tuple[str, int], dict[str, float]]:
    """The columns `DIFFERENCE`, by family and K."""
    return {
        (line["family"], line["k_shot"]): {
            name: line[part]
            for name, part in zip(DIFFERENCE, ("difference", "low", "high"), strict=True)
        }
        for line in paired_differences(own.rows, reference.rows, PRINCIPAL)
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(options: Ablations, show: Show = silent) -> int:
    """Runs what is asked for.

    Args:
      options: what is run.
      show: shows the training of each run.

    Returns:
      The exit code: 0 done, 1 some run diverged.

    Example:
      >>> from pathlib import Path
      >>> main(Ablations(out=Path("there"), seeds=0))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: --seeds: got 0, expected an integer >= 1
    """
    try:
        diverged = run(options, show)
    except TrainingDiverged:
        return 1
    if diverged:
        _say(f"error: no results of {', '.join(diverged)}, whose training diverged")
    return int(bool(diverged))


registry.register(
    "study",
    "ablations",
    Study(Ablations, main),
    label="Ablations",
    summary="what each part of MERMAIDE is worth, one part changed at a time",
    rank=3,
)
