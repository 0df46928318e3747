"""Protocols side by side, by hand."""

import numpy as np
import pytest

from mermaide_jax.report.protocols import compare_protocols, protocols_figure, short_table
from mermaide_jax.results.results import Results
from mermaide_jax.results.schema import ROW_COLUMNS

BLANK = {name: kind() for name, kind in ROW_COLUMNS.items()}
LEVELS = {"mermaide": 5.0, "reinforce": 1.0, "never": 0.0, "all_knowing": 10.0, "prescient": 9.0}


def study(more=0.0):
    """Two seeds, two agents and three K; MERMAIDE scores ``more`` than elsewhere."""
    rows = [
        BLANK
        | {"principal": name, "family": "ucb", "k_shot": shots, "agent": agent, "seed": seed}
        | {"score": level + more * (name == "mermaide"), "interventions": 2.0}
        for name, level in LEVELS.items()
        for shots in (0, 1, 5)
        for agent in range(2)
        for seed in range(2)
    ]
    return Results({}, {}, "", 0.0, "", rows, [], [], "")


@pytest.fixture(scope="module")
def tables():
    return compare_protocols({"base": study(), "other": study(2.0)})


def test_every_protocol_has_its_scores_and_improvements(tables):
    scores, improvements = tables
    assert list(dict.fromkeys(scores["protocol"])) == ["base", "other"]
    assert set(scores["principal"]) == {"mermaide", "reinforce", "never"}  # no references
    assert set(scores["k_shot"]) == {0, 1} and (scores["seeds"] == 2).all()
    own = scores[(scores["principal"] == "mermaide") & (scores["k_shot"] == 0)]
    np.testing.assert_allclose(own["score"], [5.0, 7.0])
    np.testing.assert_allclose(own["attained"].astype(float), [0.5, 0.7])
    assert set(improvements["baseline"]) == {"reinforce"} and (improvements["value"] == 1).all()
    assert len(improvements) == 2 * 2


def test_in_short_the_scores_stand_side_by_side(tables):
    short = short_table(tables[0])
    assert list(short["protocol"]) == ["base", "base", "other", "other"]
    np.testing.assert_allclose(short["MERMAIDE"], [5, 5, 7, 7])
    np.testing.assert_allclose(short["best script"], 0.0)
    np.testing.assert_allclose(short["share"].astype(float), [0.5, 0.5, 0.7, 0.7])
    np.testing.assert_allclose(short["paid"], 2.0)


def test_the_figure_has_shares_and_improvements(tables):
    share, zero, one = protocols_figure(*tables).axes
    assert share.get_title(loc="left") == "UCB"
    assert [text.get_text() for text in share.get_yticklabels()] == ["base", "other"]
    assert share.get_xlabel() == "MERMAIDE's share of the attainable"
    assert zero.get_xlabel() == "P(MERMAIDE improves), 0-shot"
    points = next(line for line in one.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(points.get_xdata()), [1.0, 1.0])
