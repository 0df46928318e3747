"""Ratios, needs and the finding of the Stackelberg study, by hand."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mermaide_jax.studies.stackelberg import study

TIMES = (0, 1, 3, 10, 100)
# Payoffs of two seeds whose equilibria are 0.5 and 1.5.
PAYOFFS = {
    "meta": [[0.0, 0.475, 0.5, 0.5, 0.5], [0.0, 1.425, 1.5, 1.5, 1.5]],
    "pretrained": [[0.25] * 5, [0.75] * 5],
    "fresh": [[0.0, 0.0, 0.0, 0.475, 0.5], [0.0, 0.0, 0.0, 1.425, 1.5]],
}


def make_table(kind="continuous", setting="noise 0", payoffs=PAYOFFS):
    """What a sweep of one game and noise leaves."""
    return pd.DataFrame(
        {
            "kind": kind,
            "setting": setting,
            "principal": name,
            "seed": seed,
            "interactions": n,
            "payoff": payoff,
            "equilibrium": (0.5, 1.5)[seed],
            "bonus_error": 0.1 * seed,
        }
        for name, seeds in payoffs.items()
        for seed, values in enumerate(seeds)
        for n, payoff in zip(TIMES, values, strict=True)
    )


def test_the_summary_is_the_hand_computed_one():
    summary: Any = study.summarize(make_table())
    curves, needs = summary
    assert len(curves) == 3 * len(TIMES)
    meta = curves[curves["principal"] == "meta"].set_index("interactions")
    np.testing.assert_allclose(meta["value"], [0.0, 0.95, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(meta["payoff_gap"], [1.0, 0.05, 0.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(meta["bonus_error"], 0.05)
    assert (meta["low"] <= meta["value"]).all() and (meta["value"] <= meta["high"]).all()
    found = needs.set_index("principal")
    np.testing.assert_allclose(found.loc[["meta", "fresh"], "value"], [1.0, 10.0])
    assert np.isinf(found.loc["pretrained", "value"])
    assert (found["most"] == 100).all()


@pytest.mark.parametrize(
    ("fresh", "expected", "reached"),
    [(PAYOFFS["fresh"], 0.1, True), (PAYOFFS["pretrained"], 0.01, False)],
)
def test_the_ratio_of_needs_is_a_bound_where_the_fresh_principal_does_not_get_there(
    fresh, expected, reached
):
    found = study.ratio_of_needs(make_table(payoffs=PAYOFFS | {"fresh": fresh}), last=100)
    assert found["value"] == pytest.approx(expected)
    assert found["fresh_reached"] == reached
    assert found["low"] <= found["value"] <= found["high"]


def test_the_finding_is_the_headline_and_holds_every_other_number_below_it():
    noisy = PAYOFFS | {"meta": PAYOFFS["pretrained"]}
    table = pd.concat(
        [make_table("binary"), make_table(setting="noise 1", payoffs=noisy), make_table()]
    )
    curves, needs = study.summarize(table)
    block = study.finding(table, curves, needs, "the command")
    at_10, ratio = block.values()
    assert at_10["value"] == pytest.approx(1.0) and ratio["value"] == pytest.approx(0.1)
    assert at_10["command"] == ratio["command"] == "the command"
    assert len(at_10["each"]) == 9 and len(ratio["each"]) == 3
    worse = next(r for r in ratio["each"] if r["setting"] == "noise 1")
    assert worse["value"] == np.inf  # the meta-learned one does not get there
    assert [need["reached"] for need in ratio["needs"]] == [
        np.isfinite(need["value"]) for need in ratio["needs"]
    ]
    assert (ratio["most_interactions"], ratio["most_interactions_fresh"]) == (100, 100)


@pytest.mark.parametrize(
    ("change", "measured"),
    [
        ({}, True),
        ({"noises": (0.25,)}, False),
        ({"most": 5}, False),
        ({"noises": (0.25,), "reduced": True}, True),
    ],
)
def test_when_the_finding_is_measured(change, measured):
    options = dataclasses.replace(study.Experiment(out=Path("x")), **change)
    assert study.is_measured(options) == measured
    headline = study.games(options)[0]
    assert (0.0 in headline.noises and max(headline.interactions) >= 10) == measured
