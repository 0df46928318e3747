"""How well an agent is predicted: against its own law, and against a Bayesian observer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mermaide_jax.report.lines import Line, Panel, draw_line, line_figure
from mermaide_jax.report.names import family_label, principal_label
from mermaide_jax.report.style import SERIES, new_figure, quiet_grid, styled
from mermaide_jax.results.records import Record
from mermaide_jax.statistics import bootstrap_interval, mean

__all__ = [
    "calibration",
    "likelihood_gaps",
    "likelihoods_figure",
    "prediction_steps",
    "predictions_figure",
]

BINS = 10
"""Of predicted probabilities, in a calibration curve."""
_BLOCK = 10
"""Steps that make one point of a curve of log-likelihoods."""


def prediction_steps(predictions: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Averages divergence and entropy at each step, a line for each training run, K and step.

    Args:
      predictions: records with principal, family, seed, k_shot, and ``quality``, an
        `evaluation.prediction.PredictionQuality` of leaves ``[N, E, T]``.

    Example:
      >>> from mermaide_jax.evaluation.prediction import PredictionQuality
      >>> quality = PredictionQuality(*np.arange(24.0).reshape(4, 2, 1, 3))
      >>> about = {"principal": "mermaide", "family": "ucb", "seed": 0, "k_shot": 0}
      >>> prediction_steps([about | {"quality": quality}])["divergence"].tolist()  # of two agents
      [7.5, 8.5, 9.5]
    """
    rows = []
    for record in predictions:
        about = {key: record[key] for key in ("principal", "family", "seed", "k_shot")}
        divergence, entropy = (
            getattr(record["quality"], name).mean((0, 1)) for name in ("divergence", "entropy")
        )
        rows += [
            about | {"step": step, "divergence": float(gap), "entropy": float(own)}
            for step, (gap, own) in enumerate(zip(divergence, entropy, strict=True))
        ]
    return pd.DataFrame(rows)


def calibration(record: Mapping[str, Any]) -> pd.DataFrame:
    """Averages true and predicted probability of the target, in bins of the prediction.

    Args:
      record: as of `prediction_steps`.

    Example:
      >>> from mermaide_jax.evaluation.prediction import PredictionQuality
      >>> predicted = np.array([[[0.25, 0.25, 0.75]]])
      >>> quality = PredictionQuality(*np.zeros((2, 1, 1, 3)), predicted, predicted / 2)
      >>> calibration({"quality": quality})["true"].to_dict()
      {2: 0.125, 7: 0.375}
    """
    quality = record["quality"]
    predicted, true = quality.target_predicted.ravel(), quality.target_true.ravel()
    number = np.minimum((predicted * BINS).astype(int), BINS - 1)
    frame = pd.DataFrame({"bin": number, "predicted": predicted, "true": true})
    means: Any = frame.groupby("bin").mean()
    return means


def predictions_figure(
    steps: pd.DataFrame, predictions: Sequence[Mapping[str, Any]], principal: str
) -> Figure:
    """Draws divergence by step and calibration of one principal, a row for each family.

    Args:
      steps: of `prediction_steps`.
      predictions: what it was made of.
      principal: whose predictions.

    Example:
      >>> from mermaide_jax.evaluation.prediction import PredictionQuality
      >>> about = {"principal": "mermaide", "family": "ucb", "seed": 0, "k_shot": 0}
      >>> records = [about | {"quality": PredictionQuality(*np.full((4, 2, 1, 3), 0.5))}]
      >>> len(predictions_figure(prediction_steps(records), records, "mermaide").axes)
      2
    """
    own = steps.loc[steps["principal"] == principal]
    families = list(dict.fromkeys(steps["family"]))
    with styled():
        figure = new_figure(7.5, 2.8 * len(families))
        panels = figure.subplots(len(families), 2, squeeze=False)
        for (left, right), family in zip(panels, families, strict=True):
            of_family = own.loc[own["family"] == family]
            for color, (shots, part) in zip(SERIES, of_family.groupby("k_shot"), strict=False):
                wide = part.pivot_table(index="step", columns="seed", values="divergence")
                ends = wide.mean(axis=1), wide.min(axis=1), wide.max(axis=1)
                draw_line(left, Line(f"{shots}-shot", wide.index, *ends, color, "-"))
                for record in predictions:
                    about = (record["principal"], record["family"], record["k_shot"])
                    if about == (principal, family, shots):
                        curve = calibration(record)
                        draw_line(right, Line("", curve["predicted"], curve["true"], color=color))
            entropy: Any = of_family.groupby("step")["entropy"].mean()
            left.plot(entropy.index, entropy, color="0.6", lw=1, label="entropy of the agent")
            label = family_label(family)
            left.set(xlabel="step", ylabel="nats", title=f"{label}: KL(agent, prediction)")
            left.legend(fontsize=8)
            right.plot([0, 1], [0, 1], color="0.6", lw=1)
            right.set(xlabel="predicted P(target)", ylabel="true P(target)", title="calibration")
            for axes in (left, right):
                quiet_grid(axes, "y")
    return figure


def likelihood_gaps(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """Computes how far a model is behind each observer, in nats a step, by principal.

    Args:
      table: principal, episode, predictor and log_likelihood, a line for each step.
      model: the predictor that is compared; the others are the observers.

    Returns:
      A line for each principal and observer, with a bootstrap interval over episodes.

    Example:
      >>> wide = pd.DataFrame({"episode": [0, 1], "observer": [-1.0, -1.0], "model": [-1.5, -1.25]})
      >>> names = {"var_name": "predictor", "value_name": "log_likelihood"}
      >>> table = wide.assign(principal="mermaide").melt(["principal", "episode"], **names)
      >>> likelihood_gaps(table, "model")[["observer", "gap"]].to_dict("records")
      [{'observer': 'observer', 'gap': 0.375}]
    """
    lines = []
    observers = [name for name in dict.fromkeys(table["predictor"]) if name != model]
    for principal, part in table.groupby("principal", sort=False):
        means = part.pivot_table(index="episode", columns="predictor", values="log_likelihood")
        for who in observers:
            gaps = (means[who] - means[model]).to_numpy()
            gap = bootstrap_interval(lambda x: mean(x, axis=1), gaps, resample="runs")
            line: Record = {"principal": principal, "observer": who, "episodes": len(gaps)}
            line |= {"of observer": means[who].mean(), f"of {model}": means[model].mean()}
            lines.append(line | {"gap": gap.value, "low": gap.low, "high": gap.high})
    return pd.DataFrame(lines)


def likelihoods_figure(table: pd.DataFrame, colors: Mapping[str, str], ylabel: str) -> Figure:
    """Draws the log-likelihood by step of each predictor, a panel for each principal.

    Args:
      table: as of `likelihood_gaps`.
      colors: predictor to colour, in the order of the legend.
      ylabel: what was predicted.

    Example:
      >>> line = {"principal": "mermaide", "predictor": "model"}
      >>> table = pd.DataFrame([line | {"step": t, "log_likelihood": -1.0} for t in range(20)])
      >>> figure = likelihoods_figure(table, {"model": "C0"}, "nats")
      >>> figure.axes[0].lines[0].get_xdata().tolist()  # means over ten steps each
      [5.0, 15.0]
    """
    panels = []
    for principal, own in table.groupby("principal", sort=False):
        lines = []
        for who, color in colors.items():
            part = own.loc[own["predictor"] == who]
            means: Any = part.groupby(part["step"] // _BLOCK)["log_likelihood"].mean()
            lines.append(Line(who, (means.index + 0.5) * _BLOCK, means, color=color))
        panels.append(Panel(principal_label(str(principal)), lines, "step"))
    return line_figure([panels], ylabel, (4.6, 2.9))
