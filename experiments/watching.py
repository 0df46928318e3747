"""How much can be earned from a UCB agent by watching it? A planner with exact beliefs tells.

    mermaide reproduce --preset default --out results/bandits
    python experiments/watching.py results/bandits --out results/watching

Takes a trained principal of the first command and lets it meet the same test agents again, in the
first of the same episodes, alone and with `oracles.watching` above it: a planner that sees actions
only, as it does, but follows the agent with the beliefs of a Bayesian observer and imagines, before
each step, how the episode goes on if it pays and if it does not. The observer knows the rule, the
noise and the ranges of rewards and coefficient, as who meets the agent for the first time; or it is
informed of this agent's rewards and coefficient, all that other episodes could teach. In both cases
the principal below is the same, which knows nothing of that.

What the planner earns can be earned; more may be possible. References are the rows of the study,
of the same seeds. Scores are interquartile means, intervals 95% bootstraps over runs within agents;
gains are over the principal alone, in means over all runs too. Writes ``watching.csv``,
``gains.csv``, ``watching.png`` and ``about.json``.
"""

import dataclasses
import sys
import time
from collections.abc import Mapping

import pandas as pd

from mermaide_jax.errors import check_at_least, check_choice, check_in_range
from mermaide_jax.oracles.observers import BETA
from mermaide_jax.report.attained import oracles, scripts
from mermaide_jax.report.names import learned_principals
from mermaide_jax.report.variants import variant_figure, variant_gains, variant_table
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.kit import Directory, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide import StudyConfig
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.watching import (
    ALONE,
    FAMILY,
    LABELS,
    check_watchable,
    watch_agents,
)


@dataclasses.dataclass(frozen=True)
class Watching(Options):
    """What is measured."""

    results: Directory
    """Directory that `mermaide reproduce` wrote, with checkpoints; its UCB agents are met."""
    principal: str = "world_model_without_meta"
    """The learned principal whose play is improved on, at 0-shot."""
    seeds: int | None = None
    """Training runs, the first ones of the study; all of them if not given."""
    episodes: int = 4
    """Episodes with each agent, the first of those of the study."""
    particles: int = 128
    """Agents that the observer thinks possible, and imagined episodes for each intervention."""
    sweeps: int = 2
    """Gibbs sweeps of the observer after each action."""
    beta: tuple[float, float] = BETA
    """Range of the coefficients that the observer thinks possible."""


def checked_seeds(options: Watching, config: StudyConfig, trained: Mapping) -> range:
    """The seeds that are asked for, if everything else is possible."""
    for name in ("episodes", "particles", "sweeps"):
        check_at_least(f"--{name}", getattr(options, name), 1)
    check_choice("--principal", options.principal, learned_principals())
    check_choice("--principal", options.principal, trained)
    check_watchable(config)
    if options.seeds is not None:
        check_in_range("--seeds", options.seeds, 1, config.seeds)
    return range(config.seed, config.seed + (options.seeds or config.seeds))


def main(options: Watching) -> None:
    """Plays, compares, prints, writes."""
    began, (config, trained) = time.monotonic(), load_study(options.results)
    seeds, name = checked_seeds(options, config, trained), options.principal
    directory = prepare_output(options.out, force=options.force)
    references = [
        row
        for row in read_results(options.results).rows
        if row["principal"] in (*scripts(), oracles()[0])
        and (row["family"], row["k_shot"]) == (FAMILY, 0)
        and row["seed"] in seeds
    ]
    sizes = {part: getattr(options, part) for part in ("episodes", "particles", "sweeps")}
    found = watch_agents(name, config, trained[name], seeds, beta=options.beta, **sizes)
    table = variant_table(found, references)
    gains = pd.concat(
        variant_gains(rows, found[ALONE], name).assign(variant=way)
        for way, rows in found.items()
        if way != ALONE
    )
    tables, figures = (
        {"watching": table, "gains": gains},
        {"watching": variant_figure(table, LABELS)},
    )
    about = {"principal": name, "seeds": list(seeds), **sizes}
    write_experiment(directory, tables, figures, began, **about)
    for frame in tables.values():
        print(frame.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Watching, __doc__))
