"""Predictions: means by step, calibration, and what a model misses beside an observer."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mermaide_jax.evaluation.prediction import PredictionQuality
from mermaide_jax.report.predictions import (
    calibration,
    likelihood_gaps,
    likelihoods_figure,
    prediction_steps,
    predictions_figure,
)


def record(seed, shots):
    """Quality of predictions of two agents, one episode of three steps each."""
    entropy: Any = np.array([[[1.0, 2.0, 3.0]], [[3.0, 4.0, 5.0]]]) + seed
    predicted: Any = np.array([[[0.05, 0.15, 1.0]], [[0.05, 0.15, 0.95]]])
    quality = PredictionQuality(entropy, 2 * entropy, predicted, predicted / 2)
    about = {"principal": "mermaide", "family": "ucb", "seed": seed, "k_shot": shots}
    return about | {"quality": quality}


def test_steps_are_means_over_agents_and_episodes():
    table = prediction_steps([record(0, 0), record(1, 0)])
    assert list(table["step"]) == [0, 1, 2] * 2
    np.testing.assert_allclose(table["entropy"], [2, 3, 4, 3, 4, 5])
    np.testing.assert_allclose(table["divergence"], 2 * table["entropy"])


def test_calibration_averages_in_bins_of_the_prediction():
    curve = calibration(record(0, 0))
    assert list(curve.index) == [0, 1, 9]  # a probability of 1 is in the last
    np.testing.assert_allclose(curve["predicted"], [0.05, 0.15, 0.975])
    np.testing.assert_allclose(curve["true"], curve["predicted"] / 2)


def test_the_figure_has_divergence_and_calibration():
    records = [record(seed, shots) for seed in (0, 1) for shots in (0, 1)]
    left, right = predictions_figure(prediction_steps(records), records, "mermaide").axes
    assert left.get_title(loc="left") == "UCB: KL(agent, prediction)"
    assert len(left.lines) == 2 + 1 and len(right.lines) == 4 + 1


def likelihoods():
    """Two episodes of 20 steps; the observer is ahead by 0.1 in one, by 0.3 in the other."""
    frames = []
    for episode, gap in enumerate((0.1, 0.3)):
        for who, level in (("observer", -1.0), ("model", -1.0 - gap)):
            columns = {"step": range(20), "predictor": who, "log_likelihood": level}
            frames.append(pd.DataFrame(columns | {"principal": "mermaide", "episode": episode}))
    return pd.concat(frames)


def test_a_gap_is_the_mean_over_episodes():
    (line,) = likelihood_gaps(likelihoods(), "model").to_dict("records")
    assert (line["observer"], line["episodes"]) == ("observer", 2)
    assert line["of observer"] == pytest.approx(-1.0) and line["of model"] == pytest.approx(-1.2)
    assert line["gap"] == pytest.approx(0.2)
    assert (line["low"], line["high"]) == pytest.approx((0.1, 0.3))
    figure = likelihoods_figure(likelihoods(), {"observer": "C0", "model": "C1"}, "nats")
    (axes,) = figure.axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_xdata()), [5.0, 15.0])
    assert axes.get_title(loc="left") == "MERMAIDE" and axes.get_ylabel() == "nats"
