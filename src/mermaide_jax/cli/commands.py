"""The commands: frozen dataclasses whose fields are the options, each with a `run`.

What they do is in `actions`, which imports what takes a while, and only when a command is run.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mermaide_jax import registry
from mermaide_jax.errors import refuse
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.throughput.works import WORKS

if TYPE_CHECKING:
    WorkName = str
else:
    WorkName = Literal[tuple(WORKS)]


def _as_trained(metavar: str) -> Any:
    """An option of `evaluate` that need not be given."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="(default: as trained)")


@dataclasses.dataclass(frozen=True)
class _Study:
    """What `train` and `reproduce` share."""

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Directory for everything that is written."""
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")] = "quick"
    """Where the defaults of the options below come from; see `mermaide list`."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """JSON or TOML file whose options go over the preset's, such as the config.json of a run."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Accept an output directory that holds files; former results in it are replaced."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the checkpoints in the output directory, with the same options as before."""
    compile_cache: bool = True
    """Whether compiled programs are kept for later runs, in the user's cache directory."""
    study: Annotated[StudyConfig, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=StudyConfig
    )
    """The study."""

    def __post_init__(self) -> None:
        check_preset(self.preset)


def check_preset(name: str) -> StudyConfig:
    """Gives the registered config of that name, or refuses one that there is not.

    Raises:
      ConfigError: no such preset, or one of another kind of study.

    Example:
      >>> check_preset("smoke").game.horizon
      20
    """
    config = registry.get("preset", name).value
    if not isinstance(config, StudyConfig):
        refuse("preset", name, "a preset of this study (a StudyConfig)")
    return config


@dataclasses.dataclass(frozen=True)
class Train(_Study):
    """Train the learned principals of a study and save them."""

    def run(self, command: str) -> None:
        """Trains and says where the checkpoints are."""
        del command
        from mermaide_jax.cli import actions

        actions.train(self)


@dataclasses.dataclass(frozen=True)
class Reproduce(_Study):
    """Train all principals of a study, test them on agents they never met, and compare them."""

    def run(self, command: str) -> None:
        """Trains, tests, writes results and figures, prints the table."""
        from mermaide_jax.cli import actions

        actions.reproduce(self, command)


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
    compile_cache: bool = True
    """Whether compiled programs are kept for later runs, in the user's cache directory."""

    def run(self, command: str) -> None:
        """Loads, tests, writes results and figures, prints the table."""
        from mermaide_jax.cli import actions

        actions.evaluate(self, command)

    def given(self, *names: str) -> dict[str, Any]:
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
        from mermaide_jax.cli import actions

        actions.show(self)


@dataclasses.dataclass(frozen=True)
class Bench:
    """Measure how fast the library runs on this machine: agents, games, training."""

    works: Annotated[tuple[WorkName, ...], tyro.conf.arg(metavar="WORK [WORK ...]")] = tuple(WORKS)
    """What to measure."""
    json: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print everything as JSON in place of the table."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File for the JSON."""
    force: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the file if it is there."""

    def run(self, command: str) -> None:
        """Measures, prints, writes."""
        from mermaide_jax.cli import bench

        bench.bench(self, command)


@dataclasses.dataclass(frozen=True)
class List:
    """List what there is: agents, principals, games, networks, presets, studies."""

    def run(self, command: str) -> None:
        """Prints them."""
        del command
        from mermaide_jax.cli import listing

        print(listing.text())


@dataclasses.dataclass(frozen=True)
class Run:
    """Run another study by its name, or an experiment that was loaded."""

    words: list[str]
    """The study's name and its options."""

    def run(self, command: str) -> int:
        """Runs the study; gives its exit code."""
        del command
        from mermaide_jax.studies.kit import run_study

        if not self.words or self.words[0].startswith("-"):
            known = ", ".join(registry.names("study"))
            if {"-h", "--help"} & set(self.words):
                print(f"usage: mermaide run NAME [options]\n\nstudies: {known}")
                return 0
            refuse("run", " ".join(self.words), f"the name of a study: {known}")
        return run_study(self.words[0], self.words[1:], prog=f"mermaide run {self.words[0]}")
