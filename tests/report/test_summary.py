"""Summary tables against plain numpy over the same rows."""

import numpy as np
import pytest

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.report.summary import (
    collapsed_seeds,
    format_collapsed,
    format_table,
    markdown_table,
    summarize,
)

ORDER = [
    "mermaide",
    "maml_without_world_model",
    "world_model_without_meta",
    "reinforce",
    "never",
    "always",
    "random",
    "first_k",
    "prescient",
    "all_knowing",
    "clairvoyant",
]


def line_of(frame, **where):
    for key, value in where.items():
        frame = frame[frame[key] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_each_line_is_the_hand_computed_aggregate(rows):
    records = rows()
    frame = summarize(records)
    assert len(frame) == 11 * 2 * 2
    for principal in ("mermaide", "reinforce", "prescient"):
        mine = [
            r
            for r in records
            if (r["principal"], r["family"], r["k_shot"]) == (principal, "epsilon_greedy", 1)
        ]
        scores = np.sort([r["score"] for r in mine])
        cut = len(scores) // 4
        got = line_of(frame, principal=principal, family="epsilon_greedy", k_shot=1)
        assert got["runs"] == len(mine) == 30
        assert got["score"] == pytest.approx(scores[cut:-cut].mean())
        assert got["low"] < got["score"] < got["high"]
        assert got["interventions"] == pytest.approx(np.mean([r["interventions"] for r in mine]))
        assert got["success_rate"] == pytest.approx(np.mean([r["success_rate"] for r in mine]))


def test_order_is_canonical_whatever_the_order_of_the_rows(rows):
    records = rows(seeds=1, agents=2)
    shuffled = [records[i] for i in np.random.default_rng(0).permutation(len(records))]
    for frame in (summarize(records), summarize(shuffled)):
        assert list(frame["principal"][:11]) == ORDER
        groups = list(dict.fromkeys(zip(frame["family"], frame["k_shot"], strict=True)))
        assert groups == [("ucb", 0), ("ucb", 1), ("epsilon_greedy", 0), ("epsilon_greedy", 1)]


def test_missing_measures_are_skipped_not_counted_as_zero(rows):
    records = [r for r in rows(seeds=2) if r["principal"] == "mermaide" and r["k_shot"] == 0]
    for record in records[::2]:
        record["world_model_accuracy"] = float("nan")
    got = summarize(records).iloc[0]
    left = [r["world_model_accuracy"] for r in records[1::2] if r["family"] == "ucb"]
    assert got["world_model_accuracy"] == pytest.approx(np.mean(left))
    never = summarize([r for r in rows() if r["principal"] == "never"])
    assert np.all(never["world_model_log_likelihood"].isna())


def test_by_coefficient(rows):
    frame = summarize(rows(), by=("family", "coefficient", "k_shot"))
    assert len(frame) == 11 * 2 * 2 * 2
    assert np.all(frame["runs"] == 15)
    text = format_table(frame)
    assert "UCB agents, beta = 0.27, 0-shot" in text
    assert "Epsilon-greedy agents, epsilon = 0.4, 1-shot" in text


def test_bad_arguments_are_refused_by_name(rows):
    with pytest.raises(ConfigError, match=r"^by: got 'kshot'.*did you mean 'k_shot'"):
        summarize(rows(), by=("kshot",))
    with pytest.raises(ConfigError, match=r"^rows: got \[\]"):
        summarize([])


@pytest.mark.parametrize("by", [("family", "k_shot"), ("family", "coefficient"), ()])
def test_table_fits_100_columns_and_names_everyone(rows, by):
    records = rows()
    for record in records:
        record["score"] *= 100  # wide numbers
    text = format_table(summarize(records, by=by))
    assert max(map(len, text.splitlines())) <= 100
    for label in ("MERMAIDE", "MAML, no world model", "REINFORCE", "Pay the first k", "Prescient"):
        assert label in text
    assert "upper reference" in text


def test_unknown_names_are_shown_as_they_are(rows):
    records = [{**r, "principal": "stranger", "family": "crowd"} for r in rows()[:4]]
    frame = summarize(records)
    assert "stranger" in format_table(frame) and "crowd agents" in format_table(frame)
    assert "| crowd | 0 | stranger |" in markdown_table(frame)
    long = [{**r, "principal": "p" * 80} for r in records]
    assert max(map(len, format_table(summarize(long)).splitlines())) <= 100


def test_single_run_has_a_score_and_no_interval(rows):
    text = format_table(summarize([r for r in rows(seeds=1, agents=1) if r["k_shot"] == 0]))
    assert "[" not in text.split("Score [95% interval]")[1].splitlines()[2]
    assert "nan" not in text


def test_a_run_that_is_missing_with_one_agent_is_left_out(rows):
    records = [r for r in rows() if r["principal"] == "mermaide" and r["k_shot"] == 0]
    records[3]["score"] = float("nan")
    family = records[3]["family"]
    left = [r["score"] for r in records if r["family"] == family and r["score"] == r["score"]]
    got = line_of(summarize(records), family=family)
    cut = len(left) // 4
    assert got["runs"] == len(left) == 29
    assert got["score"] == pytest.approx(np.sort(left)[cut:-cut].mean())
    assert got["low"] < got["score"] < got["high"]
    with pytest.raises(ConfigError, match=r"^rows: got .*'seed': 0.*expected each run with each"):
        summarize(records[:1] * 2)


def test_headings_and_legend_say_what_is_there(rows):
    records = rows(seeds=2)
    for text in (format_table, markdown_table):
        assert "Score [95% interval]" in text(summarize(records))
        assert "Score [99.5% interval]" in text(summarize(records, confidence=0.995))
    text = format_table(summarize(records))
    assert "between the best script (0%) and All-knowing (100%)." in text
    for name in ("prescient", "all_knowing", "clairvoyant"):
        assert registry.get("principal", name).traits["note"] in text
    without = [row for row in records if row["principal"] != "all_knowing"]
    assert "(100%)" not in format_table(summarize(without))


def test_markdown_table_is_rectangular(rows):
    lines = markdown_table(summarize(rows())).splitlines()
    assert len(lines) == 2 + 44
    assert {line.count("|") for line in lines} == {11}


def test_collapse_is_counted_per_seed_of_learned_principals_only(rows):
    records = rows(seeds=3)
    for record in records:
        if record["principal"] == "reinforce" and record["family"] == "ucb":
            if record["seed"] == 1:
                record["interventions"] = 0.4  # 0.8% of 50 steps
            if record["seed"] == 2 and record["k_shot"] == 0:
                record["interventions"] = 49.7
        if record["principal"] == "mermaide" and record["k_shot"] == 1:
            record["interventions"] = 0.0  # only after adaptation: not counted
    counts = collapsed_seeds(records)
    assert set(counts["principal"]) == set(ORDER[:4])
    assert line_of(counts, principal="reinforce", family="ucb")["collapsed"] == 2
    assert line_of(counts, principal="reinforce", family="ucb")["seeds"] == 3
    assert sum(list(counts["collapsed"])) == 2
    text = format_collapsed(counts)
    assert "REINFORCE: UCB 2 of 3, Epsilon-greedy 0 of 3" in text
    assert "(0-shot: intervenes" in text
    assert max(map(len, text.splitlines())) <= 100
    adapted = [row for row in records if row["k_shot"] == 1]
    assert "(1-shot: intervenes" in format_collapsed(collapsed_seeds(adapted))


def test_nothing_learned_nothing_to_say(rows):
    counts = collapsed_seeds([r for r in rows() if r["principal"] in ("never", "always")])
    assert counts.empty and format_collapsed(counts) == ""
