"""What a payment brings: against counting by hand and a plain loop over resampled runs."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.interventions import intervention_records, interventions_figure
from mermaide_jax.results.schema import ROW_COLUMNS

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"family": "ucb", "horizon": 10}


def rows_of(principal, paid, pulls, shots=(0,)):
    """Rows of ``paid[agent][seed]`` and ``pulls[agent][seed]``."""
    return [
        BLANK
        | {
            "principal": principal,
            "agent": agent,
            "seed": seed,
            "k_shot": shot,
            "interventions": float(paid[agent][seed]),
            "success_rate": pulls[agent][seed] / 10,
        }
        for shot in shots
        for agent in range(len(paid))
        for seed in range(len(paid[agent]))
    ]


IDLE = rows_of("never", [[0, 0], [0, 0]], [[1, 1], [3, 1]])


def only(records, principal):
    (record,) = [record for record in records if record["principal"] == principal]
    return record


def test_counts_payments_pulls_and_what_each_brought():
    rows = IDLE + rows_of("mermaide", [[2, 4], [3, 3]], [[5, 6], [8, 9]])
    record = only(intervention_records(rows), "mermaide")
    assert record["interventions"] == pytest.approx(3.0)
    assert record["target_pulls"] == pytest.approx(7.0)
    # 5 + 6 + 8 + 9 pulls, less 1 with the first agent and 2 with the second, for 12 payments
    assert record["pulls_per_payment"] == pytest.approx((28 - 2 * (1 + 2)) / 12)
    assert (record["family"], record["k_shot"]) == ("ucb", 0)


def test_intervals_resample_runs_the_same_for_all_agents():
    rng = np.random.default_rng(0)
    paid, pulls = rng.integers(1, 9, (3, 5)), rng.integers(0, 10, (3, 5))
    idle = rows_of("never", np.zeros((3, 5)), np.full((3, 5), 2))
    record = only(
        intervention_records(idle + rows_of("mermaide", paid, pulls), resamples=4000), "mermaide"
    )
    ratios = []
    for _ in range(4000):
        runs = rng.integers(0, 5, 5)
        ratios.append((pulls[:, runs] - 2).sum() / paid[:, runs].sum())
    ends = record["pulls_per_payment_low"], record["pulls_per_payment_high"]
    np.testing.assert_allclose(ends, np.quantile(ratios, [0.025, 0.975]), atol=0.05)


def test_what_cannot_be_known_is_none():
    rows = intervention_records(IDLE)
    assert only(rows, "never")["pulls_per_payment"] is None
    assert only(rows, "never")["interventions"] == 0.0
    alone = rows_of("mermaide", [[2]], [[5]])
    record = only(intervention_records(alone), "mermaide")
    assert record["pulls_per_payment"] is None  # nobody to compare with
    assert record["interventions"] == 2.0 and record["interventions_low"] is None  # one seed
    alone[0]["interventions"] = None
    assert only(intervention_records(alone), "mermaide")["interventions"] is None


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="rows"):
        intervention_records([])
    with pytest.raises(ConfigError, match="confidence"):
        intervention_records(IDLE, confidence=1.0)


def test_figure_has_a_line_for_each_principal_that_pays_and_each_shot():
    rows = [row | {"k_shot": shot} for shot in (0, 1) for row in IDLE]
    rows += rows_of("mermaide", [[2, 4], [3, 3]], [[5, 6], [8, 9]], shots=(0, 1))
    rows += rows_of("always", [[10, 10], [10, 10]], [[7, 7], [8, 8]], shots=(0, 1))
    figure = interventions_figure(intervention_records(rows), cost=0.75)
    often, worth = figure.axes
    labels = [label.get_text() for label in often.get_yticklabels()]
    assert labels == ["MERMAIDE, 0-shot", "MERMAIDE, 1-shot", "Always pay"]
    points = [line.get_xdata() for line in often.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(np.concatenate(points), [3.0, 3.0, 10.0])
    (dashed,) = [line for line in worth.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(np.asarray(dashed.get_xdata()), 0.75)
