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
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.agents import RULES, standard_population
from mermaide_jax.errors import check_at_least, check_non_negative
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.games import COEFFICIENTS, Economics, GameConfig, draw_task
from mermaide_jax.games import make_intervention_game as make_game
from mermaide_jax.oracles import leads
from mermaide_jax.oracles.prescient import prescient
from mermaide_jax.principals import first_k, random
from mermaide_jax.report.names import family_label
from mermaide_jax.report.style import new_figure
from mermaide_jax.results.results import prepare_output
from mermaide_jax.studies.kit import start, write_experiment


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What is swept."""

    out: Path
    """Directory for the table and the figure."""
    costs: tuple[float, ...] = tuple(float(c) for c in np.round(np.linspace(0.0, 1.0, 11), 2))
    """Costs of an intervention."""
    agents: int = 1000
    """Agents of each family, for tuning and for the test each."""
    horizon: int = 50
    """Steps of an episode."""
    force: bool = False
    """Accept an output directory that holds files."""


def run(sweep: Sweep) -> pd.DataFrame:
    """Scores of each principal at each cost, one row each."""
    game = make_game(standard_population(10), GameConfig(horizon=sweep.horizon))
    contenders = {
        "never": (random(game.pay_target), jnp.zeros(1)),
        "always": (random(game.pay_target), jnp.ones(1)),
        "first k": (first_k(game.pay_target), jnp.arange(sweep.horizon + 1)),
        "prescient": (prescient(game.pay_target), leads(Economics().bonus)),
    }

    def tasks(key, family: str, cost):
        economics = Economics(cost=cost)
        coefficients = jnp.asarray(COEFFICIENTS[family])
        draw = lambda k: draw_task(k, RULES.index(family), coefficients, 10, economics)  # noqa: E731
        return jax.vmap(draw)(jax.random.split(key, sweep.agents))

    def score(cost, principal, candidates, family):
        key_train, key_test, key_tune, key_play = jax.random.split(jax.random.key(0), 4)
        train, test = tasks(key_train, family, cost), tasks(key_test, family, cost)
        value = tune(key_tune, game, principal, candidates, train, 1)
        return jnp.mean(evaluate(key_play, game, principal, value, test, 4).score)

    rows = []
    for family in ("ucb", "epsilon_greedy"):
        for name, (principal, candidates) in contenders.items():
            at_cost = jax.jit(lambda c, p=principal, v=candidates, f=family: score(c, p, v, f))
            scores = jax.lax.map(at_cost, jnp.asarray(sweep.costs))
            rows += [
                {"family": family, "principal": name, "cost": cost, "score": float(value)}
                for cost, value in zip(sweep.costs, scores, strict=True)
            ]
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    """Score against cost, a panel for each family."""
    figure = new_figure(9, 3.6)
    families = table["family"].unique()
    for axes, family in zip(figure.subplots(1, len(families), sharey=True), families, strict=True):
        for name, rows in table[table["family"] == family].groupby("principal", sort=False):
            axes.plot(rows["cost"], rows["score"], marker="o", markersize=3, label=name)
        axes.set(
            title=family_label(family), xlabel="cost of an intervention", ylabel="score per episode"
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def main(sweep: Sweep) -> None:
    """Runs the sweep that the command line asks for."""
    began = time.monotonic()
    check_at_least("--agents", sweep.agents, 1)
    check_at_least("--horizon", sweep.horizon, 1)
    check_at_least("number of --costs", len(sweep.costs), 1)
    for cost in sweep.costs:
        check_non_negative("--costs", cost)
    directory = prepare_output(sweep.out, force=sweep.force)
    table = run(sweep)
    write_experiment(directory, {"cost_sweep": table}, {"cost_sweep": draw(table)}, began)
    print(table.pivot_table("score", ["family", "cost"], "principal").round(2).to_string())


if __name__ == "__main__":
    sys.exit(start(main, Sweep, __doc__))
