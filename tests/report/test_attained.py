"""Shares of the attainable, recomputed by hand from the rows."""

import numpy as np
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.attained import attained_records, oracles, scripts
from mermaide_jax.report.summary import format_table, markdown_table, summarize
from mermaide_jax.results.schema import ATTAINED_COLUMNS, check_records

SCRIPTS = ("never", "always", "random", "first_k")


@pytest.fixture
def guests(guest_registry):
    """Registers principals of other people for the time of a test."""

    def register(name, **traits):
        about = {"label": name.title(), "summary": "a guest"}
        guest_registry.register("principal", name, lambda game: None, **about, **traits)

    return register


def middle(rows, **where):
    """Mean of the middle half of the scores."""
    scores = np.sort([r["score"] for r in rows if all(r[k] == v for k, v in where.items())])
    cut = len(scores) // 4
    return scores[cut : len(scores) - cut].mean()


@pytest.mark.parametrize("oracle", ["all_knowing", "clairvoyant", "prescient"])
def test_each_share_is_the_hand_computed_one(rows, oracle):
    records = rows()
    found = attained_records(records, oracle)
    check_records("attained", found, ATTAINED_COLUMNS)
    assert len(found) == 11 * 2 * 2
    for line in found:
        group = {name: line[name] for name in ("family", "k_shot")}
        scripts = {name: middle(records, principal=name, **group) for name in SCRIPTS}
        assert line["best_scripted"] == max(scripts, key=scripts.__getitem__) == "first_k"
        assert line["oracle"] == oracle
        base, top = scripts["first_k"], middle(records, principal=oracle, **group)
        own = middle(records, principal=line["principal"], **group)
        assert line["share"] == pytest.approx((own - base) / (top - base))
        assert line["low"] <= line["share"] <= line["high"]


def test_the_ends_are_exact(rows):
    lines = {line["principal"]: line for line in attained_records(rows())}
    assert [lines["first_k"][part] for part in ("share", "low", "high")] == [0, 0, 0]
    assert [lines["all_knowing"][part] for part in ("share", "low", "high")] == [1, 1, 1]
    assert (
        lines["never"]["share"]
        < 0
        < lines["prescient"]["share"]
        < 1
        < lines["clairvoyant"]["share"]
    )


def test_the_summary_and_both_tables_show_it(rows):
    records = rows()
    frame = summarize(records)
    shares = {
        tuple(line[name] for name in ("family", "k_shot", "principal")): line
        for line in attained_records(records)
    }
    for line in frame.to_dict("records"):
        share = shares[line["family"], line["k_shot"], line["principal"]]
        assert line["attained"] == pytest.approx(share["share"])
        assert line["attained_low"] == pytest.approx(share["low"])
    for text in (format_table(frame), markdown_table(frame)):
        assert "Attained" in text and "100%" in text
    assert "All-knowing" in format_table(frame)


def test_without_the_oracle_nothing_is_said(rows):
    """As in results of an earlier release."""
    old = [row for row in rows() if row["principal"] != "all_knowing"]
    assert attained_records(old) == []
    assert np.all(summarize(old)["attained"].isna())
    assert "nan" not in format_table(summarize(old))
    learned = [row for row in rows() if row["principal"] not in SCRIPTS]
    assert attained_records(learned) == []


def test_an_oracle_below_the_script_bounds_nothing(rows):
    records = rows()
    for row in records:
        if row["principal"] == "all_knowing":
            row["score"] = -50.0
    assert all(line["share"] is None for line in attained_records(records))


def test_runs_are_paired(rows):
    """A principal that was tested on some of the agents is compared on these alone."""
    records = [r for r in rows() if r["principal"] != "reinforce" or r["agent"] < 4]
    paired = [r for r in records if r["agent"] < 4]
    group = {"family": "ucb", "k_shot": 0}
    line = next(x for x in attained_records(records) if x["principal"] == "reinforce")
    base, top = (middle(paired, principal=name, **group) for name in ("first_k", "all_knowing"))
    own = middle(paired, principal="reinforce", **group)
    assert line["share"] == pytest.approx((own - base) / (top - base))


def test_the_ends_of_the_scale_are_those_that_say_so():
    assert scripts() == SCRIPTS
    assert oracles() == ("all_knowing", "prescient", "clairvoyant")


def test_a_script_that_is_registered_moves_the_lower_end(rows, guests):
    guests("thrifty", attained=0)
    guests("rival")  # a contender: it is measured, and moves nothing
    assert scripts() == (*SCRIPTS, "thrifty")
    records = rows()
    for name, gain in (("thrifty", 2.0), ("rival", 4.0)):
        first_k = [row for row in records if row["principal"] == "first_k"]
        records += [{**row, "principal": name, "score": row["score"] + gain} for row in first_k]
    found = attained_records(records)
    assert {line["best_scripted"] for line in found} == {"thrifty"}
    ends = {line["principal"]: line["share"] for line in found}
    assert (ends["thrifty"], ends["all_knowing"]) == (0, 1)
    assert ends["first_k"] < 0 < ends["rival"]


def test_a_reference_that_is_registered_is_one_of_the_oracles(rows, guests):
    guests("seer", role="reference", note="Seer sees {all}.")
    guests("prophet", role="reference", attained=1, rank=0)
    assert oracles() == ("prophet", "all_knowing", "prescient", "clairvoyant", "seer")
    records = rows()
    for name, gain in (("seer", 1.0), ("prophet", 5.0)):
        known = [row for row in records if row["principal"] == "all_knowing"]
        records += [{**row, "principal": name, "score": row["score"] + gain} for row in known]
    assert {line["oracle"] for line in attained_records(records)} == {"prophet"}
    text = format_table(summarize(records))
    assert "between the best script (0%) and Prophet (100%)." in text
    assert "Seer sees {all}." in text and "Seer, ref." in text


def test_bad_rows_are_refused():
    with pytest.raises(ConfigError, match=r"^rows: got \[\]"):
        attained_records([])
