"""How far the upper references are from each other, and from where more search no longer helps.

    python experiments/oracle_convergence.py --out results/oracles

For UCB and epsilon-greedy agents of the full game: the prescient principal tuned on other agents
(shared) and for each agent alone, its family with a quiet end tuned for each agent, and the
clairvoyant planner with wider and wider beams; and what knows the agent but no draw to come: a rule
tuned for each agent, and the all-knowing planner with more and more imagined episodes. All are
scored on the same episodes; tuning uses others. Writes ``oracle_convergence.csv``,
``oracle_convergence.json`` (with how it was made) and ``oracle_convergence.png``.
"""

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.agents import standard_population
from mermaide_jax.base import Game, Task
from mermaide_jax.errors import check_at_least, check_counts, check_multiple
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.games import (
    COEFFICIENTS,
    Economics,
    GameConfig,
    collect,
    finite_tasks,
    make_intervention_game,
)
from mermaide_jax.oracles.all_knowing import by_script, play_all_knowing, script_grid
from mermaide_jax.oracles.clairvoyant import play_clairvoyant
from mermaide_jax.oracles.guided import guide_grid, guided, tune_each
from mermaide_jax.oracles.prescient import prescient
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import new_figure
from mermaide_jax.results.files import text_writer, write_atomically
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.results import prepare_output
from mermaide_jax.results.schema import to_plain
from mermaide_jax.statistics import bootstrap_interval, interquartile_mean, mean
from mermaide_jax.studies.kit import file_writers, start

FAMILIES = ("ucb", "epsilon_greedy")
REFERENCES = {
    "prescient": ("prescient, one threshold", (0, (1, 2))),
    "prescient_each": ("prescient, tuned per agent", "--"),
    "guided_each": ("with a quiet end, tuned per agent", "-."),
    "rule_each": ("a rule that sees chances, tuned per agent", (0, (4, 1, 1, 1, 1, 1))),
}
"""References that do not plan: label and style of the line."""


@dataclasses.dataclass(frozen=True)
class Convergence:
    """What is measured."""

    out: Path
    """Directory for the table and the figure."""
    horizons: tuple[int, ...] = (50, 100)
    """Steps of an episode."""
    widths: tuple[int, ...] = (1, 4, 16, 64, 256)
    """Widths of the beam."""
    rollouts: tuple[int, ...] = (2, 8, 32)
    """Imagined episodes for each choice of the all-knowing planner."""
    agents: int = 10
    """Agents of each family, as many of each published coefficient."""
    episodes: int = 8
    """Episodes with each agent."""
    tuning_episodes: int = 32
    """Other episodes with each agent on which parameters are chosen."""
    reduced: bool = False
    """One short horizon, two widths and few episodes, to see that it runs."""
    force: bool = False
    """Accept an output directory that holds files."""


def check(config: Convergence) -> None:
    """Refuses what cannot be measured, before any work."""
    check_counts("--horizons", config.horizons, 1)
    check_counts("--widths", config.widths, 1)
    # Whether a gain is sure is judged by the spread of imagined episodes.
    check_counts("--rollouts", config.rollouts, 2)
    for family in FAMILIES:
        number = len(COEFFICIENTS[family])
        check_multiple("--agents", config.agents, number, "as many of each coefficient")
    check_at_least("--episodes", config.episodes, 1)
    check_at_least("--tuning-episodes", config.tuning_episodes, 1)


def run(config: Convergence) -> pd.DataFrame:
    """One row for each horizon, reference and family."""
    rows = []
    keys = jax.random.split(jax.random.key(0))
    for horizon in config.horizons:
        game = make_intervention_game(standard_population(10), GameConfig(horizon=horizon))
        for name, scorer in _scorers(config, game).items():
            compiled = None
            for family in FAMILIES:
                tasks, others = _agents(config, family, 1), _agents(config, family, 2)
                # Every reference plays the same episodes, so keys are used again on purpose.
                arguments = (*jax.random.clone(keys), tasks, others)
                compiled = compiled or jax.jit(scorer).lower(*arguments).compile()
                start = time.perf_counter()
                scores = np.asarray(compiled(*arguments))
                spent = 1e3 * (time.perf_counter() - start) / scores.size
                where = {"family": family, "horizon": horizon, "reference": name}
                rows.append(where | _aggregate(scores) | {"ms_per_episode": spent})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def _agents(config: Convergence, family: str, seed: int) -> Task:
    """As many agents of each published coefficient."""
    coefficients = COEFFICIENTS[family]
    return finite_tasks(jax.random.key(seed), family, coefficients, config.agents, 10, Economics())


def _scorers(config: Convergence, game: Game) -> dict[str, Callable[..., jax.Array]]:
    """For each reference its scores ``[N, M]``, given keys, agents and others to tune on."""
    grid = guide_grid(game.horizon)
    leads = jnp.asarray(grid.lead)[jnp.asarray(grid.quiet) == 0]
    plain, family = prescient(game.pay_target), guided(game.pay_target, game.horizon)
    number, episodes = config.tuning_episodes, config.episodes

    def shared(key_tune, key_play, tasks: Task, others: Task) -> jax.Array:
        value = tune(key_tune, game, plain, leads, others, number)
        return collect(key_play, game, plain, value, tasks, episodes).reward.sum(-1)

    def per_agent(key_tune, key_play, tasks: Task, others: Task, principal, values) -> jax.Array:
        del others
        best = tune_each(key_tune, game, principal, values, tasks, number)
        played = collect(key_play, game, principal, best, tasks, episodes, params_axis=0)
        return played.reward.sum(-1)

    def planned(key_tune, key_play, tasks: Task, others: Task, width: int) -> jax.Array:
        del key_tune, others
        return play_clairvoyant(key_play, game, tasks, episodes, width).reward.sum(-1)

    def foreseen(key_tune, key_play, tasks: Task, others: Task, rollouts: int) -> jax.Array:
        del others
        return play_all_knowing(
            key_play, key_tune, game, tasks, episodes, rollouts, tuning_episodes=number
        ).reward.sum(-1)

    families = functools.partial(
        per_agent, principal=by_script(game), values=script_grid(game.horizon)
    )
    scorers = {
        "prescient": shared,
        "prescient_each": functools.partial(per_agent, principal=plain, values=leads),
        "guided_each": functools.partial(per_agent, principal=family, values=grid),
        "rule_each": families,
    }
    beams = {f"beam_{width}": functools.partial(planned, width=width) for width in config.widths}
    particles = {f"rollouts_{n}": functools.partial(foreseen, rollouts=n) for n in config.rollouts}
    return scorers | beams | particles


def _aggregate(scores: np.ndarray) -> dict[str, float]:
    """Mean over agents and episodes with an interval that resamples episodes within agents.

    And the same of the interquartile mean.
    """
    of_all = functools.partial(mean, axis=(1, 2))
    value, low, high = bootstrap_interval(of_all, scores.T, resample="runs within agents")
    middle = float(interquartile_mean(scores))
    return {"score": value, "low": low, "high": high, "interquartile_mean": middle}


def draw(table: pd.DataFrame, config: Convergence) -> Figure:
    """Score against beam width and rollouts, a column for each family, a line for each horizon."""
    figure = new_figure(9, 6.4)
    rows = {
        "clairvoyant": ("beam", config.widths, "width of the beam", tuple(REFERENCES)[:3]),
        "all-knowing": ("rollouts", config.rollouts, "imagined episodes", tuple(REFERENCES)[3:]),
    }
    panels = figure.subplots(len(rows), len(FAMILIES), sharey="col")
    for row, (label, (kind, sizes, unit, references)) in zip(panels, rows.items(), strict=True):
        for axes, family in zip(row, FAMILIES, strict=True):
            of_family = table[table["family"] == family]
            for number, (horizon, part) in enumerate(of_family.groupby("horizon")):
                by_name, color = part.set_index("reference"), f"C{number}"
                found = by_name.loc[[f"{kind}_{size}" for size in sizes]]
                axes.plot(sizes, found["score"], "o-", color=color, label=f"{label}, T = {horizon}")
                axes.fill_between(sizes, found["low"], found["high"], color=color, alpha=0.15)
                for name in references:
                    style = REFERENCES[name][1]
                    axes.axhline(by_name.loc[name, "score"], color=color, linestyle=style, lw=1)
            axes.set(title=f"{family_label(family)} agents", xlabel=unit, xscale="log")
            axes.set_xticks(sizes, [str(size) for size in sizes])
            axes.minorticks_off()
            axes.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel("score per episode")
        for name in references:
            text, style = REFERENCES[name]
            row[-1].plot([], [], color="grey", linestyle=style, linewidth=1, label=text)
    entries = [
        entry for row in panels for entry in zip(*row[-1].get_legend_handles_labels(), strict=True)
    ]
    figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(config: Convergence) -> None:
    """Measures what the command line asks for."""
    if config.reduced:
        small = {
            "horizons": (20,),
            "widths": (1, 4),
            "rollouts": (2, 4),
            "agents": 5,
            "episodes": 2,
        }
        config = dataclasses.replace(config, **small, tuning_episodes=4)
    check(config)
    directory, began = prepare_output(config.out, force=config.force), time.monotonic()
    table = run(config)
    made = json.dumps(to_plain(script_record(began) | {"config": config}), indent=1) + "\n"
    name = "oracle_convergence"
    writers = file_writers({name: table}, {name: draw(table, config)}, {name: "%.4f"})
    write_atomically(directory, writers | {f"{name}.json": text_writer(made)})
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    sys.exit(start(main, Convergence, __doc__))
