"""Could anyone predict more from a UCB agent's actions than the world model does?

    mermaide reproduce --preset default --out results/bandits
    python experiments/beliefs.py results/bandits --out results/beliefs

Takes the episodes that the first command recorded of UCB agents (one with each test agent, the last
K, of each principal that has a world model) and follows each with two Bayesian observers, who know
the rule and the noise but see the actions alone (`oracles.ucb_beliefs`). One knows the range of
rewards and coefficients, as who meets the agent for the first time; the other is informed of the
agent's own, which is all that other episodes could teach. Compares, step by step, the
log-likelihood with which each says whether the next action is the target. Intervals: 95% bootstrap
over episodes. Writes ``beliefs.parquet``, ``beliefs.png`` and ``about.json``.
"""

import dataclasses
import sys
import time

from mermaide_jax.errors import check_at_least
from mermaide_jax.oracles.observers import BETA
from mermaide_jax.report.predictions import likelihood_gaps, likelihoods_figure
from mermaide_jax.report.style import BLUE, GREEN, ORANGE
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.kit import Directory, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide.beliefs import (
    INFORMED,
    MODEL,
    STRANGER,
    observe_episodes,
    recorded_episodes,
)

COLORS = {INFORMED: GREEN, STRANGER: ORANGE, MODEL: BLUE}


@dataclasses.dataclass(frozen=True)
class Beliefs(Options):
    """What is measured."""

    results: Directory
    """Directory that `mermaide reproduce` wrote, with recorded episodes of UCB agents."""
    particles: int = 512
    """Particles of the observer."""
    sweeps: int = 4
    """Gibbs sweeps after each action."""
    beta: tuple[float, float] = BETA
    """Range of the coefficients that the observer thinks possible."""


def main(options: Beliefs) -> None:
    """Observes, compares, prints, writes."""
    began = time.monotonic()
    check_at_least("--particles", options.particles, 1)
    check_at_least("--sweeps", options.sweeps, 1)
    results = read_results(options.results)
    recorded_episodes(results)
    directory = prepare_output(options.out, force=options.force)
    sizes = {"particles": options.particles, "sweeps": options.sweeps}
    table = observe_episodes(results, beta=options.beta, **sizes)
    short = likelihood_gaps(table, MODEL)
    figure = likelihoods_figure(table, COLORS, "nats a step: is it the target?")
    about = {**sizes, "summary": short.to_dict("records")}
    write_experiment(
        directory,
        {"beliefs": table},
        {"beliefs": figure},
        began,
        formats={"beliefs": "parquet"},
        **about,
    )
    print(short.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Beliefs, __doc__))
