"""When does each principal pay, and when does it get the target?

    mermaide reproduce --preset default --out results/bandits
    python experiments/timing.py results/bandits --out results/timing

Takes the trained principals of the first command, adapts them to the test agents on K episodes and
lets them play the first of the same episodes again; the all-knowing planner, which need not be
trained, plays them too. For each step of the episode: how many are paid for, in how many the agent
takes the target, and how many are paid for where it had not taken the target before, which is what
a principal does in the agent's first round through the arms. A study may be given in parts, by
family or by seed. Writes ``timing.csv`` (means over training runs, with the least and greatest),
``timing.png`` and ``about.json``.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax.base import Trajectory
from mermaide_jax.errors import check_at_least, check_counts, refuse
from mermaide_jax.evaluation.protocol import play_adapted
from mermaide_jax.oracles import play_all_knowing
from mermaide_jax.report.names import family_label, principal_label
from mermaide_jax.report.style import GREY, SERIES, new_figure, quiet_grid, styled
from mermaide_jax.results.results import prepare_output
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained, build, stream_by_stream, stream_keys
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import Setting, Stream, make_setting
from mermaide_jax.training import make_adapt

ORACLE = "all_knowing"
GROUP = ["agents", "principal", "k_shot"]
MEASURES = {"paid": "paid for", "hit": "on the target", "paid_unless_hit": "paid for, no hit yet"}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote, with checkpoints, or several."""
    out: Path
    """Directory for the table and the figure."""
    shots: tuple[int, ...] = (0, 1)
    """Numbers K of episodes to adapt on."""
    episodes: int = 8
    """Episodes with each agent, the first of those of the study."""
    force: bool = False
    """Accept an output directory that holds files."""


class Played(NamedTuple):
    """Bool, ``[..., N, M, T]``: which steps were paid for, and in which the target was taken."""

    paid: jax.Array
    hit: jax.Array


def played(trajectory: Trajectory) -> Played:
    """What is looked at of ``M`` episodes with each of ``N`` agents."""
    return Played(trajectory.intervention > 0, trajectory.step.hit)


def play_learned(
    experiment: Experiment, name: str, config: StudyConfig, setting: Setting, trained: Trained
) -> Iterator[tuple[int, Played]]:
    """``K`` and what a learned principal played after as many episodes."""
    learned, training = build(name, config, setting)
    game, adapt = setting.game, make_adapt(training, learned)

    @functools.partial(jax.jit, static_argnums=0)
    def play(number: int, key_adapt, key_play, params, tasks) -> Played:
        own = (game, learned, adapt, params, tasks, number, experiment.episodes)
        return played(play_adapted(key_adapt, key_play, *own))

    for number in experiment.shots:
        # The same draws for every K.
        keys = (stream_keys(setting, "adapt"), stream_keys(setting, "play"))
        say = functools.partial(tell, f"{principal_label(name)}, {number}-shot")
        own = (*keys, trained.state.params, setting.test)
        yield number, stream_by_stream(setting, functools.partial(play, number), say, *own)


def play_oracle(experiment: Experiment, config: StudyConfig, setting: Setting) -> Played:
    """What the all-knowing planner plays of the same episodes."""
    options = config.evaluation

    @jax.jit
    def play(key, key_tune, tasks) -> Played:
        own = (key, key_tune, setting.game, tasks, experiment.episodes)
        tuning = options.all_knowing_tuning
        return played(play_all_knowing(*own, options.all_knowing_rollouts, tuning_episodes=tuning))

    keys = (stream_keys(setting, use) for use in ("play", "tune"))
    say = functools.partial(tell, principal_label(ORACLE))
    return stream_by_stream(setting, play, say, *keys, setting.test)


def tell(who: str, stream: Stream) -> None:
    """Says that a stream was played."""
    print(f"{who}, {family_label(stream.population)}, seed {stream.seed}: played", flush=True)


def profiles(found: Played, setting: Setting, about: dict[str, Any]) -> pd.DataFrame:
    """A line for each stream and step: means over its agents and episodes."""
    paid, hit = (np.asarray(leaf, dtype=float) for leaf in found)
    waiting = np.cumsum(hit, axis=-1) - hit == 0
    over = (1, 2)
    with np.errstate(invalid="ignore"):  # nobody waits any more
        unless_hit = np.sum(paid * waiting, over) / np.sum(waiting, over)
    means = {"paid": paid.mean(over), "hit": hit.mean(over), "paid_unless_hit": unless_hit}
    frames = []
    for place, stream in enumerate(setting.streams):
        frame = pd.DataFrame({name: values[place] for name, values in means.items()})
        where = {"agents": stream.population} | about | {"seed": stream.seed}
        frames.append(frame.assign(step=np.arange(len(frame)), **where))
    return pd.concat(frames)


Part = tuple[StudyConfig, dict[str, Trained]]
"""One directory of a study."""


def load(places: tuple[Path, ...]) -> list[Part]:
    """The parts of a study.

    Raises:
      ConfigError: no directory, or another game than of payments for the target.
    """
    if not places:
        refuse("results", [], "at least one directory of a finished study")
    parts = [load_study(place) for place in places]
    for config, _ in parts:
        if config.game.kind != "binary":
            refuse("kind", config.game.kind, "'binary'")
    return parts


def measure(experiment: Experiment, parts: list[Part]) -> pd.DataFrame:
    """The `profiles` of all principals of all parts."""
    frames = []
    for config, principals in parts:
        setting = make_setting(config)
        for name, trained in principals.items():
            for number, found in play_learned(experiment, name, config, setting, trained):
                about = {"principal": name, "k_shot": number}
                frames.append(profiles(found, setting, about))
        found = play_oracle(experiment, config, setting)
        frames.append(profiles(found, setting, {"principal": ORACLE, "k_shot": 0}))
    return pd.concat(frames)


def over_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over training runs by step, with the least and greatest of a run."""
    groups = runs.groupby([*GROUP, "step"], sort=False)[list(MEASURES)]
    parts = [groups.mean()]
    for name, spread in (("least", groups.min()), ("greatest", groups.max())):
        parts.append(spread.add_suffix(f"_{name}"))
    return pd.concat(parts, axis=1).reset_index()


def by_tenths(table: pd.DataFrame) -> pd.DataFrame:
    """Each measure in ten equal parts of the episode, or in as many as it has steps."""
    steps = table["step"].max() + 1
    part = (table["step"] * min(10, steps)) // steps
    means = table.groupby([*GROUP, part.rename("tenth")], sort=False)[list(MEASURES)].mean()
    return means.stack().unstack("tenth").rename_axis([*GROUP, "steps"])


def draw(table: pd.DataFrame) -> Figure:
    """Each measure by step: a row of panels for each family, a line for each principal and K."""
    families = list(dict.fromkeys(table["agents"]))
    with styled():
        figure = new_figure(3.3 * len(MEASURES) + 0.4, 2.5 * len(families) + 0.5)
        panels = figure.subplots(len(families), len(MEASURES), squeeze=False, sharey=True)
        for row, family in zip(panels, families, strict=True):
            part = table[table["agents"] == family]
            names = [name for name in dict.fromkeys(part["principal"]) if name != ORACLE]
            colors = dict(zip(names, SERIES, strict=False)) | {ORACLE: GREY}
            for axes, (column, label) in zip(row, MEASURES.items(), strict=True):
                draw_lines(axes, part, column, colors)
                axes.set(title=f"{family_label(family)}: {label}", xlabel="step", ylim=(0, 1))
                quiet_grid(axes, "y")
            row[0].set_ylabel("share of steps")
        lines = panels[0][0].get_legend_handles_labels()
        figure.legend(*lines, loc="outside upper center", ncols=3, fontsize=8)
    return figure


def draw_lines(axes: Any, part: pd.DataFrame, column: str, colors: dict[str, str]) -> None:
    """A line for each principal, dashed from the second K on, and a band over training runs."""
    first = part["k_shot"].min()
    for (name, number), own in part.groupby(["principal", "k_shot"], sort=False):
        label = "All-knowing" if name == ORACLE else f"{principal_label(str(name))}, {number}-shot"
        color, style = colors[str(name)], "-" if number == first else "--"
        axes.plot(own["step"], own[column], style, color=color, lw=1.3, label=label)
        spread = (own[f"{column}_least"], own[f"{column}_greatest"])
        axes.fill_between(own["step"], *spread, color=color, alpha=0.12, lw=0)


def main(experiment: Experiment) -> None:
    """Plays, prints, writes."""
    began = time.monotonic()
    check_at_least("--episodes", experiment.episodes, 1)
    check_counts("--shots", experiment.shots)
    parts = load(experiment.results)
    directory = prepare_output(experiment.out, force=experiment.force)
    runs = measure(experiment, parts)
    table = over_runs(runs)
    sizes = {"episodes": experiment.episodes, "seeds": sorted(set(runs["seed"].tolist()))}
    write_experiment(directory, {"timing": table}, {"timing": draw(table)}, began, **sizes)
    print(by_tenths(table).to_string(float_format="%.2f"))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
