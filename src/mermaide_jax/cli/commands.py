"""The commands: frozen dataclasses whose fields are the options, each with a `run`."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from mermaide_jax._checks import ConfigError, refuse
from mermaide_jax.benchmarks import bench, table
from mermaide_jax.benchmarks.runner import Platform
from mermaide_jax.benchmarks.suites import SUITES
from mermaide_jax.cli import Stopped, listing
from mermaide_jax.cli.naming import as_flag
from mermaide_jax.cli.progress import TestingProgress, TrainingProgress
from mermaide_jax.report.figures import write_figures
from mermaide_jax.report.results import Results, prepare_output, read_results, write_results
from mermaide_jax.report.summary import (
    collapsed_seeds,
    format_collapsed,
    format_table,
    summarize,
)
from mermaide_jax.study.config import LEARNED, SCRIPTED, StudyConfig
from mermaide_jax.study.learned import Trained
from mermaide_jax.study.run import (
    CHECKPOINTS,
    CONFIG_FILE,
    check_resumable,
    learned_names,
    load_study,
    make_results,
    test_study,
    train_study,
)
from mermaide_jax.training import TrainingDiverged

PresetName = Literal["smoke", "quick", "standard", "paper"]


def _as_trained(metavar: str) -> Any:
    """An option of `evaluate` that need not be given."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="(default: as trained)")


@dataclasses.dataclass(frozen=True)
class _Study:
    """What `train` and `reproduce` share."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Directory for everything that is written."""
    preset: PresetName = "quick"
    """Where the defaults of the options below come from; see `mermaide list`."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Accept an output directory that holds files; former results in it are replaced."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the checkpoints in the output directory, with the same options as before."""
    study: Annotated[StudyConfig, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=StudyConfig
    )
    """The study."""

    def _train(self) -> tuple[Path, dict[str, Trained]]:
        """Checks the output directory, then trains."""
        if self.resume:
            _check_resumable(self.study, self.out)
        directory = prepare_output(self.out, force=self.force or self.resume)
        names = learned_names(self.study)
        try:
            with TrainingProgress(names, self.study.training.updates) as progress:
                trained = train_study(
                    self.study, directory, resume=self.resume, on_progress=progress
                )
        except TrainingDiverged as error:
            raise Stopped(f"{error} (under {directory / CHECKPOINTS})") from error
        return directory, trained


@dataclasses.dataclass(frozen=True)
class Train(_Study):
    """Train the learned principals of a study and save them."""

    def run(self, command: str) -> None:
        """Trains and says where the checkpoints are."""
        del command
        names = learned_names(self.study)
        if not names:
            expected = f"at least one that learns: {', '.join(LEARNED)}"
            refuse("--principals", " ".join(self.study.principals), expected)
        started = time.monotonic()
        directory, _ = self._train()
        print(f"Wall time: {time.monotonic() - started:.0f} s")
        _print_files([directory / CONFIG_FILE, *(directory / CHECKPOINTS / n for n in names)])
        print(f"Test them with: mermaide evaluate {directory} --out DIR")


@dataclasses.dataclass(frozen=True)
class Reproduce(_Study):
    """Train all principals of a study, test them on agents they never met, and compare them."""

    def run(self, command: str) -> None:
        """Trains, tests, writes results and figures, prints the table."""
        started = time.monotonic()
        directory, trained = self._train()
        _test_and_report(self.study, trained, directory, started, command)


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Test trained principals, with other shots or another game if you like."""

    checkpoint_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """What `train` or `reproduce` was given as --out."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Directory for results and figures."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Accept an output directory that holds files; former results in it are replaced."""
    principals: Annotated[tuple[str, ...] | None, _as_trained("NAME [NAME ...]")] = None
    """Principals to test: those that were trained, and any scripted ones."""
    shots: Annotated[tuple[int, ...] | None, _as_trained("INT [INT ...]")] = None
    """Numbers K of episodes to adapt on before the test."""
    episodes: Annotated[int | None, _as_trained("INT")] = None
    """Fresh episodes with each agent after adaptation."""
    random_rate: Annotated[float | None, _as_trained("FLOAT")] = None
    """Probability with which the random principal pays."""
    cost: Annotated[float | None, _as_trained("FLOAT")] = None
    """Cost c of one full intervention."""
    horizon: Annotated[int | None, _as_trained("INT")] = None
    """Steps T in one episode."""

    def run(self, command: str) -> None:
        """Loads, tests, writes results and figures, prints the table."""
        started = time.monotonic()
        saved, trained = load_study(self.checkpoint_dir)
        try:
            config = self._overridden(saved)
        except ConfigError as error:
            raise ConfigError(as_flag(error)) from error
        directory = prepare_output(self.out, force=self.force)
        trained = {name: trained[name] for name in learned_names(config)}
        _test_and_report(config, trained, directory, started, command)

    def _overridden(self, saved: StudyConfig) -> StudyConfig:
        """The saved study with the options that were given in place of its own."""
        known = [*learned_names(saved), *SCRIPTED]
        for name in self.principals or ():
            if name in LEARNED and name not in known:
                refuse("principals", name, f"one that was trained, or scripted: {', '.join(known)}")
        parts = {
            "game": dataclasses.replace(saved.game, **self._given("cost", "horizon")),
            "evaluation": dataclasses.replace(
                saved.evaluation, **self._given("shots", "episodes", "random_rate")
            ),
        }
        return dataclasses.replace(saved, **parts, **self._given("principals"))

    def _given(self, *names: str) -> dict[str, Any]:
        """Those of the options that were given."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclasses.dataclass(frozen=True)
class Show:
    """Print the tables of saved results again and re-draw their figures."""

    results_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Directory with a results.json."""
    out: Annotated[
        Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: the same)")
    ] = None
    """Directory for the figures."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Accept an --out directory that holds files; former figures in it are replaced."""

    def run(self, command: str) -> None:
        """Reads, draws, prints."""
        del command
        results = read_results(self.results_dir)
        in_place = self.out is None
        directory = prepare_output(self.out or self.results_dir, force=self.force or in_place)
        files = write_figures(directory, results)
        _print_tables(results)
        _print_files(files)


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measure the library against its peers, interleaved in this one call."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Directory for speed.json and the figures."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Smaller and fewer, within 5 minutes on two cores: to see where things stand."""
    suites: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SUITE [SUITE ...]")] = tuple(SUITES)
    """What to measure."""
    platform: Platform = "cpu"
    """Where JAX computes; other libraries stay on the CPU. On gpu and tpu, wall clock counts."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Accept an output directory that holds files; former results in it are replaced."""

    def run(self, command: str) -> None:
        """Measures, writes, draws, prints the tables."""
        try:
            bench.check_suites(self.suites)
        except ConfigError as error:
            raise ConfigError(as_flag(error)) from error
        directory = prepare_output(self.out, force=self.force)
        settings = bench.settings_of(self.quick, self.platform)
        results = bench.run_suites(self.suites, settings, _say, command)
        files = bench.write(directory, results)
        for case in results["cases"]:
            print(f"{table.format_case(case)}\n")
        print(f"{table.format_ratios(results['ratios'])}\n")
        print(f"Wall time: {results['wall_time_s']:.0f} s on {results['machine'].get('cpu')}")
        _print_files(files)


@dataclasses.dataclass(frozen=True)
class List:
    """List agents, principals and presets."""

    def run(self, command: str) -> None:
        """Prints them."""
        del command
        print(listing.text())


def _check_resumable(config: StudyConfig, directory: Path) -> None:
    """Refuses to go on from nothing, or from a run that was trained otherwise."""
    if not (directory / CONFIG_FILE).exists():
        refuse("--resume", str(directory), f"an output directory with a {CONFIG_FILE}")
    try:
        check_resumable(config, directory)
    except ConfigError as error:
        raise ConfigError(f"--resume: {error}") from error


def _test_and_report(
    config: StudyConfig,
    trained: dict[str, Trained],
    directory: Path,
    started: float,
    command: str,
) -> None:
    """Tests all principals, writes results and figures, prints the table."""
    with TestingProgress(len(config.principals)) as progress:
        tested = test_study(config, trained, on_principal=progress)
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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_files(files: list[Path]) -> None:
    print("Written:")
    for path in files:
        print(f"  {path}")
