"""What the commands do."""

import dataclasses
import time
from pathlib import Path

from mermaide_jax._jax.platforms import check_platform
from mermaide_jax.cli import Stopped
from mermaide_jax.cli.commands import Evaluate, Reproduce, Show, Train
from mermaide_jax.cli.compile_cache import compile_cache
from mermaide_jax.cli.progress import EvaluationProgress, TrainingProgress
from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.options import as_option
from mermaide_jax.principals.members import names_of, role_of
from mermaide_jax.report.figures import write_figures
from mermaide_jax.report.summary import (
    collapsed_seeds,
    format_collapsed,
    format_table,
    summarize,
)
from mermaide_jax.results.results import Results, prepare_output, read_results, write_results
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained
from mermaide_jax.studies.mermaide.run import (
    CHECKPOINTS,
    CONFIG_FILE,
    check_resumable,
    evaluate_study,
    learned_names,
    load_study,
    make_results,
    train_study,
)
from mermaide_jax.training import TrainingDiverged
from mermaide_jax.training.checkpoint import has_checkpoint


def train(command: Train) -> None:
    """Trains and says where the checkpoints are."""
    names = learned_names(command.study)
    if not names:
        expected = f"at least one that learns: {', '.join(names_of('learned'))}"
        refuse("--principals", " ".join(command.study.principals), expected)
    check_platform()
    started = time.monotonic()
    with compile_cache(command.compile_cache):
        directory, _ = _train(command)
    print(f"Wall time: {time.monotonic() - started:.0f} s")
    _print_files([directory / CONFIG_FILE, *(directory / CHECKPOINTS / n for n in names)])
    print(f"Test them with: mermaide evaluate {directory} --out DIR")


def reproduce(command: Reproduce, line: str) -> None:
    """Trains, tests, writes results and figures, prints the table.

    Args:
      command: the options.
      line: the command line.
    """
    check_platform()
    started = time.monotonic()
    with compile_cache(command.compile_cache):
        directory, trained = _train(command)
        _evaluate_and_report(command.study, trained, directory, started, line)


def evaluate(command: Evaluate, line: str) -> None:
    """Loads, tests, writes results and figures, prints the table.

    Args:
      command: the options.
      line: the command line.
    """
    check_platform()
    started = time.monotonic()
    with compile_cache(command.compile_cache):
        saved, trained = load_study(command.checkpoint_dir)
        try:
            config = _overridden(command, saved)
        except ConfigError as error:
            raise ConfigError(as_option(error, (type(command),))) from error
        directory = prepare_output(command.out, force=command.force)
        trained = {name: trained[name] for name in learned_names(config)}
        _evaluate_and_report(config, trained, directory, started, line)


def show(command: Show) -> None:
    """Reads, draws, prints."""
    results = read_results(command.results_dir)
    in_place = command.out is None
    directory = prepare_output(command.out or command.results_dir, force=command.force or in_place)
    files = write_figures(directory, results)
    _print_tables(results)
    _print_files(files)


def _train(command: Train | Reproduce) -> tuple[Path, dict[str, Trained]]:
    """Checks the output directory, then trains."""
    study = command.study
    if command.resume:
        _check_resumable(study, command.out)
    directory = prepare_output(command.out, force=command.force or command.resume)
    try:
        with TrainingProgress(
            learned_names(study), study.training.updates, study.steps_per_update
        ) as progress:
            trained = train_study(study, directory, resume=command.resume, on_progress=progress)
    except TrainingDiverged as error:
        raise Stopped(f"{error} (under {directory / CHECKPOINTS})") from error
    except KeyboardInterrupt as stop:
        if not any(has_checkpoint(directory / CHECKPOINTS / n) for n in learned_names(study)):
            stop.args = ("no update was done, nothing to go on from",)
        raise
    return directory, trained


def _overridden(command: Evaluate, saved: StudyConfig) -> StudyConfig:
    """The saved study with the options that were given in place of its own."""
    known = [*learned_names(saved), *names_of("scripted", "reference")]
    for name in command.principals or ():
        if role_of(name) == "learned" and name not in known:
            refuse("principals", name, f"one that was trained, or scripted: {', '.join(known)}")
    parts = {
        "game": dataclasses.replace(saved.game, **command.given("cost", "horizon")),
        "evaluation": dataclasses.replace(
            saved.evaluation, **command.given("shots", "episodes", "random_rate")
        ),
    }
    return dataclasses.replace(saved, **parts, **command.given("principals"))


def _check_resumable(config: StudyConfig, directory: Path) -> None:
    """Refuses to go on from nothing, or from a run that was trained otherwise."""
    if not (directory / CONFIG_FILE).exists():
        refuse("--resume", str(directory), f"an output directory with a {CONFIG_FILE}")
    try:
        check_resumable(config, directory)
    except ConfigError as error:
        raise ConfigError(f"--resume: {error}") from error


def _evaluate_and_report(
    config: StudyConfig,
    trained: dict[str, Trained],
    directory: Path,
    started: float,
    command: str,
) -> None:
    """Tests all principals, writes results and figures, prints the table."""
    with EvaluationProgress(len(config.principals)) as progress:
        tested = evaluate_study(config, trained, on_principal=progress)
    results = make_results(config, trained, tested, started=started, command=command)
    written = write_results(directory, results)
    files = [*sorted(written.parent.glob("*.parquet")), *write_figures(directory, results)]
    _print_tables(results)
    _print_files([written, *files])


def _print_tables(results: Results) -> None:
    """The comparison, the collapsed runs, and what it took."""
    print(format_table(summarize(results.rows)))
    collapsed = format_collapsed(collapsed_seeds(results.rows))
    print(f"\n{collapsed}\n" if collapsed else "")
    print(f"Wall time: {results.wall_time_s:.0f} s on {results.device}")


def _print_files(files: list[Path]) -> None:
    print("Written:")
    for path in files:
        print(f"  {path}")
