"""What would it be worth to be told the agent, in the full game and with these networks?

    mermaide reproduce --preset default --out results/bandits
    python experiments/told.py results/bandits --out results/told

Takes the config of a finished study and trains its world model without meta-learning anew, told
more than actions at every step, in observation and in nothing else:

- ``task``: base rewards and coefficient, and what they say of the agent's indices if rewards had no
  noise. That is all that any number of episodes with an agent can teach of the next one, so what
  it is worth bounds the worth of adapting;
- ``state``: the agent's own estimates, and so its indices. Nothing is hidden but the draws to
  come, so what is still lacking to the all-knowing planner, training lacks.

The index is what the agent maximises: estimates plus width for UCB, estimates for epsilon-greedy.
The networks (architecture arms) get its distance from the best other one, plain and squashed so
that near ties stand out. "Nothing told" and the references are the rows of the finished study, of
the same seeds. Scores are interquartile means, intervals 95% bootstraps over runs within agents.
Writes ``told.csv``, ``told.png`` and ``about.json``.
"""

import dataclasses
import functools
import sys
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import tyro

from mermaide_jax.agents.sample_means import (
    SampleMeans,
    init_sample_means,
    untried_first,
    update_sample_means,
)
from mermaide_jax.agents.ucb import ucb_index
from mermaide_jax.base import Game, Task
from mermaide_jax.errors import check_choice, check_in_range, refuse
from mermaide_jax.games import GameState
from mermaide_jax.report.attained import oracles, scripts
from mermaide_jax.report.variants import variant_figure, variant_table
from mermaide_jax.results.configs import config_from_dict
from mermaide_jax.results.results import Results, prepare_output, read_results
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import evaluate_principal, train_principal
from mermaide_jax.studies.mermaide.records import Record, score_rows
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import Progress

PRINCIPAL = "world_model_without_meta"
NOTHING, TASK, STATE = "nothing", "task", "state"
TOLD = {NOTHING: "actions alone", TASK: "and told the task", STATE: "and told the state"}
FAMILIES = ("ucb", "epsilon_greedy")
_UNTRIED = 10.0
"""In place of the infinite index of an arm that was never pulled."""
_SCALES = (0.05, 0.2)
"""Distances of indices that are told apart best."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[Path, tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote, with the world model without meta-learning, a
    script and the all-knowing planner."""
    out: Path
    """Directory for the table and the figure."""
    seeds: int = 3
    """Training runs for each family, the first ones of the study."""
    families: tuple[str, ...] = ()
    """Families of agents, one after the other; those of the study if none is named."""
    force: bool = False
    """Accept an output directory that holds files."""


class Followed(NamedTuple):
    """State of a game, and what the agent would think if rewards had no noise."""

    game: GameState
    expected: SampleMeans


@functools.cache
def informed(game: Game, told: str) -> Game:
    """The same game, whose observation goes on with what is told of each arm (`what_is_told`).

    Args:
      game: an intervention game of the standard population, with binary interventions.
      told: `TASK` or `STATE`.
    """

    def observe(observation: jax.Array, state: Followed, task: Task) -> jax.Array:
        particle = state.game.agent[0] if told == STATE else state.expected
        return jnp.concatenate([observation, what_is_told(particle, task)])

    def reset(key, task: Task):
        observation, state = game.reset(key, task)
        state = Followed(state, init_sample_means(game.num_arms))
        return observe(observation, state, task), state

    def step(key, state: Followed, intervention, task: Task):
        observation, following, *rest, info = game.step(key, state.game, intervention, task)
        paid = task.bonus * (info.hit & (intervention > 0))
        reward = task.mean_rewards[info.action] + paid
        expected = update_sample_means(state.expected, info.action, reward)
        state = Followed(following, expected)
        return observe(observation, state, task), state, *rest, info

    def preview(key, state: Followed, task: Task):
        return game.preview(key, state.game, task)

    size = game.observation_size + (3 + len(_SCALES)) * game.num_arms
    return game._replace(reset=reset, step=step, preview=preview, observation_size=size)


def what_is_told(particle: SampleMeans, task: Task) -> jax.Array:
    """Distance of each arm's index from the best other one, squashed too; estimate; coefficient.

    Args:
      particle: pulls and estimates, the agent's own or others.
      task: the agent.

    Returns:
      ``[(3 + S) A]`` float32, arm by arm within each of them; ``S`` is the number of `_SCALES`.
    """
    ucb, greedy = task.agent.members[: len(FAMILIES)]
    indices = jnp.stack([ucb_index(ucb.beta, particle), untried_first(particle, particle.means)])
    index = jnp.minimum(indices[task.agent.family], _UNTRIED)
    first, second = jax.lax.top_k(index, 2)[0]
    is_first = jnp.arange(index.shape[0]) == jnp.argmax(index)
    gap = index - jnp.where(is_first, second, first)
    coefficient = jnp.stack([ucb.beta, greedy.epsilon])[task.agent.family]
    squashed = [jnp.tanh(gap / scale) for scale in _SCALES]
    constant = jnp.full_like(gap, coefficient)
    return jnp.concatenate([jnp.clip(gap, -1.0, 1.0), *squashed, particle.means, constant])


def checked_configs(results: Results, experiment: Experiment) -> list[StudyConfig]:
    """For each family the config of the study, of its first seeds and at 0-shot.

    Raises:
      ConfigError: a study that cannot be told more: other families, interventions or networks,
        fewer seeds, or principals missing.
    """
    config = config_from_dict(StudyConfig, results.config)
    check_in_range("--seeds", experiment.seeds, 1, len({row["seed"] for row in results.rows}))
    for family in experiment.families:
        check_choice("--families", family, config.agents.families)
    families = experiment.families or config.agents.families
    for family in families:
        check_choice("agents.families", family, FAMILIES)
    if config.game.kind != "binary":
        refuse("game.kind", config.game.kind, "'binary'")
    if not config.game.initial_pull:
        refuse("game.initial_pull", False, "True")
    if config.network.architecture != "arms":
        refuse("network.architecture", config.network.architecture, "'arms'")
    played = {row["principal"] for row in results.rows if row["k_shot"] == 0}
    if not {PRINCIPAL, oracles()[0]} <= played or played.isdisjoint(scripts()):
        refuse("principals", sorted(played), f"{PRINCIPAL}, {oracles()[0]} and a script, at 0-shot")
    evaluation = dataclasses.replace(config.evaluation, shots=(0,))
    config = dataclasses.replace(config, evaluation=evaluation, seeds=experiment.seeds)
    agents = [
        dataclasses.replace(config.agents, families=(family,), mixed=False) for family in families
    ]
    return [dataclasses.replace(config, agents=one) for one in agents]


def measure(config: StudyConfig, told: str) -> list[Record]:
    """Rows of the principal, trained and tested told so."""
    setting = make_setting(config)
    setting = setting._replace(game=informed(setting.game, told))

    def say(progress: Progress) -> None:
        where = f"{progress.update} of {config.training.updates}"
        print(f"{config.agents.families[0]}, told the {told}: {where}", flush=True)

    trained = train_principal(PRINCIPAL, config, setting, None, on_progress=say)
    test = evaluate_principal(PRINCIPAL, config, setting, trained)[0]
    return score_rows(PRINCIPAL, config, setting, test.scores, 0)


def main(experiment: Experiment) -> None:
    """Trains, tests, compares, prints, writes."""
    began = time.monotonic()
    results = read_results(experiment.results)
    configs = checked_configs(results, experiment)
    directory = prepare_output(experiment.out, force=experiment.force)
    seeds = sorted({row["seed"] for row in results.rows})[: experiment.seeds]
    families = [config.agents.families[0] for config in configs]
    known = [
        row
        for row in results.rows
        if row["k_shot"] == 0 and row["seed"] in seeds and row["family"] in families
    ]
    found = {NOTHING: [row for row in known if row["principal"] == PRINCIPAL]}
    references = [row for row in known if row["principal"] in (*scripts(), oracles()[0])]
    for told in (TASK, STATE):
        found[told] = [row for config in configs for row in measure(config, told)]
    table = variant_table(found, references, "told")
    tables, figures = {"told": table}, {"told": variant_figure(table, TOLD, "told")}
    write_experiment(directory, tables, figures, began, seeds=seeds, study=results.command)
    print(table.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
