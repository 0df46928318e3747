"""F3: where does the world model help, where does meta-learning, and how well is it predicted?

    mermaide reproduce --preset default --out results/bandits
    python experiments/world_model.py results/bandits --out results/world_model

A study in parts, by family, seeds or principals, is given as the directories of its parts; a
principal that two of them trained on the same family with the same seed is that of the last.
Takes the trained principals of the first command to new agents (of a seed that nothing was trained
or tuned on) with each of the five published coefficients, and reports for each of them the gain of
the world model (MERMAIDE over MAML without it), of meta-learning (over the world model without it)
and of both (over REINFORCE), at every K; and how far MERMAIDE's predictions are from the agent's
own law at each step, before and after adaptation, with a calibration curve. Intervals: 95%
bootstrap over training runs, within agents. Writes ``gains.csv``, ``prediction.csv``,
``gains.png``, ``prediction.png`` and ``about.json``.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax.agents import RULES, standard_population
from mermaide_jax.base import Task
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.evaluation.prediction import action_law, prediction_quality
from mermaide_jax.evaluation.protocol import play_adapted
from mermaide_jax.games import COEFFICIENTS, finite_tasks, target_first
from mermaide_jax.report.names import coefficient_label, families_and_shots, family_label
from mermaide_jax.report.style import new_figure
from mermaide_jax.results.results import prepare_output
from mermaide_jax.statistics import bootstrap_interval, mean
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import LEARNED, StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.learned import build
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import Stream, make_setting
from mermaide_jax.training import make_adapt

OVER = {
    "world model": "maml_without_world_model",
    "meta-learning": "world_model_without_meta",
    "both": "reinforce",
}
"""What MERMAIDE has that a baseline has not."""
BINS = 10


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directory that `mermaide reproduce` (or `train`) wrote, with checkpoints, or several."""
    out: Path
    """Directory for tables and figures."""
    agents: int = 4
    """New agents of each family and coefficient."""
    episodes: int = 32
    """Fresh episodes with each agent."""
    seed: int = 2
    """Seed of the new agents; 0 and 1 were trained, tested and tuned on."""
    force: bool = False
    """Accept an output directory that holds files."""


def new_agents(experiment: Experiment, config: StudyConfig, family: str) -> Task:
    """Agents of one family, coefficient by coefficient in turn."""
    values = COEFFICIENTS[family]
    key = jax.random.fold_in(jax.random.key(experiment.seed), 2**20)
    number = experiment.agents * len(values)
    tasks = finite_tasks(key, family, values, number, config.game.num_arms, config.game.economics)
    return jax.vmap(target_first)(tasks) if config.training.target_first else tasks


class Run(NamedTuple):
    """One principal, trained once on one family."""

    name: str
    config: StudyConfig
    stream: Stream
    params: Any


def load(directories: tuple[Path, ...]) -> list[Run]:
    """Every run in these directories; of those that are there twice, the last.

    Raises:
      ConfigError: no directory, no study in it, one of mixed agents, unlike games or splits, nobody
        to compare, or principals of unlike families, seeds or K.
    """
    runs, games = {}, {}
    if not directories:
        refuse("results", [], "a directory that `mermaide reproduce` wrote, or several")
    for directory in directories:
        config, trained = load_study(directory)
        games.setdefault((config.game, config.agents.split), directory)
        if config.agents.mixed:
            refuse("results", str(directory), "principals that were trained on one family each")
        streams = make_setting(config).streams
        for name, result in trained.items():
            for number, stream in enumerate(streams):
                params = jax.tree.map(lambda leaf, n=number: leaf[n], result.state.params)
                runs[name, stream] = Run(name, config, stream, params)
    if len(games) > 1:
        refuse("results", [str(place) for place in games.values()], "parts of one study")
    streams = {name: {stream for other, stream in runs if other == name} for name, _ in runs}
    names = sorted(streams)
    if LEARNED[0] not in streams or streams.keys().isdisjoint(OVER.values()):
        refuse("principals", names, f"{LEARNED[0]} and at least one it is compared with")
    if any(own != streams[LEARNED[0]] for own in streams.values()):
        refuse("results", names, "principals with the same families and seeds")
    shots = {run.config.evaluation.shots for run in runs.values()}
    if len(shots) > 1:
        refuse("shots", sorted(shots), "the same in all parts")
    return list(runs.values())


def play(experiment: Experiment, runs: list[Run]) -> tuple[list[dict], list[dict]]:
    """Rows of scores and, for a world model, of its predictions; one run after the other."""
    scores, predictions = [], []
    for run in runs:
        config, (family, seed) = run.config, run.stream
        # The same agents and draws for every principal and K, on purpose: clones are for that.
        key = jax.random.fold_in(jax.random.key(experiment.seed), RULES.index(family))
        key, tasks = jax.random.fold_in(key, seed), new_agents(experiment, config, family)
        plays = player(run.name, dataclasses.replace(config, seed=0, seeds=1), experiment.episodes)
        for shots in config.evaluation.shots:
            score, quality = plays(jax.random.clone(key), run.params, tasks, shots)
            about = {"family": family, "seed": seed, "k_shot": shots, "principal": run.name}
            scores += [
                about | {"agent": i, "score": float(s)} for i, s in enumerate(np.asarray(score))
            ]
            if principal_configs(run.name, config)[0].world_model:
                predictions.append(about | {"quality": jax.tree.map(np.asarray, quality)})
        print(f"{run.name}, {family_label(family)}, seed {seed}: played", flush=True)
    return scores, predictions


@functools.cache
def player(name: str, config: StudyConfig, episodes: int) -> Callable[..., Any]:
    """Adapts one run to agents and plays: mean scores ``[N]`` and the quality of predictions."""
    setting = make_setting(config)
    learned, training = build(name, config, setting)
    population = standard_population(config.game.num_arms, config.game.initial_pull)
    adapt = make_adapt(training, learned)

    @functools.partial(jax.jit, static_argnums=3)
    def play_run(key, params, tasks, shots):
        key_adapt, key_play = jax.random.split(key)
        own = (setting.game, learned, adapt, params, tasks, shots, episodes)
        played = play_adapted(key_adapt, key_play, *own)
        of_one = functools.partial(action_law, population, config.game.static)
        law = jax.vmap(jax.vmap(of_one, (None, 0)))(tasks, played)
        judge = jax.vmap(jax.vmap(prediction_quality, (0, 0, None)))
        quality = judge(law, played.principal.prediction, tasks.target)
        return played.reward.sum(-1).mean(-1), quality

    return play_run


def gains(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean gain of MERMAIDE over each baseline for each coefficient, with its interval."""
    rows, of_all = [], functools.partial(mean, axis=(1, 2))
    wide = scores.pivot_table(
        index=["family", "k_shot", "seed", "agent"], columns="principal", values="score"
    )
    for what, baseline in OVER.items():
        if baseline not in wide:
            continue
        difference = (wide[LEARNED[0]] - wide[baseline]).rename("gain").reset_index()
        for family, shots, part in _by_family_and_shots(difference):
            coefficients = np.asarray(COEFFICIENTS[family])
            of = coefficients[part["agent"].to_numpy() % len(coefficients)]
            for coefficient in coefficients:
                own = part[of == coefficient]
                table = own.pivot(index="seed", columns="agent", values="gain").to_numpy()
                found = bootstrap_interval(of_all, table, resample="runs within agents")
                about = {"gain_of": what, "family": family, "k_shot": shots}
                estimate = {"gain": found.value, "low": found.low, "high": found.high}
                rows.append(about | {"coefficient": coefficient} | estimate)
    return pd.DataFrame(rows)


def _by_family_and_shots(table: pd.DataFrame) -> list[tuple[str, int, pd.DataFrame]]:
    """The lines of each family and K, in canonical order."""
    pairs = families_and_shots(zip(table["family"], table["k_shot"], strict=True))
    return [(f, k, table[(table["family"] == f) & (table["k_shot"] == k)]) for f, k in pairs]


def by_step(predictions: list[dict]) -> pd.DataFrame:
    """Mean divergence and entropy at each step, with the spread of training runs."""
    rows = []
    for record in predictions:
        quality = record["quality"]
        about = {key: record[key] for key in ("principal", "family", "seed", "k_shot")}
        for step in range(quality.divergence.shape[-1]):
            rows.append(
                about
                | {
                    "step": step,
                    "divergence": float(quality.divergence[..., step].mean()),
                    "entropy": float(quality.entropy[..., step].mean()),
                }
            )
    return pd.DataFrame(rows)


def calibration(record: dict) -> pd.DataFrame:
    """True against predicted probability of the target, in bins of the prediction."""
    predicted, true = (
        getattr(record["quality"], f"target_{name}").ravel() for name in ("predicted", "true")
    )
    number = np.minimum((predicted * BINS).astype(int), BINS - 1)
    frame = pd.DataFrame({"bin": number, "predicted": predicted, "true": true})
    return frame.groupby("bin").mean()


def draw_gains(table: pd.DataFrame) -> Figure:
    """Gains against the coefficient: a column for each K, two rows for each family.

    Meta-learning has rows of its own: what it gains is small beside the rest.
    """
    groups = _by_family_and_shots(table)
    families, shots = (list(dict.fromkeys(group[part] for group in groups)) for part in (0, 1))
    colors = {what: f"C{number}" for number, what in enumerate(OVER)}
    small = table["gain_of"] == "meta-learning"
    figure = new_figure(2.4 * len(shots) + 0.8, 3.8 * len(families))
    panels = figure.subplots(
        2 * len(families),
        len(shots),
        squeeze=False,
        sharey="row",
        height_ratios=[1.6, 1] * len(families),
    )
    for family, shot, part in groups:
        row, column = 2 * families.index(family), shots.index(shot)
        for axes, own in zip(panels[row : row + 2, column], (~small, small), strict=True):
            for what, line in part[own[part.index]].groupby("gain_of", sort=False):
                middle = line["gain"].to_numpy()
                spread = np.abs(line[["low", "high"]].to_numpy().T - middle)
                axes.errorbar(
                    line["coefficient"], middle, spread, fmt="o-", ms=3, lw=1, label=what,
                    color=colors[str(what)],
                )  # fmt: skip
            axes.axhline(0, color="0.6", lw=1)
            if column == 0:
                axes.set_ylabel("gain in score of")
            if column == 0 and axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=8, frameon=False)
        panels[row, column].set_title(f"{family_label(family)}, {shot}-shot", fontsize=10)
        panels[row + 1, column].set_xlabel(coefficient_label(family, 0.0).partition(" ")[0])
    return figure


def draw_prediction(steps: pd.DataFrame, predictions: list[dict]) -> Figure:
    """Divergence by step (left) and calibration (right) of MERMAIDE, a row for each family."""
    families = list(dict.fromkeys(steps["family"]))
    figure = new_figure(7.5, 2.8 * len(families))
    own = steps[steps["principal"] == LEARNED[0]]
    for row, family in enumerate(families):
        left, right = (figure.add_subplot(len(families), 2, 2 * row + n) for n in (1, 2))
        for color, (shots, part) in enumerate(own[own["family"] == family].groupby("k_shot")):
            wide = part.pivot_table(index="step", columns="seed", values="divergence")
            left.plot(wide.index, wide.mean(axis=1), color=f"C{color}", label=f"{shots}-shot")
            low, high = wide.min(axis=1), wide.max(axis=1)
            left.fill_between(wide.index, low, high, color=f"C{color}", alpha=0.2, lw=0)
            for record in predictions:
                key = (record["principal"], record["family"], record["k_shot"])
                if key == (LEARNED[0], family, shots):
                    curve = calibration(record)
                    right.plot(curve["predicted"], curve["true"], f"C{color}o-", ms=3, lw=0.7)
        entropy = own[own["family"] == family].groupby("step")["entropy"].mean()
        left.plot(entropy.index, entropy, color="0.6", lw=1, label="entropy of the agent")
        left.set(
            xlabel="step", ylabel="nats", title=f"{family_label(family)}: KL(agent, prediction)"
        )
        left.legend(fontsize=8, frameon=False)
        right.plot([0, 1], [0, 1], color="0.6", lw=1)
        right.set(xlabel="predicted P(target)", ylabel="true P(target)", title="calibration")
    return figure


def main(experiment: Experiment) -> None:
    """Plays, measures, prints, writes."""
    began = time.monotonic()
    check_at_least("--agents", experiment.agents, 1)
    check_at_least("--episodes", experiment.episodes, 1)
    runs = load(experiment.results)
    directory = prepare_output(experiment.out, force=experiment.force)
    scores, predictions = play(experiment, runs)
    table, steps = gains(pd.DataFrame(scores)), by_step(predictions)
    print(table.to_string(index=False, float_format="%.2f"))
    said = steps.groupby(["principal", "family", "k_shot"])[["divergence", "entropy"]].mean()
    print(said.to_string(float_format="%.3f"))
    trained = list(dict.fromkeys(run.config for run in runs))
    tables = {"gains": table, "prediction": steps}
    figures = {"gains": draw_gains(table), "prediction": draw_prediction(steps, predictions)}
    formats = {"gains": "%s"}  # all digits
    write_experiment(directory, tables, figures, began, formats=formats, trained=trained)


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
