"""Could anyone foretell more from a UCB agent's actions than the world model does?

    mermaide reproduce --preset default --out results/bandits
    python experiments/beliefs.py results/bandits --out results/beliefs

Takes the episodes that the first command recorded of UCB agents (one with each test agent, the last
K, of each principal that has a world model) and follows each with two Bayesian observers, who know
the rule and the noise but see the actions alone (`evaluation.oracles.ucb_beliefs`). One knows the
range of rewards and coefficients, as who meets the agent for the first time; the other is told the
agent's own, which is all that other episodes could teach. Compares, step by step, the
log-likelihood with which each says whether the next action is the target. Intervals: 95% bootstrap
over episodes. Writes ``beliefs.csv``, ``beliefs.png`` and ``about.json``.
"""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure

from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.oracles import UCBPrior, ucb_beliefs
from mermaide_jax.report.names import principal_label
from mermaide_jax.report.style import BLUE, GREEN, ORANGE, new_figure, quiet_grid, styled
from mermaide_jax.results.results import Results, prepare_output, read_results
from mermaide_jax.statistics import bootstrap_interval, mean
from mermaide_jax.studies.kit import start, write_experiment

OBSERVER, TOLD, MODEL = "observer", "observer, told the agent", "world model"
COLORS = {TOLD: GREEN, OBSERVER: ORANGE, MODEL: BLUE}
_LEAST = 1e-6
_BLOCK = 10
"""Steps that make one point of the figure."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is measured."""

    results: Annotated[Path, tyro.conf.Positional]
    """Directory that `mermaide reproduce` wrote, with recorded episodes of UCB agents."""
    out: Path
    """Directory for the table and the figure."""
    particles: int = 512
    """Particles of the observer."""
    sweeps: int = 4
    """Gibbs sweeps after each action."""
    beta: tuple[float, float] = (0.1, 0.75)
    """Range of the coefficients that the observer thinks possible."""
    force: bool = False
    """Accept an output directory that holds files."""


def recorded(results: Results) -> list[dict[str, Any]]:
    """The episodes of UCB agents with predictions, of the greatest K.

    Raises:
      ConfigError: there are none, or interventions are not binary.
    """
    kind = results.config["game"]["kind"]
    if kind != "binary":
        refuse("results", f"interventions of kind {kind}", "binary ones")
    found = [
        episode
        for episode in results.episodes
        if episode["family"] == "ucb" and episode["predicted_target_probability"] is not None
    ]
    if not found:
        refuse("results", "no recorded episode of a UCB agent with predictions", "at least one")
    most = max(episode["k_shot"] for episode in found)
    return [episode for episode in found if episode["k_shot"] == most]


def likelihoods(experiment: Experiment, results: Results) -> pd.DataFrame:
    """Log-likelihood of "the next action is the target" or not, by episode, step and predictor."""
    game, frames = results.config["game"], []
    # Arm by arm, as for who is told, so that one program serves both.
    bounds = (
        jnp.full(game["num_arms"], game[f"reward_{end}"], jnp.float32) for end in ("low", "high")
    )
    stranger = UCBPrior(game["noise"], *bounds, *experiment.beta)

    @jax.jit
    def observe(key, action, bonus, prior):
        sizes = (game["num_arms"], prior, experiment.particles, experiment.sweeps)
        return ucb_beliefs(key, action, bonus, *sizes)

    for number, episode in enumerate(recorded(results)):
        action, target = np.asarray(episode["action"], np.int32), episode["target"]
        hit = action == target
        bonus = game["bonus"] * (np.asarray(episode["intervention"]) > 0) * hit
        rewards = jnp.asarray(episode["mean_rewards"], jnp.float32)
        told = UCBPrior(game["noise"], rewards, rewards, *[episode["coefficient"]] * 2)
        predictions = {MODEL: np.asarray(episode["predicted_target_probability"])}
        for who, prior in ((OBSERVER, stranger), (TOLD, told)):
            law = observe(jax.random.key(number), action, jnp.asarray(bonus, jnp.float32), prior)
            predictions[who] = np.asarray(law)[:, target]
        for who, predicted in predictions.items():
            said = np.clip(np.where(hit, predicted, 1.0 - predicted), _LEAST, 1.0)
            about = {key: episode[key] for key in ("principal", "k_shot", "agent")}
            columns = {"episode": number, "step": np.arange(len(action)), "predictor": who}
            frames.append(pd.DataFrame(about | columns | {"log_likelihood": np.log(said)}))
        print(f"episode {number + 1}: observed", flush=True)
    return pd.concat(frames, ignore_index=True)


def in_short(table: pd.DataFrame) -> pd.DataFrame:
    """For each principal and observer the nats a step, and what the world model lacks beside it."""
    lines = []
    for principal, part in table.groupby("principal", sort=False):
        means = part.pivot_table(index="episode", columns="predictor", values="log_likelihood")
        for who in (OBSERVER, TOLD):
            lacks = (means[who] - means[MODEL]).to_numpy()
            lack = bootstrap_interval(lambda x: mean(x, axis=1), lacks, resample="runs")
            line = {"principal": principal, "observer": who, "episodes": len(lacks)}
            line |= {"of observer": means[who].mean(), "of world model": means[MODEL].mean()}
            lines.append(line | {"lacks": lack.value, "low": lack.low, "high": lack.high})
    return pd.DataFrame(lines)


def draw(table: pd.DataFrame) -> Figure:
    """Log-likelihood by step of each predictor, a panel for each principal."""
    principals = list(dict.fromkeys(table["principal"]))
    with styled():
        figure = new_figure(4.6 * len(principals), 3.2)
        panels = figure.subplots(1, len(principals), squeeze=False, sharey=True)[0]
        for axes, principal in zip(panels, principals, strict=True):
            own = table[table["principal"] == principal]
            for who, color in COLORS.items():
                part = own[own["predictor"] == who]
                means = part.groupby(part["step"] // _BLOCK)["log_likelihood"].mean()
                axes.plot((means.index + 0.5) * _BLOCK, means, "o-", color=color, ms=4, label=who)
            axes.set(title=principal_label(principal), xlabel="step")
            quiet_grid(axes, "y")
        panels[0].set_ylabel("nats a step: is it the target?")
        panels[0].legend()
    return figure


def main(experiment: Experiment) -> None:
    """Observes, compares, prints, writes."""
    began = time.monotonic()
    check_at_least("--particles", experiment.particles, 1)
    check_at_least("--sweeps", experiment.sweeps, 1)
    results = read_results(experiment.results)
    recorded(results)
    directory = prepare_output(experiment.out, force=experiment.force)
    table = likelihoods(experiment, results)
    short = in_short(table)
    write_experiment(
        directory,
        {"beliefs": table},
        {"beliefs": draw(table)},
        began,
        particles=experiment.particles,
        sweeps=experiment.sweeps,
        summary=short.to_dict("records"),
    )
    print(short.to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
