"""Figures of lines."""

import numpy as np

from mermaide_jax.report.lines import Level, Line, Panel, line_figure


def test_every_panel_shows_its_lines_levels_and_ticks():
    lines = [Line("a", [0, 1], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5]), Line("b", [0, 1], [3.0, 4.0])]
    first = Panel("one", lines, "K", [Level(0.25, "base")], ([0, 1], ["0", "5"]))
    second = Panel("two", lines[:1], "K", xscale="log")
    figure = line_figure([[first, second]], "score", ylim=(0, 5))
    left, right = figure.axes
    assert left.get_ylabel() == "score" and right.get_ylabel() == ""
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["one", "two"]
    assert [text.get_text() for text in left.get_xticklabels()] == ["0", "5"]
    assert left.get_ylim() == right.get_ylim() == (0, 5) and right.get_xscale() == "log"
    np.testing.assert_allclose(np.asarray(left.lines[0].get_ydata()), [1.0, 2.0])
    np.testing.assert_allclose(np.asarray(left.lines[2].get_ydata()), [0.25, 0.25])
    assert (len(left.collections), len(right.collections)) == (1, 1)  # bands
    # One entry for each label, however many panels show it.
    assert [text.get_text() for text in figure.legends[0].texts] == ["a", "b", "base"]
