"""What it is worth to see the agent's mind, exactly, in games small enough to solve.

    python experiments/small_games.py --out results/small_games

For each family of agents, number of arms, horizon and reward noise (none, or plus or minus sigma)
and several priors over finitely many tasks, the greatest expected score of

- ``script``: the best of never, always, at random and the first k steps for every k, on this prior;
- ``belief``: a principal that knows the prior and sees actions only;
- ``told``: one that is also told the task (rewards and coefficient), but sees actions only;
- ``all_knowing``: one that is told the task and the agent's state before each step, ``V``;
- ``sees_draw``: one that is also told the coming action, ``W``.

The share of the attainable is ``(x - script) / (V - script)``, of sums over the priors. One more
part of the table has larger and smaller priors at one horizon. Writes ``small_games.csv`` (a row
for each prior), ``shares.csv``, ``small_games.png`` and ``about.json``.
"""

import dataclasses
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.agents import standard_population
from mermaide_jax.base import Task
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.games import COEFFICIENTS, Economics, GameConfig, finite_tasks
from mermaide_jax.oracles import StateGraph, policy_value, solve_belief, solve_exact
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import BLUE, ORANGE, new_figure, quiet_grid, styled
from mermaide_jax.results.results import prepare_output
from mermaide_jax.studies.kit import start, write_experiment

FAMILIES = ("ucb", "epsilon_greedy")
COINS = (-1.0, 1.0)
"""The reward noise is plus or minus sigma."""
KEYS = ["family", "arms", "noise", "horizon", "tasks"]
LINES = {"belief": ("sees actions, knows the prior", BLUE), "told": ("is told the task", ORANGE)}
"""Principals that are drawn: label and colour."""
_BIG = 1_000_000
_NOTHING = 1e-6
"""Where V is above the best script by less, there is nothing to have a share of."""


@dataclasses.dataclass(frozen=True)
class SmallGames:
    """What is solved."""

    out: Path
    """Directory for the tables and the figure."""
    arms: tuple[int, ...] = (2, 3)
    """Numbers of arms."""
    horizons: tuple[int, ...] = (4, 6, 8, 10, 12)
    """Steps of an episode."""
    noisy_limits: tuple[int, ...] = (10, 8)
    """For each number of arms, the greatest horizon of epsilon-greedy agents with reward noise,
    whose states are many."""
    noises: tuple[float, ...] = (0.0, 0.1)
    """Sizes sigma of the reward noise."""
    tasks: int = 10
    """Agents that the prior holds possible, as many of each published coefficient."""
    other_tasks: tuple[int, ...] = (5, 20, 40)
    """Other sizes of the prior, at the horizon `compared` with the first number of arms."""
    compared: int = 8
    """Steps of an episode where priors of other sizes are solved."""
    seeds: int = 3
    """Priors of each kind."""
    reduced: bool = False
    """Two short horizons and few, small priors, to see that it runs."""
    force: bool = False
    """Accept an output directory that holds files."""


def games(config: SmallGames) -> Iterator[tuple[str, int, float, int, int]]:
    """Family, arms, noise, horizon and number of tasks of each game."""
    for family, arms, noise in itertools.product(FAMILIES, config.arms, config.noises):
        limit = dict(zip(config.arms, config.noisy_limits, strict=True))[arms]
        for horizon in config.horizons:
            if family == "ucb" or noise == 0 or horizon <= limit:
                yield family, arms, noise, horizon, config.tasks
    for family, noise in itertools.product(FAMILIES, config.noises):
        for tasks in config.other_tasks:
            yield family, config.arms[0], noise, config.compared, tasks


def solve(
    family: str, arms: int, noise: float, horizon: int, tasks: int, seed: int
) -> dict[str, float | int]:
    """Expected scores of all principals under one prior.

    Args:
      family: rule of the agents.
      arms: number of arms.
      noise: sigma; the reward noise is plus or minus sigma, each as likely.
      horizon: steps of an episode.
      tasks: number of tasks of the prior, each as likely.
      seed: of the prior; a larger prior begins with the smaller one.

    Returns:
      A score under each name of the module's docstring, and the number of agent states and beliefs.
    """
    agent, families = standard_population(arms), GameConfig(num_arms=arms, horizon=horizon)
    economics, draws = Economics(noise=noise), COINS if noise else (0.0,)
    prior = finite_tasks(jax.random.key(seed), family, COEFFICIENTS[family], tasks, arms, economics)

    def watch(part: Task):
        limits = {"max_states": _BIG, "max_beliefs": _BIG}
        return solve_belief(agent, families, part, draws=draws, **limits)

    def know(task: Task, sees_draw: bool):
        return solve_exact(agent, families, task, draws=draws, sees_draw=sees_draw, max_states=_BIG)

    alone = [jax.tree.map(lambda leaf: leaf[i : i + 1], prior) for i in range(tasks)]  # noqa: B023
    bare = [jax.tree.map(lambda leaf: leaf[0], part) for part in alone]
    belief, known = watch(prior), [know(task, False) for task in bare]
    return {
        "script": best_script([solution.graph for solution in known]),
        "belief": belief.value,
        "told": float(np.mean([watch(part).value for part in alone])),
        "all_knowing": float(np.mean([solution.value for solution in known])),
        "sees_draw": float(np.mean([know(task, True).value for task in bare])),
        "states": belief.num_states,
        "beliefs": belief.num_beliefs,
    }


def best_script(graphs: list[StateGraph]) -> float:
    """The best mean score of one script for all tasks: never, always, at random, the first k."""
    horizon = len(graphs[0].layers)
    scripts = [np.full((horizon, 2), 0.5)]
    for k in range(horizon + 1):
        paid = (np.arange(horizon) < k).astype(float)
        scripts.append(np.stack([1 - paid, paid], axis=-1))

    def score(script: np.ndarray) -> float:
        values = [policy_value(graph, lambda t, states: script[t]) for graph in graphs]
        return float(np.mean(values))

    return max(score(script) for script in scripts)


def run(config: SmallGames) -> pd.DataFrame:
    """One row for each game and prior."""
    rows = []
    for game in games(config):
        began = time.monotonic()
        for seed in range(config.seeds):
            rows.append(dict(zip(KEYS, game, strict=True)) | {"seed": seed} | solve(*game, seed))
        print(*game, f"{time.monotonic() - began:.1f} s", flush=True)
    return pd.DataFrame(rows)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """For each game the mean scores, and the shares: of sums, least and greatest of a prior."""
    lines = []
    for names, part in table.groupby(KEYS, sort=False):
        line = dict(zip(KEYS, names, strict=True))  # pyright: ignore[reportArgumentType]
        line |= part[["script", *LINES, "all_knowing", "sees_draw"]].mean().to_dict()
        lines.append(line | {k: v for name in LINES for k, v in _share(part, name).items()})
    return pd.DataFrame(lines)


def _share(part: pd.DataFrame, name: str) -> dict[str, float]:
    """The share of the attainable of one principal, NaN where there is nothing to attain."""
    gain, most = part[name] - part["script"], part["all_knowing"] - part["script"]
    each = (gain / most.where(most > _NOTHING)).dropna()
    whole = gain.sum() / most.sum() if len(each) else np.nan
    return {f"{name}_share": whole, f"{name}_least": each.min(), f"{name}_greatest": each.max()}


def draw(table: pd.DataFrame, config: SmallGames) -> Figure:
    """Share against horizon: a panel for each family and number of arms, dashes for noise."""
    size = len(FAMILIES), len(config.arms)
    with styled():
        figure = new_figure(4.2 * size[1], 3.0 * size[0] + 0.5)
        panels = figure.subplots(*size, squeeze=False, sharex=True, sharey=True)
        own = table[table["tasks"] == config.tasks]
        cells = itertools.product(FAMILIES, config.arms)
        for axes, (family, arms) in zip(panels.ravel(), cells, strict=True):
            part = own[(own["family"] == family) & (own["arms"] == arms)]
            _lines(axes, part, config.noises)
            axes.set(title=f"{family_label(family)}, {arms} arms", xticks=config.horizons)
            quiet_grid(axes, "y")
        for axes in panels[-1]:
            axes.set_xlabel("steps of an episode")
        for axes in panels[:, 0]:
            axes.set_ylabel("share of the attainable")
        handles = panels[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def _lines(axes, part: pd.DataFrame, noises: tuple[float, ...]) -> None:
    """The shares of one panel, with bands from the least to the greatest of a prior."""
    for noise, (name, (label, color)) in itertools.product(noises, LINES.items()):
        found = part[part["noise"] == noise]
        style, text = ("o--", f"{label}, noise {noise}") if noise else ("o-", f"{label}, no noise")
        axes.plot(found["horizon"], found[f"{name}_share"], style, color=color, ms=4, label=text)
        edges = found[f"{name}_least"], found[f"{name}_greatest"]
        axes.fill_between(found["horizon"], *edges, color=color, alpha=0.1, linewidth=0)


def main(config: SmallGames) -> None:
    """Solves, compares, prints, writes."""
    began = time.monotonic()
    if config.reduced:
        small = {"horizons": (3, 5), "tasks": 5, "other_tasks": (10,), "compared": 3, "seeds": 2}
        config = dataclasses.replace(config, **small)
    check_at_least("--seeds", config.seeds, 1)
    if len(config.noisy_limits) != len(config.arms):
        refuse("--noisy-limits", config.noisy_limits, "one for each number of arms")
    directory = prepare_output(config.out, force=config.force)
    table = run(config)
    short = shares(table)
    tables, figures = {"small_games": table, "shares": short}, {"small_games": draw(short, config)}
    write_experiment(directory, tables, figures, began, config=config)
    print(short.round(3).to_string(index=False))


if __name__ == "__main__":
    sys.exit(start(main, SmallGames, __doc__))
