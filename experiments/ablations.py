"""What each part of MERMAIDE is worth: one part changed at a time, all else as in a base.

    python experiments/ablations.py --out results/ablations --seeds 5     # hours on two cores
    python experiments/ablations.py --out results/ablations --reduced     # all of it, too little
    python experiments/ablations.py --out results/ablations --groups cost bonus --resume

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
- The networks `arms` read target and intervention (and count the steps, told the time or not), so
  these are hidden from GRUs, which are compared with GRUs. Where arms are counted from the target,
  the frame tells it: hiding it there is a control. It is withheld only where arms bear their own
  names (new ones in every update): nothing but the agent's answer to a payment can tell it then.
- Feed-forward networks have one hidden layer, the others as many as the base.
- The initial pull is one of epsilon-greedy agents; UCB agents play as in the base.
"""

import dataclasses
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mermaide_jax.cli import set_xla_flags
from mermaide_jax.cli.compile_cache import compile_cache
from mermaide_jax.cli.progress import TrainingProgress
from mermaide_jax.errors import ConfigError, check_at_least, check_choice
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.report.ablations import (
    DIFFERENCE,
    ablation_figure,
    format_ablations,
    paired_differences,
)
from mermaide_jax.report.summary import frame_records, summarize
from mermaide_jax.results.configs import config_from_dict
from mermaide_jax.results.results import Results, prepare_output, read_results, write_results
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide import LEARNED, PRESETS, SCRIPTED, StudyConfig
from mermaide_jax.studies.mermaide.ablations import (
    BASE,
    GROUPS,
    VARIANTS,
    Plan,
    Variant,
    as_played,
    planned,
)
from mermaide_jax.studies.mermaide.run import (
    CONFIG_FILE,
    Evaluated,
    check_resumable,
    evaluate_study,
    make_results,
    train_study,
)
from mermaide_jax.training import TrainingConfig, TrainingDiverged

PRINCIPAL = LEARNED[0]
QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
"""Flags of XLA that compile in less than half the time, for runs that are nearly all compiling."""

Runs = dict[str, Results]
"""Directory of a run to what came out."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is run."""

    out: Path
    """Directory for the runs, the table and the figure."""
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
    force: bool = False
    """Accept an output directory that holds files."""


def base_config(experiment: Experiment) -> StudyConfig:
    """What every variant changes."""
    preset = PRESETS[check_choice("--preset", experiment.preset, PRESETS)]
    beam = min(preset.evaluation.clairvoyant_beam, 8)  # a reference to scale by, not to converge
    check_at_least("--seeds", experiment.seeds, 1)
    check_at_least("--horizon", experiment.horizon, 1)
    base = dataclasses.replace(
        preset,
        game=dataclasses.replace(preset.game, horizon=experiment.horizon),
        evaluation=dataclasses.replace(preset.evaluation, clairvoyant_beam=beam),
        principals=(PRINCIPAL, *SCRIPTED),
        seeds=experiment.seeds,
    )
    return _reduced(base) if experiment.reduced else base


def _reduced(base: StudyConfig) -> StudyConfig:
    """Small; and without a phase of its own for the world model, which is a program to compile."""
    blocks = None if base.training.agents_per_block is None else 3
    sizes = {"updates": 10, "world_model_updates": 0, "tasks_per_update": 6, "episodes_per_task": 4}
    return dataclasses.replace(
        base,
        game=dataclasses.replace(base.game, horizon=min(base.game.horizon, 30)),
        training=dataclasses.replace(base.training, agents_per_block=blocks, **sizes),
        evaluation=PRESETS["smoke"].evaluation,
        seeds=min(base.seeds, 2),
    )


def run(experiment: Experiment) -> list[str]:
    """Runs what is not there yet, writes the table and the figure, prints the table.

    Returns:
      The runs that diverged.

    Raises:
      ConfigError: an impossible option, before any work.
    """
    began = time.monotonic()
    check_at_least("number of --groups", len(experiment.groups), 1)
    for group in experiment.groups:
        check_choice("--groups", group, GROUPS)
    plan = planned(base_config(experiment))
    entries = [entry for entry in VARIANTS if entry.group in experiment.groups]
    wanted = dict([plan[BASE, BASE], *(plan[entry.group, entry.label] for entry in entries)])
    directory = prepare_output(experiment.out, force=experiment.force or experiment.resume)
    done = _finished(wanted, directory) if experiment.resume else {}
    runs, diverged = _run_all(wanted, done, directory, experiment.resume)
    records = compare(entries, plan, runs)
    shown = {record["group"] for record in records}
    figure = ablation_figure(records, {name: GROUPS[name] for name in GROUPS if name in shown})
    tables, figures = {"ablations": pd.DataFrame(records)}, {"ablations": figure}
    write_experiment(directory, tables, figures, began, formats={"ablations": "%.5g"})
    print(format_ablations(records))
    return diverged


def _finished(wanted: Mapping[str, StudyConfig], directory: Path) -> Runs:
    """Results that are there already; refuses runs that were trained otherwise."""
    found = {}
    for name, config in wanted.items():
        place = directory / name
        if not (place / CONFIG_FILE).exists():
            continue
        try:
            check_resumable(config, place)
        except ConfigError as error:
            raise ConfigError(f"--resume: {place}: {error}") from error
        if (place / "results.json").exists():
            results = read_results(place)
            if config_from_dict(StudyConfig, results.config) == config:
                found[name] = results
    return found


def _run_all(
    wanted: Mapping[str, StudyConfig], done: Runs, directory: Path, resume: bool
) -> tuple[Runs, list[str]]:
    """Every run, one after the other, and the names of those that diverged."""
    runs, diverged = dict(done), []
    # Scripts do not learn: they play once in each game, or were played in a finished run.
    scripts: dict[StudyConfig, list[dict]] = {}
    for name, results in done.items():
        scripts[_for_scripts(wanted[name])] = _scripted(results.rows)
    for number, (name, config) in enumerate(wanted.items(), 1):
        _say(f"[{number}/{len(wanted)}] {name}{': finished before' if name in done else ''}")
        if name in done:
            continue
        try:
            with compile_cache(True):
                runs[name] = _run(config, directory / name, resume, scripts)
        except TrainingDiverged as error:
            _say(f"{name}: {error}")
            diverged.append(name)
            if name == BASE:  # there is nothing to compare with
                raise
    return runs, diverged


def _run(
    config: StudyConfig, place: Path, resume: bool, scripts: dict[StudyConfig, list[dict]]
) -> Results:
    """Trains, tests and writes one study; scripts that have played this game are not run again."""
    started = time.monotonic()
    place.mkdir(parents=True, exist_ok=True)
    with TrainingProgress([PRINCIPAL], config.training.updates) as progress:
        trained = train_study(config, place, resume=resume, on_progress=progress)
    known = scripts.get(_for_scripts(config))
    names = (PRINCIPAL,) if known else config.principals
    rows, episodes = evaluate_study(dataclasses.replace(config, principals=names), trained)
    scripts.setdefault(_for_scripts(config), _scripted(rows))
    tested = Evaluated(rows + (known or []), episodes)
    command = shlex.join(["python", *sys.argv])
    results = make_results(config, trained, tested, started=started, command=command)
    write_results(place, results)
    return results


def _for_scripts(config: StudyConfig) -> StudyConfig:
    """The study without what scripts do not have: how they learn."""
    training = TrainingConfig(target_first=config.training.target_first)
    return dataclasses.replace(config, network=NetworkConfig(), training=training)


def _scripted(rows: Iterable[dict]) -> list[dict]:
    return [row for row in rows if row["principal"] in SCRIPTED]


def compare(entries: Iterable[Variant], plan: Plan, runs: Runs) -> list[dict[str, Any]]:
    """One record for each entry, family and K; the base first. Runs that are missing have none."""
    records = []
    for entry in (Variant(BASE, BASE, {}), *entries):
        name, config = plan[entry.group, entry.label]
        against, reference = plan[BASE if entry.against == BASE else entry.group, entry.against]
        if name not in runs:
            continue
        about = {"group": entry.group, "variant": entry.label, "run": name, "against": against}
        about["same_game"] = as_played(config) == as_played(reference)
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


_ENDS = ("low", "high", "attained_low", "attained_high")


def _gains(own: Results, reference: Results) -> dict[tuple[str, int], dict[str, float]]:
    """The columns `DIFFERENCE`, by family and K."""
    return {
        (line["family"], line["k_shot"]): {
            name: line[part]
            for name, part in zip(DIFFERENCE, ("difference", "low", "high"), strict=True)
        }
        for line in paired_differences(own.rows, reference.rows, PRINCIPAL)
    }


def compile_quickly(environ: MutableMapping[str, str]) -> None:
    """Adds `QUICK` to XLA's flags if this release knows them all: it aborts at one it does not."""
    trial = [sys.executable, "-c", "import jax; jax.devices()"]
    options = {**environ, "XLA_FLAGS": QUICK, "JAX_PLATFORMS": "cpu"}
    if subprocess.run(trial, env=options, capture_output=True).returncode == 0:
        environ["XLA_FLAGS"] = f"{environ.get('XLA_FLAGS', '')} {QUICK}".strip()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(experiment: Experiment) -> int:
    """Runs what the command line asks for.

    Returns:
      The exit code: 0 done, 1 some run diverged.
    """
    if experiment.reduced:
        compile_quickly(os.environ)
    set_xla_flags(os.environ)  # read when the first array is made
    try:
        diverged = run(experiment)
    except TrainingDiverged:
        return 1
    if diverged:
        _say(f"error: no results of {', '.join(diverged)}, whose training diverged")
    return int(bool(diverged))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
