"""How much can be earned from a UCB agent by watching it? A planner with exact beliefs tells.

    mermaide reproduce --preset default --out results/bandits
    python experiments/watching.py results/bandits --out results/watching

Takes a trained principal of the first command and lets it meet the same test agents again, in the
first of the same episodes, alone and with `evaluation.oracles.watching` above it: a planner that
sees actions only, as it does, but follows the agent with the beliefs of a Bayesian observer and
imagines, before each step, how the episode goes on if it pays and if it does not. The observer
knows the rule, the noise and the ranges of rewards and coefficient, as who meets the agent for the
first time; or it is told this agent's rewards and coefficient, all that other episodes could teach.
In both cases the principal below is the same, which knows nothing of that.

What the planner earns can be earned; more may be possible. References are the rows of the study,
of the same seeds. Scores are interquartile means, intervals 95% bootstraps over runs within agents;
gains are over the principal alone, in means over all runs too. Writes ``watching.csv``,
``gains.csv``, ``watching.png`` and ``about.json``.
"""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tyro

from mermaide_jax.base import Principal, Task
from mermaide_jax.errors import (
    check_at_least,
    check_choice,
    check_in_range,
    check_positive,
    refuse,
)
from mermaide_jax.evaluation.protocol import Scores, summarise
from mermaide_jax.games import collect
from mermaide_jax.oracles import UCBPrior, Watcher, watching
from mermaide_jax.report.attained import oracles, scripts
from mermaide_jax.report.variants import variant_figure, variant_gains, variant_table
from mermaide_jax.results.results import prepare_output, read_results
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import LEARNED, StudyConfig
from mermaide_jax.studies.mermaide.learned import build, stream_by_stream, stream_keys
from mermaide_jax.studies.mermaide.records import Record, score_rows
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import Setting, Stream, make_setting

FAMILY = "ucb"
ALONE, WATCHING, TOLD = "alone", "watching", "told"
LABELS = {
    ALONE: "the principal alone",
    WATCHING: "and exact beliefs",
    TOLD: "and told the task",
}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[Path, tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote, with checkpoints; its UCB agents are met."""
    out: Path
    """Directory for the tables and the figure."""
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
    beta: tuple[float, float] = (0.1, 0.75)
    """Range of the coefficients that the observer thinks possible."""
    force: bool = False
    """Accept an output directory that holds files."""


def checked_seeds(experiment: Experiment, config: StudyConfig, trained: Any) -> range:
    """The seeds that are asked for.

    Raises:
      ConfigError: impossible numbers, no reward noise, no principals that met UCB agents alone, or
        not this one.
    """
    check_at_least("--episodes", experiment.episodes, 1)
    check_at_least("--particles", experiment.particles, 1)
    check_at_least("--sweeps", experiment.sweeps, 1)
    check_choice("--principal", experiment.principal, LEARNED)
    check_positive("game.noise", config.game.noise)
    if experiment.seeds is not None:
        check_in_range("--seeds", experiment.seeds, 1, config.seeds)
    if FAMILY not in config.agents.populations:
        refuse(
            "agents", list(config.agents.populations), "principals that were trained on UCB agents"
        )
    if experiment.principal not in trained:
        refuse("--principal", experiment.principal, f"one of {', '.join(trained)}")
    return range(config.seed, config.seed + (experiment.seeds or config.seeds))


def chosen_streams(setting: Setting, params: Any, seeds: range) -> tuple[Setting, Any]:
    """Streams of UCB agents and these seeds, and the params of their principals."""
    places = [
        number
        for number, stream in enumerate(setting.streams)
        if stream.population == FAMILY and stream.seed in seeds
    ]
    pick = functools.partial(jax.tree.map, lambda leaf: leaf[np.asarray(places)])
    keys, train, test, params = pick((setting.keys, setting.train, setting.test, params))
    streams = tuple(setting.streams[place] for place in places)
    return setting._replace(streams=streams, keys=keys, train=train, test=test), params


def beliefs_of(experiment: Experiment, config: StudyConfig, tasks: Task, told: bool) -> UCBPrior:
    """What the observer takes for granted of each of ``N`` agents, leaves ``[N, ...]``."""
    options, shape = config.game, tasks.mean_rewards.shape
    noise = jnp.full(shape[:1], options.noise)
    if told:
        beta = tasks.agent.members[0].beta
        return UCBPrior(noise, tasks.mean_rewards, tasks.mean_rewards, beta, beta)
    bounds = (jnp.full(shape, end) for end in (options.reward_low, options.reward_high))
    return UCBPrior(noise, *bounds, *(jnp.full(shape[:1], end) for end in experiment.beta))


def watchers(
    experiment: Experiment, config: StudyConfig, base: Any, tasks: Task, told: bool
) -> Watcher:
    """Params of the planner for each of ``N`` agents."""
    prior = beliefs_of(experiment, config, tasks, told)
    return Watcher(for_each(base, tasks), prior, tasks.cost, tasks.bonus)


def for_each(base: Any, tasks: Task) -> Any:
    """The shared params of a principal, once for each of ``N`` agents."""
    number = tasks.target.shape[0]
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *leaf.shape)), base)


def play_streams(
    experiment: Experiment,
    setting: Setting,
    principal: Principal,
    params_of: Callable[[Any, Task], Any],
    params: Any,
    variant: str,
) -> Scores:
    """`Scores` ``[S, m]``, one stream after the other and one agent after the other."""

    @jax.jit
    def play(key, params, tasks: Task) -> Scores:
        options = {"params_axis": 0, "batch_size": 1}
        arguments = (key, setting.game, principal, params_of(params, tasks), tasks)
        return summarise(collect(*arguments, experiment.episodes, **options))

    def say(stream: Stream) -> None:
        print(f"seed {stream.seed}, {LABELS[variant]}: played", flush=True)

    return stream_by_stream(setting, play, say, stream_keys(setting, "play"), params, setting.test)


def measure(
    experiment: Experiment, config: StudyConfig, trained: Any, seeds: range
) -> dict[str, list[Record]]:
    """Rows of scores by variant."""
    name, setting = experiment.principal, make_setting(config)
    learned, _ = build(name, config, setting)
    setting, params = chosen_streams(setting, trained[name].state.params, seeds)
    above = watching(config.game.static, learned.principal, experiment.particles, experiment.sweeps)
    find = functools.partial(watchers, experiment, config)
    ways: dict[str, tuple[Principal, Callable[[Any, Task], Any]]] = {
        ALONE: (learned.principal, for_each),
        WATCHING: (above, lambda base, tasks: find(base, tasks, False)),
        TOLD: (above, lambda base, tasks: find(base, tasks, True)),
    }
    found = {}
    for variant, (principal, params_of) in ways.items():
        scores = play_streams(experiment, setting, principal, params_of, params, variant)
        rows = score_rows(name, config, setting, scores, 0)
        found[variant] = [row | {"episodes": experiment.episodes} for row in rows]
    return found


def main(experiment: Experiment) -> None:
    """Plays, compares, prints, writes."""
    began = time.monotonic()
    config, trained = load_study(experiment.results)
    seeds = checked_seeds(experiment, config, trained)
    directory = prepare_output(experiment.out, force=experiment.force)
    references = [
        row
        for row in read_results(experiment.results).rows
        if row["principal"] in (*scripts(), oracles()[0])
        and (row["family"], row["k_shot"]) == (FAMILY, 0)
        and row["seed"] in seeds
    ]
    found = measure(experiment, config, trained, seeds)
    table = variant_table(found, references)
    more = pd.concat(
        variant_gains(found[variant], found[ALONE], experiment.principal).assign(variant=variant)
        for variant in (WATCHING, TOLD)
    )
    write_experiment(
        directory,
        {"watching": table, "gains": more},
        {"watching": variant_figure(table, LABELS)},
        began,
        principal=experiment.principal,
        seeds=list(seeds),
        episodes=experiment.episodes,
        particles=experiment.particles,
        sweeps=experiment.sweeps,
    )
    for frame in (table, more):
        print(frame.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
