"""Figures from synthetic results: valid files, everyone named, gaps in the data handled."""

from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.figures import (
    episode_figure,
    representative_episodes,
    score_figure,
    training_curves_figure,
    write_figures,
)
from mermaide_jax.report.style import spread
from mermaide_jax.report.summary import summarize

LABELS = (
    "MERMAIDE",
    "MAML, no world model",
    "World model, no meta",
    "REINFORCE",
    "Never pay",
    "Always pay",
    "Pay at random",
    "Pay the first k",
    "Prescient\n(reads the agent; upper reference)",
)


def texts(figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]


def test_all_figures_are_written_as_png_with_content(tmp_path, results):
    paths = write_figures(tmp_path, results)
    names = {"score.png", "training.png", "episode_ucb.png", "episode_epsilon_greedy.png"}
    assert {p.name for p in paths} == names == {p.name for p in tmp_path.iterdir()}
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        image = imread(path)[..., :3]
        assert image.shape[0] > 600 and image.shape[1] > 1000
        assert 0.01 < (image < 0.95).any(axis=-1).mean() < 0.6
        border = np.concatenate([image[:3].ravel(), image[-3:].ravel()])
        border = np.concatenate([border, image[:, :3].ravel(), image[:, -3:].ravel()])
        assert border.min() > 0.95, f"{path.name}: something is cut off at the edge"


def test_score_figure_names_principals_titles_units_and_numbers(rows):
    figure = score_figure(rows())
    words = texts(figure)
    assert set(LABELS) <= set(words)
    assert "UCB agents, T = 50 steps: 10 unseen test agents, 3 seeds" in words
    assert "score per episode (target pulls - cost x interventions)" in words
    assert {"0-shot", "1-shot", "success", "paid/ep.", "upper reference"} <= set(words)
    assert words.count("50.0") == 2  # always pays 50 times, in either family
    assert len(figure.axes) == 2


def test_a_score_far_below_is_named_off_the_scale(rows):
    figure = score_figure(rows())
    far = [word for word in texts(figure) if "off the scale" in word]
    assert len(far) == 1 and far[0].startswith("-19")
    assert figure.axes[0].get_xlim()[0] > -5 and figure.axes[1].get_xlim()[0] > -10


def test_marks_stand_at_the_interquartile_means(rows):
    records = rows()
    frame = summarize(records)
    axes = score_figure(records).axes[0]
    drawn = [round(float(x), 6) for line in axes.get_lines() for x in np.ravel(line.get_xdata())]
    wanted = frame[(frame["family"] == "ucb") & (frame["principal"] == "mermaide")]
    for column in ("score", "low", "high"):
        assert all(round(value, 6) in drawn for value in wanted[column])


@pytest.mark.parametrize(("seeds", "agents"), [(1, 10), (1, 1)])
def test_a_single_seed_or_run_is_drawn(rows, results_with, seeds, agents):
    few = [r for r in rows(seeds=seeds, agents=agents) if r["family"] == "ucb"]
    words = texts(score_figure(few))
    assert any("1 seed" in word and "1 seeds" not in word for word in words)
    curves = [c for c in results_with().curves if c["seed"] == 0 and c["family"] == "ucb"]
    assert "UCB agents, 1 seed" in texts(training_curves_figure(curves))


def test_other_principals_families_and_shots_are_drawn(rows):
    own = [r for r in rows() if (r["principal"], r["k_shot"]) == ("mermaide", 0)]
    records = [{**r, "principal": "stranger", "family": "crowd"} for r in own]
    records = [{**r, "k_shot": k} for r in records for k in (0, 1, 2, 5, 10)]
    words = texts(score_figure(records))
    assert {"stranger", "10-shot"} <= set(words)
    assert any(word.startswith("crowd agents, T = ") for word in words)


def test_only_scripted_principals_are_drawn(rows):
    words = texts(score_figure([r for r in rows() if r["principal"] in ("never", "always")]))
    assert "Never pay" in words and "0-shot" not in words


def test_training_curves_name_each_line_and_shade_the_pre_training(results):
    figure = training_curves_figure(results.curves)
    words = texts(figure)
    assert set(LABELS[:4]) <= set(words)
    assert words.count("MERMAIDE") == 3 and words.count("REINFORCE") == 2
    assert "world model alone,\nwhere there is one" in words


def test_training_curves_are_means_over_seeds(results_with):
    curves = [
        {**c, "score": float(c["seed"]), "update": c["update"]}
        for c in results_with().curves
        if c["principal"] == "mermaide"
    ]
    line = training_curves_figure(curves).axes[0].get_lines()[0]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), 1.0)


def test_training_without_pre_training_or_any_world_model(results):
    curves = [c for c in results.curves if c["principal"] in ("reinforce",)]
    words = texts(training_curves_figure(curves))
    assert not any("alone" in word for word in words)


def test_seeds_of_different_lengths_are_drawn(results):
    curves = [c for c in results.curves if c["seed"] != 2 or c["update"] < 200]
    texts(training_curves_figure(curves))


def test_episode_figure_counts_what_happened(episode):
    record = episode("ucb")
    action, paid = np.array(record["action"]), np.array(record["intervention"])
    hit = action == record["target"]
    words = texts(episode_figure(record))
    assert f"paid and taken ({int((hit & (paid > 0)).sum())})" in words
    assert f"taken without pay ({int((hit & (paid == 0)).sum())})" in words
    assert f"paid, not taken ({int((~hit & (paid > 0)).sum())})" in words
    assert f"target a*  {record['mean_rewards'][record['target']]:.2f}" in words
    assert any("UCB, beta = 0.27" in word and "T = 50 steps" in word for word in words)


def test_episode_figure_hides_estimates_of_arms_not_tried(episode):
    record = episode("ucb")
    first = record["action"].index(record["target"])
    bold = max(episode_figure(record).axes[2].get_lines(), key=lambda line: line.get_linewidth())
    values = np.asarray(bold.get_ydata())
    assert np.isnan(values[: first + 1]).all() and np.isfinite(values[first + 1 :]).all()
    estimates = np.array(record["agent_estimates"])[first + 1 :, record["target"]]
    np.testing.assert_allclose(values[first + 1 :], estimates)


def test_episode_figure_says_when_there_is_no_world_model(episode):
    words = texts(episode_figure(episode("ucb", "reinforce")))
    assert "this principal has no world model" in words


def test_episode_figure_without_policy_estimates_or_coefficient(episode):
    record = {
        **episode("epsilon_greedy", "first_k"),
        "policy_probability": None,
        "agent_estimates": None,
        "family": "best_response",
        "score": float("nan"),
    }
    words = texts(episode_figure(record))
    assert any("new agent (Best-response)" in word for word in words)
    assert "the agent keeps no estimates" in words


def test_long_episodes_keep_their_cells_apart(episode):
    record = episode("ucb")
    series = (
        "action",
        "intervention",
        "predicted_target_probability",
        "policy_probability",
        "agent_estimates",
        "reward",
    )
    long = {**record, **{name: record[name] * 4 for name in series}}
    figure = episode_figure(long)
    figure.canvas.draw()
    axes = figure.axes[0]
    marks: Any = axes.collections[-1]
    cell = np.sqrt(marks.get_sizes()[0]) / 72 * figure.dpi
    step = np.diff(axes.transData.transform([(1, 0), (2, 0)])[:, 0])[0]
    assert cell < step


def test_the_median_episode_of_the_first_principal_is_shown(episode):
    scores = {"a": 9.0, "b": 3.0, "c": 5.0}
    records = [{**episode("ucb"), "score": s, "note": n} for n, s in scores.items()]
    records.append({**episode("ucb", "reinforce"), "score": 99.0, "note": "other"})
    records.append({**episode("ucb"), "score": 5.0, "k_shot": 1, "note": "adapted"})
    assert representative_episodes(records)["ucb"]["note"] == "c"
    assert representative_episodes([]) == {}


def test_old_figures_go_and_foreign_files_stay(tmp_path, results_with, episode):
    for name in ("training.png", "episode_best_response.png", "episode_mine.png", "notes.txt"):
        (tmp_path / name).write_text("x")
    write_figures(tmp_path, results_with(episodes=[episode("ucb")], curves=[]))
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"score.png", "episode_ucb.png", "episode_mine.png", "notes.txt"}


def test_a_failing_figure_leaves_the_former_files(tmp_path, results, monkeypatch):
    write_figures(tmp_path, results)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full_disk(figure, path):
        path.write_bytes(b"\x89PNG")
        if "epsilon" in path.name:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("mermaide_jax.report.figures.save_png", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_figures(tmp_path, results)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_equal_results_give_equal_files(tmp_path, results):
    first = {p.name: p.read_bytes() for p in write_figures(tmp_path, results)}
    assert first == {p.name: p.read_bytes() for p in write_figures(tmp_path, results)}


def test_incomplete_records_are_refused(rows, results, episode):
    with pytest.raises(ConfigError, match=r"^rows"):
        score_figure([])
    with pytest.raises(ConfigError, match="column 'score'"):
        training_curves_figure([{k: v for k, v in results.curves[0].items() if k != "score"}])
    with pytest.raises(ConfigError, match="column 'action'"):
        episode_figure({k: v for k, v in episode().items() if k != "action"})


def test_labels_are_moved_apart_in_order():
    placed = spread([5.0, 5.1, 1.0], gap=1.0, low=0.0, high=5.5)
    assert placed[2] < placed[0] < placed[1]
    assert np.diff(sorted(placed)).min() >= 1.0 - 1e-9
    assert max(placed) <= 5.5 + 1e-9
    assert spread([], 1.0, 0.0, 1.0) == []
