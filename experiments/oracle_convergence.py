"""How far the upper references are from each other, and from where more search no longer helps.

    python experiments/oracle_convergence.py --out results/oracles

For UCB and epsilon-greedy agents of the full game: the prescient principal tuned on other agents
(shared) and for each agent alone, its family with a quiet end tuned for each agent, and the
clairvoyant planner with wider and wider beams; and what knows the agent but no draw to come: a rule
tuned for each agent, and the all-knowing planner with more and more imagined episodes. All are
scored on the same episodes; tuning uses others. Writes ``oracle_convergence.csv``,
``oracle_convergence.png`` and ``about.json``.
"""

import dataclasses
import sys
import time

import jax
import pandas as pd

from mermaide_jax.agents import grid_of, make_agent
from mermaide_jax.base import Task
from mermaide_jax.errors import check_at_least, check_counts, check_multiple
from mermaide_jax.games import Economics, GameConfig, finite_tasks, make_intervention_game
from mermaide_jax.oracles.convergence import make_references, measure_reference
from mermaide_jax.report.convergence import convergence_figure, score_summary
from mermaide_jax.studies.kit import Options, prepare_output, say, start, write_experiment

FAMILIES = ("ucb", "epsilon_greedy")
ARMS = 10


@dataclasses.dataclass(frozen=True)
class Convergence(Options):
    """What is measured."""

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


def check(options: Convergence) -> None:
    """Refuses what cannot be measured, before any work."""
    check_counts("--horizons", options.horizons, 1)
    check_counts("--widths", options.widths, 1)
    # Whether a gain is sure is judged by the spread of imagined episodes.
    check_counts("--rollouts", options.rollouts, 2)
    for family in FAMILIES:
        number = len(grid_of(family))
        check_multiple("--agents", options.agents, number, "as many of each coefficient")
    check_at_least("--episodes", options.episodes, 1)
    check_at_least("--tuning-episodes", options.tuning_episodes, 1)


def measure(options: Convergence) -> pd.DataFrame:
    """One row for each horizon, reference and family."""
    rows, sizes = [], (options.widths, options.rollouts, options.episodes, options.tuning_episodes)
    for horizon in options.horizons:
        for family in FAMILIES:
            tasks = [draw_agents(options, family, seed) for seed in (1, 2)]
            config = GameConfig(ARMS, horizon)
            game = make_intervention_game(make_agent(family, ARMS), config)
            for name, reference in make_references(game, *sizes).items():
                scores, spent = measure_reference(reference, jax.random.key(0), *tasks)
                where = {"family": family, "horizon": horizon, "reference": name}
                rows.append(where | score_summary(scores) | {"ms_per_episode": spent})
                say(str(rows[-1]))
    return pd.DataFrame(rows)


def draw_agents(options: Convergence, family: str, seed: int) -> Task:
    """As many agents of each published coefficient."""
    own = (family, make_agent(family, ARMS), grid_of(family), options.agents, ARMS)
    return finite_tasks(jax.random.key(seed), *own, Economics())


def main(options: Convergence) -> None:
    """Measures what the command line asks for."""
    began = time.monotonic()
    if options.reduced:
        small = {"horizons": (20,), "widths": (1, 4), "rollouts": (2, 4), "agents": 5}
        options = dataclasses.replace(options, **small, episodes=2, tuning_episodes=4)
    check(options)
    directory = prepare_output(options.out, force=options.force)
    table, name = measure(options), "oracle_convergence"
    figures, formats = {name: convergence_figure(table)}, {name: "%.4f"}
    write_experiment(directory, {name: table}, figures, began, formats=formats, config=options)
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    sys.exit(start(main, Convergence, __doc__))
