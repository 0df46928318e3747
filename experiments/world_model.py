"""F3: where does the world model help, where does meta-learning, and how well is it predicted?

    mermaide reproduce --preset default --out results/bandits
    python experiments/world_model.py results/bandits --out results/world_model

A study in parts, by family, seeds or principals, is given as the directories of its parts; a
principal that two of them trained on the same family with the same seed is that of the last.
Takes the trained principals of the first command to new agents (of a seed that nothing was trained
or tuned on) with each of the five published coefficients, and reports for each of them the gain of
the world model (MERMAIDE over MAML without it), of meta-learning (over the world model without it)
and of both (over REINFORCE), at every K; and how far MERMAIDE's predictions are from the agent's
own law at each step, before and after adaptation, with a calibration curve. Intervals: 95%
bootstrap over training runs, within agents. Writes ``gains.csv``, ``prediction.parquet``,
``gains.png``, ``prediction.png`` and ``about.json``.
"""

import dataclasses
import sys
import time
from typing import Any

from mermaide_jax.errors import check_at_least
from mermaide_jax.report.gains import coefficient_gains, coefficient_gains_figure
from mermaide_jax.report.predictions import prediction_steps, predictions_figure
from mermaide_jax.studies.kit import Directories, Options, prepare_output, start, write_experiment
from mermaide_jax.studies.mermaide.finished import load_runs
from mermaide_jax.studies.mermaide.new_agents import play_new_agents

PRINCIPAL = "mermaide"
OVER = {
    "world model": "maml_without_world_model",
    "meta-learning": "world_model_without_meta",
    "both": "reinforce",
}
"""What MERMAIDE has that a baseline has not."""


@dataclasses.dataclass(frozen=True)
class WorldModel(Options):
    """What is measured."""

    results: Directories
    """Directory that `mermaide reproduce` (or `train`) wrote, with checkpoints, or several."""
    agents: int = 4
    """New agents of each family and coefficient."""
    episodes: int = 32
    """Fresh episodes with each agent."""
    seed: int = 2
    """Seed of the new agents; 0 and 1 were trained, tested and tuned on."""


def main(options: WorldModel) -> None:
    """Plays, measures, prints, writes."""
    began = time.monotonic()
    check_at_least("--agents", options.agents, 1)
    check_at_least("--episodes", options.episodes, 1)
    runs = load_runs(options.results, PRINCIPAL, tuple(OVER.values()))
    directory = prepare_output(options.out, force=options.force)
    sizes = (options.agents, options.episodes, options.seed)
    scores, predictions = play_new_agents(runs, *sizes)
    gains, steps = coefficient_gains(scores, PRINCIPAL, OVER), prediction_steps(predictions)
    print(gains.to_string(index=False, float_format="%.2f"))
    means: Any = steps.groupby(["principal", "family", "k_shot"])[["divergence", "entropy"]].mean()
    print(means.to_string(float_format="%.3f"))
    figures = {
        "gains": coefficient_gains_figure(gains),
        "prediction": predictions_figure(steps, predictions, PRINCIPAL),
    }
    about = {"trained": list(dict.fromkeys(run.config for run in runs))}
    tables = {"gains": gains, "prediction": steps}
    formats = {"gains": "%s", "prediction": "parquet"}  # %s: all digits
    write_experiment(directory, tables, figures, began, formats=formats, **about)


if __name__ == "__main__":
    sys.exit(start(main, WorldModel, __doc__))
