"""Profiles of payments by hand."""

import numpy as np
import pandas as pd

from mermaide_jax.report.timing import (
    payment_profiles,
    profiles_by_tenths,
    profiles_figure,
    runs_spread,
)


def test_who_waits_for_the_first_hit_is_followed_until_then():
    # One agent, two episodes of three steps: hit in the second step, and never.
    hit = np.array([[[0, 1, 0], [0, 0, 0]]], bool)
    paid = np.array([[[1, 0, 1], [0, 1, 0]]], bool)
    frame = pd.DataFrame(payment_profiles(paid, hit))
    assert list(frame["step"]) == [0, 1, 2]
    np.testing.assert_allclose(frame["paid"], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(frame["hit"], [0, 0.5, 0])
    np.testing.assert_allclose(frame["paid_unless_hit"], [0.5, 0.5, 0.0])
    nobody = payment_profiles(paid[:, :1], np.ones_like(hit[:, :1]))
    assert np.isnan(nobody[1]["paid_unless_hit"]) and nobody[0]["paid_unless_hit"] == 1.0


def runs():
    """Two training runs of one principal, and one of the oracle, of 20 steps."""
    frames = []
    for name, seed, level in (("mermaide", 0, 0.2), ("mermaide", 1, 0.6), ("all_knowing", 0, 0.1)):
        about = {"agents": "ucb", "principal": name, "k_shot": 0, "seed": seed}
        columns = {"paid": level, "hit": level, "paid_unless_hit": level}
        frames.append(pd.DataFrame({"step": range(20)}).assign(**columns, **about))
    return pd.concat(frames)


def test_means_over_runs_with_the_least_and_greatest():
    table = runs_spread(runs())
    assert len(table) == 2 * 20
    own = table[table["principal"] == "mermaide"]
    np.testing.assert_allclose(own["paid"], 0.4)
    np.testing.assert_allclose(own["paid_least"], 0.2)
    np.testing.assert_allclose(own["paid_greatest"], 0.6)
    tenths = profiles_by_tenths(table.assign(paid=table["step"]))
    steps = tenths.xs("paid", level="steps").loc[("ucb", "mermaide", 0)]
    np.testing.assert_allclose(steps, np.arange(10) * 2 + 0.5)


def test_the_figure_names_the_learned_by_k_and_the_oracle_alone():
    figure = profiles_figure(runs_spread(runs()))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        *("UCB: paid for", "UCB: on the target", "UCB: paid for, no hit yet")
    ]
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert labels == ["MERMAIDE, 0-shot", "All-knowing"]
