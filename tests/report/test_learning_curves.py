"""Curves over interactions and numbers of interactions needed: figures show what they are given."""

import numpy as np
import pandas as pd
import pytest

from mermaide_jax.report.learning_curves import (
    Curves,
    curves_figure,
    format_curves,
    need_of,
    need_ratio,
    needs_figure,
    ratio_curves,
    summarize_curves,
)
from mermaide_jax.report.style import save_png

LABELS = {"meta": "meta-learned", "pretrained": "pre-trained", "fresh": "fresh"}
SETTINGS = ("noise 0", "noise 1", "actions only")


def make_curves():
    return [
        {"principal": p, "setting": s, "interactions": n, "value": v, "low": v - 0.1, "high": v}
        for p in LABELS
        for s in SETTINGS
        for n, v in ((100, 0.9), (0, 0.2), (1, 0.5))
    ]


def test_curves_have_a_panel_each_and_a_line_for_each_setting(tmp_path):
    figure = curves_figure(make_curves(), LABELS, "payoff", 0.95, dashed=["actions only"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(LABELS.values())
    assert figure.axes[0].get_ylabel() == "payoff"
    for axes in figure.axes:
        lines = {line.get_label(): line for line in axes.lines if line.get_label() in SETTINGS}
        assert set(lines) == set(SETTINGS)
        np.testing.assert_array_equal(lines["noise 1"].get_xdata(), [0, 1, 100])
        np.testing.assert_array_equal(lines["noise 1"].get_ydata(), [0.2, 0.5, 0.9])
        assert [lines[name].get_linestyle() for name in SETTINGS] == ["-", "-", "--"]
        assert len(axes.collections) == len(SETTINGS)
        (level,) = (line for line in axes.lines if line.get_linestyle() == ":")
        assert np.ravel(level.get_ydata())[0] == 0.95
    save_png(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_who_was_not_measured_has_no_panel_and_no_level_is_drawn_unasked():
    curves = [row for row in make_curves() if row["principal"] != "pretrained"]
    figure = curves_figure(curves, LABELS, "payoff")
    assert [a.get_title(loc="left") for a in figure.axes] == ["meta-learned", "fresh"]
    assert all(line.get_label() in SETTINGS for axes in figure.axes for line in axes.lines)


@pytest.mark.parametrize("value", [30.0, np.inf])
def test_needs_not_met_are_open_marks_beyond_the_last(value, tmp_path):
    about = {"principal": "meta", "setting": "noise 0"}
    rows = [{**about, "value": value, "low": 20.0, "high": np.inf, "most": 100}]
    figure = needs_figure(rows, LABELS, "interactions to 95%", "readings")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("readings", "interactions to 95%")
    filled, hollow = (line for line in axes.lines if line.get_marker() == "o")
    reached = np.isfinite(value)
    assert (np.size(filled.get_xdata()), np.size(hollow.get_xdata())) == (reached, not reached)
    if not reached:
        assert np.ravel(hollow.get_ydata())[0] > 100
    save_png(figure, tmp_path / "x.png")


def test_needs_stand_side_by_side_at_their_setting():
    rows = [
        {"principal": p, "setting": s, "value": v, "low": v - 1, "high": v + 1, "most": 100}
        for p, shift in (("meta", 0), ("fresh", 50))
        for s, v in (("noise 0", 5.0 + shift), ("noise 1", 9.0 + shift))
    ]
    axes = needs_figure(rows, LABELS, "need", "noise").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["noise 0", "noise 1"]
    drawn = {line.get_label(): line for line in axes.lines if line.get_label() in LABELS.values()}
    assert set(drawn) == {"meta-learned", "fresh"}
    np.testing.assert_array_equal(drawn["fresh"].get_ydata(), [55.0, 59.0])
    places = np.asarray([drawn[name].get_xdata() for name in ("meta-learned", "fresh")])
    np.testing.assert_array_equal(np.round(places), [[0, 1], [0, 1]])
    assert (places[0] < places[1]).all()


def curves_by_hand():
    """Two seeds that could earn 0.5 and 1.5, after 0, 1 and 3 interactions."""
    earned = np.array([[0.0, 0.475, 0.5], [0.0, 1.425, 1.5]])
    return Curves([0, 1, 3], earned, np.array([[0.5], [1.5]]))


def table_by_hand(name="meta"):
    curves = curves_by_hand()
    return pd.DataFrame(
        {"game": "one", "principal": name, "seed": seed, "interactions": number}
        | {"payoff": curves.earned[seed, i], "best": curves.possible[seed, 0]}
        for seed in range(2)
        for i, number in enumerate(curves.times)
    )


def test_curves_are_read_by_seed_in_any_order():
    shuffled = table_by_hand().sample(frac=1, random_state=0)
    found, expected = Curves.of(shuffled, "payoff", "best"), curves_by_hand()
    assert found.times == expected.times
    np.testing.assert_array_equal(found.earned, expected.earned)
    np.testing.assert_array_equal(found.possible, expected.possible)


def test_ratios_are_of_the_means_and_gaps_the_mean_of_what_is_left():
    lines = ratio_curves(curves_by_hand())
    assert [line["interactions"] for line in lines] == [0, 1, 3]
    np.testing.assert_allclose([line["value"] for line in lines], [0.0, 0.95, 1.0])
    np.testing.assert_allclose([line["gap"] for line in lines], [1.0, 0.05, 0.0], atol=1e-12)
    assert all(line["low"] <= line["value"] <= line["high"] for line in lines)


def test_a_need_is_when_the_ratio_is_at_the_level_first():
    assert need_of(curves_by_hand(), 0.95).value == pytest.approx(1.0)
    half = need_of(curves_by_hand(), 0.475).value  # half-way to 1, in log(1 + n)
    assert half == pytest.approx(np.sqrt(2) - 1)
    assert need_of(curves_by_hand(), 1.0).value == pytest.approx(3.0)


def test_the_ratio_of_needs_is_a_bound_where_the_other_does_not_get_there():
    own = curves_by_hand()
    never = own._replace(earned=own.earned / 2)
    reached, bound = (need_ratio(own, other, 0.95, last=100) for other in (own, never))
    assert (reached["value"], reached["reached"]) == (pytest.approx(1.0), True)
    assert (bound["value"], bound["reached"]) == (pytest.approx(0.01), False)
    assert np.isinf(need_ratio(never, own, 0.95, last=100)["value"])


def test_the_summary_has_every_group_and_its_text_the_decades():
    table = pd.concat([table_by_hand(), table_by_hand("fresh")])
    keys = ["game", "principal"]
    curves, needs = summarize_curves(table, keys, "payoff", "best", 0.95)
    assert len(curves) == 2 * 3 and list(needs["principal"]) == ["meta", "fresh"]
    assert np.all(needs["most"] == 3)
    text = format_curves(curves, needs, keys).splitlines()
    assert text[0].split() == ["interactions", "0", "1", "need"]  # 3 is no power of ten
    assert text[2].split()[:4] == ["one", "meta", "0.0", "0.95"]
