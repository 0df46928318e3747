"""Figures of the Stackelberg experiment show what they are given."""

import numpy as np
import pytest
from mermaide_jax.studies.stackelberg.figures import LABELS, needs_figure, payoff_figure

from mermaide_jax.report.style import save_png

SETTINGS = ("noise 0", "noise 1", "actions only")


def make_curves():
    return [
        {"principal": p, "setting": s, "interactions": n, "value": v, "low": v - 0.1, "high": v}
        for p in LABELS
        for s in SETTINGS
        for n, v in ((0, 0.2), (1, 0.5), (100, 0.9))
    ]


def test_payoffs_have_a_panel_each_and_a_line_for_each_setting(tmp_path):
    figure = payoff_figure(make_curves())
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(LABELS.values())
    for axes in figure.axes:
        lines = {line.get_label(): line for line in axes.lines if line.get_label() in SETTINGS}
        assert set(lines) == set(SETTINGS)
        np.testing.assert_array_equal(lines["noise 1"].get_xdata(), [0, 1, 100])
        np.testing.assert_array_equal(lines["noise 1"].get_ydata(), [0.2, 0.5, 0.9])
        assert len(axes.collections) == len(SETTINGS)
    save_png(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 5000


@pytest.mark.parametrize("value", [30.0, np.inf])
def test_needs_not_met_are_open_marks_beyond_the_last(value, tmp_path):
    about = {"principal": "meta", "setting": "noise 0"}
    rows = [{**about, "value": value, "low": 20.0, "high": np.inf, "most": 100}]
    figure = needs_figure(rows)
    filled, hollow = (line for line in figure.axes[0].lines if line.get_marker() == "o")
    reached = np.isfinite(value)
    assert (len(filled.get_xdata()), len(hollow.get_xdata())) == (reached, not reached)
    if not reached:
        assert hollow.get_ydata()[0] > 100
    save_png(figure, tmp_path / "x.png")
