"""Running a plan of studies, each in a directory of its own; what is finished is taken over."""

import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals.members import role_of
from mermaide_jax.results.configs import config_from_dict
from mermaide_jax.results.records import Record
from mermaide_jax.results.results import Results, read_results, write_results
from mermaide_jax.studies.ablations.table import BASE
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.run import (
    CONFIG_FILE,
    Evaluated,
    OnProgress,
    check_resumable,
    evaluate_study,
    make_results,
    train_study,
)
from mermaide_jax.training import TrainingConfig, TrainingDiverged

__all__ = ["Runs", "Show", "finished_runs", "run_all", "silent"]

Runs = dict[str, Results]
"""Directory of a run to what came out."""

Show = Callable[[StudyConfig], contextlib.AbstractContextManager[OnProgress]]
"""Makes what shows the training of one study while it lasts."""


def silent(config: StudyConfig) -> contextlib.AbstractContextManager[OnProgress]:
    """Shows nothing of the training.

    Example:
      >>> with silent(StudyConfig()) as on_progress:
      ...     on_progress("mermaide", training.Progress(25, 25, None, {}))
    """
    del config
    return contextlib.nullcontext(lambda name, progress: None)


def finished_runs(wanted: Mapping[str, StudyConfig], directory: Path) -> Runs:
    """Results that are there already.

    Args:
      wanted: directory of a run, below the next, to its study.
      directory: of all runs.

    Raises:
      ConfigError: a run that was trained otherwise.

    Example:
      >>> finished_runs({"base": StudyConfig()}, Path("nowhere"))
      {}
    """
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


def run_all(
    wanted: Mapping[str, StudyConfig],
    done: Runs,
    directory: Path,
    resume: bool,
    say: Callable[[str], None],
    show: Show = silent,
) -> tuple[Runs, list[str]]:
    """Runs every study that is not done, one after the other.

    Args:
      wanted: as of `finished_runs`.
      done: those that are finished.
      directory: of all runs.
      resume: go on with what was interrupted.
      say: called with a line for each.
      show: shows the training.

    Returns:
      All results, and the names of the runs that diverged.

    Raises:
      TrainingDiverged: the base, with which all others are compared.

    Example:
      >>> done = {"base": Results({}, {}, "", 0.0, "", [], [], [], "")}
      >>> runs, _ = run_all({"base": StudyConfig()}, done, Path("there"), True, print)
      [1/1] base: finished before
      >>> runs == done
      True
    """
    runs, diverged = dict(done), []
    # Scripts do not learn: they play once in each game, or were played in a finished run.
    scripts: dict[StudyConfig, list[Record]] = {}
    for name, results in done.items():
        scripts[_for_scripts(wanted[name])] = _scripted(results.rows)
    for number, (name, config) in enumerate(wanted.items(), 1):
        say(f"[{number}/{len(wanted)}] {name}{': finished before' if name in done else ''}")
        if name in done:
            continue
        try:
            runs[name] = _run(config, directory / name, resume, scripts, show)
        except TrainingDiverged as error:
            say(f"{name}: {error}")
            diverged.append(name)
            if name == BASE:  # there is nothing to compare with
                raise
    return runs, diverged


def _run(
    config: StudyConfig,
    place: Path,
    resume: bool,
    scripts: dict[StudyConfig, list[Record]],
    show: Show,
) -> Results:
    """Trains, tests and writes one study; scripts that have played this game are not run again."""
    started = time.monotonic()
    place.mkdir(parents=True, exist_ok=True)
    with show(config) as on_progress:
        trained = train_study(config, place, resume=resume, on_progress=on_progress)
    known = scripts.get(_for_scripts(config))
    names = tuple(trained) if known else config.principals
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


def _scripted(rows: Iterable[Record]) -> list[Record]:
    return [row for row in rows if role_of(row["principal"]) != "learned"]
