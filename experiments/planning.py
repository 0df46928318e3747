"""Does planning through the world model that was learned help a principal in the test?

    mermaide reproduce --preset default --out results/bandits
    python experiments/planning.py results/bandits --out results/planning

Takes the trained principals of the first command that have a world model, adapts them to the test
agents on K episodes with the same draws, and lets them play the first of the same episodes twice:
by their policy, and with planning above it (`evaluation.planning`), which plays on in the mind
before each step, with and without paying, and departs from the policy where that earns surely more.
A study may be given in parts, by family or by seed. Gains are over the same principal without
planning: of interquartile means with a 95% bootstrap interval over training runs, and in means over
all runs. Writes ``planning.csv``, ``planning.png`` and ``about.json``.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax.errors import check_at_least, check_counts, check_non_negative, refuse
from mermaide_jax.evaluation.protocol import Scores, adapt_to_tasks, summarise
from mermaide_jax.games import collect
from mermaide_jax.principals.planning import Planner, planning
from mermaide_jax.report.names import family_label, principal_label
from mermaide_jax.report.style import SERIES, new_figure, quiet_grid, styled
from mermaide_jax.report.variants import variant_gains
from mermaide_jax.results.results import prepare_output
from mermaide_jax.statistics import interquartile_mean
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.learned import Trained, build, stream_by_stream, stream_keys
from mermaide_jax.studies.mermaide.records import Record, score_rows
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import Setting, Stream, make_setting
from mermaide_jax.training import make_adapt


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote, with checkpoints, or several."""
    out: Path
    """Directory for the table and the figure."""
    shots: tuple[int, ...] = (0, 1)
    """Numbers K of episodes to adapt on."""
    episodes: int = 4
    """Episodes with each agent, the first of those of the study."""
    rollouts: int = 64
    """Imagined episodes for each choice."""
    errors: float = 2.0
    """How many standard errors a gain must have to be sure enough."""
    force: bool = False
    """Accept an output directory that holds files."""


class Part(NamedTuple):
    """A principal with a world model, of one directory of a study."""

    name: str
    config: StudyConfig
    trained: Trained


def load(experiment: Experiment) -> list[Part]:
    """Every principal with a world model of all directories.

    Raises:
      ConfigError: none of them, or a game in which there is no planning.
    """
    studies = [load_study(place) for place in experiment.results]
    parts = [
        Part(name, config, trained)
        for config, principals in studies
        for name, trained in principals.items()
        if principal_configs(name, config)[0].world_model
    ]
    if not parts:
        places = [str(place) for place in experiment.results]
        refuse("results", places, "studies of a principal with a world model")
    for name, config, _ in parts:
        learned, _ = build(name, config, make_setting(config))
        planning(config.game.static, learned, experiment.rollouts, experiment.errors)
    return parts


def make_players(
    experiment: Experiment, name: str, config: StudyConfig, setting: Setting
) -> tuple[Callable[..., Any], Callable[..., tuple[Scores, Scores]]]:
    """``adapt(key, params, tasks, K) -> params`` and ``play(key, params, tasks)`` of one stream.

    The second gives the `Scores` of the principal alone, and with planning in the same episodes.
    """
    learned, training = build(name, config, setting)
    game, adapt = setting.game, make_adapt(training, learned)
    planner = planning(config.game.static, learned, experiment.rollouts, experiment.errors)

    @functools.partial(jax.jit, static_argnums=3)
    def adapted(key, params, tasks, num_shots: int):
        return adapt_to_tasks(key, game, learned, adapt, params, tasks, num_shots)

    @jax.jit
    def play(key, params, tasks):
        options: dict[str, Any] = {"params_axis": 0, "batch_size": 1}
        sizes = (tasks, experiment.episodes)
        alone = collect(key, game, learned.principal, params, *sizes, **options)
        again, planned = jax.random.clone(key), Planner(params, tasks.cost)
        above = collect(again, game, planner, planned, *sizes, **options)
        return summarise(alone), summarise(above)

    return adapted, play


def test_both(
    experiment: Experiment, name: str, config: StudyConfig, trained: Trained
) -> tuple[list[Record], list[Record]]:
    """Rows of scores of one principal without and with planning, for every K."""
    setting = make_setting(config)
    adapted, play = make_players(experiment, name, config, setting)

    def with_shots(number: int) -> tuple[Scores, Scores]:
        def play_adapted(key_adapt, key_play, params, tasks):
            return play(key_play, adapted(key_adapt, params, tasks, number), tasks)

        def say(stream: Stream) -> None:
            where = (
                f"{principal_label(name)}, {family_label(stream.population)}, seed {stream.seed}"
            )
            print(f"{where}, {number}-shot: played", flush=True)

        # The same draws for every K.
        keys = (stream_keys(setting, "adapt"), stream_keys(setting, "play"))
        own = (*keys, trained.state.params, setting.test)
        return stream_by_stream(setting, play_adapted, say, *own)

    found: tuple[list[Record], list[Record]] = ([], [])
    for number in experiment.shots:
        for rows, scores in zip(found, with_shots(number), strict=True):
            told = score_rows(name, config, setting, scores, number)
            rows.extend(row | {"episodes": experiment.episodes} for row in told)
    return found


def measure(experiment: Experiment, parts: list[Part]) -> pd.DataFrame:
    """A line for each principal, family and K."""
    found: dict[str, tuple[list[Record], list[Record]]] = {}
    for part in parts:
        both = test_both(experiment, *part)
        for rows, more in zip(found.setdefault(part.name, ([], [])), both, strict=True):
            rows.extend(more)
    return pd.concat([compare(name, *rows) for name, rows in found.items()])


def compare(name: str, alone: list[Record], above: list[Record]) -> pd.DataFrame:
    """Scores and payments without and with planning, and the gain."""
    by = ("family", "k_shot")
    table = variant_gains(above, alone, name, by)
    table.insert(0, "principal", name)
    for label, rows in (("alone", alone), ("planning", above)):
        groups = pd.DataFrame(rows).groupby(list(by))
        scores, paid = groups["score"].agg(interquartile_mean), groups["interventions"].mean()
        index = pd.MultiIndex.from_frame(table[list(by)])
        table[f"score_{label}"] = scores.reindex(index).to_numpy()
        table[f"interventions_{label}"] = paid.reindex(index).to_numpy()
    return table


def draw(table: pd.DataFrame) -> Figure:
    """Gain of interquartile means by principal and K, a panel for each family."""
    families = list(table.groupby("family", sort=False))
    with styled():
        figure = new_figure(3.6 * len(families) + 0.8, 2.6)
        panels = figure.subplots(1, len(families), squeeze=False, sharey=True)[0]
        for axes, (family, part) in zip(panels, families, strict=True):
            names = list(dict.fromkeys(part["principal"]))
            numbers = sorted(set(part["k_shot"]))
            for color, (name, own) in zip(SERIES, part.groupby("principal"), strict=False):
                offset = 0.1 * (names.index(str(name)) - (len(names) - 1) / 2)
                places = [numbers.index(number) + offset for number in own["k_shot"]]
                axes.plot(places, own["gain"], "o", color=color, label=principal_label(str(name)))
                axes.plot(places, own["mean_gain"], "_", color=color, ms=12)
                axes.vlines(
                    places, own["low"].astype(float), own["high"].astype(float), color=color
                )
            axes.axhline(0, color="0.6", lw=1)
            axes.set_xticks(range(len(numbers)), [f"{number}-shot" for number in numbers])
            axes.set_xlim(-0.5, len(numbers) - 0.5)
            axes.set_title(family_label(str(family)))
            quiet_grid(axes, "y")
        panels[0].set_ylabel("gain in score by planning")
        panels[0].legend(fontsize=8)
    return figure


def main(experiment: Experiment) -> None:
    """Plays, compares, prints, writes."""
    began = time.monotonic()
    check_at_least("--episodes", experiment.episodes, 1)
    check_at_least("--rollouts", experiment.rollouts, 2)
    check_counts("--shots", experiment.shots)
    check_non_negative("--errors", experiment.errors)
    parts = load(experiment)
    directory = prepare_output(experiment.out, force=experiment.force)
    table = measure(experiment, parts)
    sizes = {name: getattr(experiment, name) for name in ("episodes", "rollouts", "errors")}
    write_experiment(directory, {"planning": table}, {"planning": draw(table)}, began, **sizes)
    print(table.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
