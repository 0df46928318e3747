"""What it is worth to know the agent's state, exactly, in games small enough to solve.

    python experiments/small_games.py --out results/small_games

For each family of agents, number of arms, horizon and reward noise (none, or plus or minus sigma)
and several priors over finitely many tasks, the greatest expected score of

- ``script``: the best of never, always, at random and the first k steps for every k, on this prior;
- ``belief``: a principal that knows the prior and sees actions only;
- ``informed``: one that also knows the task (rewards and coefficient), but sees actions only;
- ``all_knowing``: one that knows the task and the agent's state before each step, ``V``;
- ``sees_draw``: one that also knows the coming action, ``W``.

The share of the attainable is ``(x - script) / (V - script)``, of sums over the priors. One more
part of the table has larger and smaller priors at one horizon. Writes ``small_games.csv`` (a row
for each prior), ``shares.csv``, ``small_games.png`` and ``about.json``.
"""

import dataclasses
import itertools
import sys
import time
from collections.abc import Iterator

import pandas as pd

from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.oracles.small_games import SmallGame, solve_small_game
from mermaide_jax.report.small_games import shares_figure, shares_table
from mermaide_jax.studies.kit import Options, prepare_output, say, start, write_experiment

FAMILIES = ("ucb", "epsilon_greedy")


@dataclasses.dataclass(frozen=True)
class SmallGames(Options):
    """What is solved."""

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


def games(options: SmallGames) -> Iterator[SmallGame]:
    """Every game that is solved."""
    limits = dict(zip(options.arms, options.noisy_limits, strict=True))
    for family, arms, noise in itertools.product(FAMILIES, options.arms, options.noises):
        for horizon in options.horizons:
            if family == "ucb" or noise == 0 or horizon <= limits[arms]:
                yield SmallGame(family, arms, noise, horizon, options.tasks)
    for family, noise in itertools.product(FAMILIES, options.noises):
        for tasks in options.other_tasks:
            yield SmallGame(family, options.arms[0], noise, options.compared, tasks)


def solve(options: SmallGames) -> pd.DataFrame:
    """One row for each game and prior."""
    rows = []
    for game in games(options):
        began = time.monotonic()
        for seed in range(options.seeds):
            rows.append(game._asdict() | {"seed": seed} | solve_small_game(game, seed))
        say(f"{' '.join(map(str, game))} {time.monotonic() - began:.1f} s")
    return pd.DataFrame(rows)


def main(options: SmallGames) -> None:
    """Solves, compares, prints, writes."""
    began = time.monotonic()
    if options.reduced:
        small = {"horizons": (3, 5), "tasks": 5, "other_tasks": (10,), "compared": 3, "seeds": 2}
        options = dataclasses.replace(options, **small)
    check_at_least("--seeds", options.seeds, 1)
    if len(options.noisy_limits) != len(options.arms):
        refuse("--noisy-limits", options.noisy_limits, "one for each number of arms")
    directory = prepare_output(options.out, force=options.force)
    table = solve(options)
    shares = shares_table(table)
    tables = {"small_games": table, "shares": shares}
    figures = {"small_games": shares_figure(shares, options.tasks)}
    write_experiment(directory, tables, figures, began, config=options)
    print(shares.round(3).to_string(index=False))


if __name__ == "__main__":
    sys.exit(start(main, SmallGames, __doc__))
