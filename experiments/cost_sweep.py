"""Scripted principals against the cost of intervening, thousands of agents side by side.

    python experiments/cost_sweep.py --out results/cost_sweep

The cost is a leaf of a `Task`, so one program serves all costs; there is one for each principal and
family. For each cost: the score of never, always, pay-the-first-k (k chosen on training agents) and
of the prescient upper reference, over agents drawn from the endless distribution. Writes
``cost_sweep.csv`` and ``cost_sweep.png``.
"""

import dataclasses
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from mermaide_jax.agents import grid_of, make_agent
from mermaide_jax.base import Principal, Task
from mermaide_jax.errors import check_at_least, check_non_negative
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.games import Economics, Game, GameConfig, draw_task, make_intervention_game
from mermaide_jax.oracles.prescient import leads, prescient
from mermaide_jax.principals import first_k, random
from mermaide_jax.report.lines import Line, Panel, line_figure
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import SERIES
from mermaide_jax.studies.kit import Options, prepare_output, start, tidy, write_experiment

ARMS = 10


@dataclasses.dataclass(frozen=True)
class Sweep(Options):
    """What is swept."""

    costs: tuple[float, ...] = tuple(float(c) for c in np.round(np.linspace(0.0, 1.0, 11), 2))
    """Costs of an intervention."""
    agents: int = 1000
    """Agents of each family, for tuning and for the test each."""
    horizon: int = 50
    """Steps of an episode."""


def contenders(game: Game) -> dict[str, tuple[Principal, jax.Array]]:
    """Principals, and the numbers among which theirs are chosen."""
    return {
        "never": (random(game.pay_target), jnp.zeros(1)),
        "always": (random(game.pay_target), jnp.ones(1)),
        "first k": (first_k(game.pay_target), jnp.arange(game.horizon + 1)),
        "prescient": (prescient(game.pay_target), leads(Economics().bonus)),
    }


def scores_by_cost(options: Sweep, family: str) -> dict[str, jax.Array]:
    """Mean scores of each principal at each cost, with agents of one family."""
    agent, coefficients = make_agent(family, ARMS), jnp.asarray(grid_of(family))
    game = make_intervention_game(agent, GameConfig(ARMS, options.horizon))

    def tasks(key, cost) -> Task:
        own = (family, agent, coefficients, ARMS, Economics(cost=cost))
        return jax.vmap(lambda k: draw_task(k, *own))(jax.random.split(key, options.agents))

    def score(cost, principal: Principal, candidates: jax.Array) -> jax.Array:
        key_train, key_test, key_tune, key_play = jax.random.split(jax.random.key(0), 4)
        train, test = tasks(key_train, cost), tasks(key_test, cost)
        value = tune(key_tune, game, principal, candidates, train, 1)
        return jnp.mean(evaluate(key_play, game, principal, value, test, 4).score)

    costs = jnp.asarray(options.costs)
    return {
        name: jax.lax.map(jax.jit(lambda cost, own=own: score(cost, *own)), costs)
        for name, own in contenders(game).items()
    }


def sweep(options: Sweep) -> pd.DataFrame:
    """Scores of each principal at each cost, one row each."""
    rows = []
    for family in ("ucb", "epsilon_greedy"):
        for name, scores in scores_by_cost(options, family).items():
            axes = {"family": [family], "principal": [name], "cost": options.costs}
            rows += tidy(axes, score=scores[None, None])
    return pd.DataFrame(rows)


def panel(family: str, part: pd.DataFrame) -> Panel:
    """Score against cost, a line for each principal."""
    groups = zip(SERIES, part.groupby("principal", sort=False), strict=False)
    lines = [Line(str(n), own["cost"], own["score"], color=color) for color, (n, own) in groups]
    return Panel(family_label(family), lines, "cost of an intervention")


def main(options: Sweep) -> None:
    """Runs the sweep that the command line asks for."""
    began = time.monotonic()
    check_at_least("--agents", options.agents, 1)
    check_at_least("--horizon", options.horizon, 1)
    check_at_least("number of --costs", len(options.costs), 1)
    for cost in options.costs:
        check_non_negative("--costs", cost)
    directory = prepare_output(options.out, force=options.force)
    table = sweep(options)
    panels = [panel(str(family), part) for family, part in table.groupby("family", sort=False)]
    figure = line_figure([panels], "score per episode", (4.2, 3.2), ncols=4)
    write_experiment(directory, {"cost_sweep": table}, {"cost_sweep": figure}, began)
    print(table.pivot_table("score", ["family", "cost"], "principal").round(2).to_string())


if __name__ == "__main__":
    sys.exit(start(main, Sweep, __doc__))
