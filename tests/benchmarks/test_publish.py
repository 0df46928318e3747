"""The table of docs/results/performance.md, and the rows behind it."""

import importlib
import json
from pathlib import Path

import pytest

from benchmarks import profile


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """The module, writing into a folder of the test's own."""
    module = importlib.import_module("benchmarks.publish")
    monkeypatch.setattr(module, "PUBLISHED", tmp_path / "published.json")
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    module.PAGE.write_text("before\n<!-- table -->\nold\n<!-- /table -->\nafter\n")
    return module


def row(ratio, passed=None):
    values = {"ratio": ratio, "low": ratio, "high": ratio, "passed": passed}
    return {"title": "fast", "at_least": 2, **values}


def save(folder, created, **ratios):
    folder.mkdir(parents=True)
    run = {"created": created, "command": str(folder.name), "ratios": ratios}
    (folder / "speed.json").write_text(json.dumps(run))


def test_newest_measurements_and_another_machines_for_what_lacks(publish, tmp_path):
    save(tmp_path / "here" / "old", "2026-01-01", a=row(1.0, False), b=row(3.0, True), c=row(None))
    save(tmp_path / "here" / "new", "2026-02-01", a=row(4.0, True), b=row(None), c=row(None))
    save(tmp_path / "there", "2026-03-01", a=row(1.5, False), b=row(5.0, True), c=row(7.0, True),
         d=row(9.0, True))  # fmt: skip
    publish.main(tmp_path / "here", {"There": tmp_path / "there"})
    published = json.loads(publish.PUBLISHED.read_text())
    assert {key: r["ratio"] for key, r in published["ratios"].items()} == {
        "a": 4,
        "b": 3,
        "c": 7,
        "d": 9,
    }
    assert published["ratios"]["c"]["measured_on"] == "There"
    assert [run["command"] for run in published["runs"]] == ["new", "old", "there"]
    page = publish.PAGE.read_text().splitlines()
    assert page[:2] == ["before", "<!-- table -->"] and page[-2:] == ["<!-- /table -->", "after"]
    assert "There" in page[2] and "old" not in page


@pytest.mark.skipif(
    not (Path(__file__).parents[2] / "benchmarks" / "results").exists(),
    reason="a source distribution has no records",
)
def test_what_is_published_can_be_read_again(publish):
    """The committed runs of every machine, the table's rows, and the profile beside them."""
    docs = publish.DOCS / "results"
    rows = json.loads((docs / "speed.json").read_text())["ratios"]
    assert publish.table(rows, {}).count("\n") == len(rows) + 2
    for folder in (publish.DOCS.parent / "benchmarks" / "results").iterdir():
        if folder.is_dir():
            assert publish.merge(publish.read(folder))
    assert "| play |" in profile.format_profile(json.loads((docs / "profile.json").read_text()))


def test_the_table_says_what_was_met_and_where(publish):
    table = publish.table(
        {"a": row(4.0, True), "b": row(1.0, False), "c": row(7.0, True) | {"measured_on": "There"}},
        {"There": {"a": row(1.5, False), "c": row(7.0, True)}},
    )
    assert table.splitlines()[2:] == [
        "| fast | 4 | 4 to 4 | at least 2 |  | met | **1.5** |",
        "| fast | 1 | 1 to 1 | at least 2 |  | **not met** |  |",
        "| fast | not measured |  | at least 2 |  |  | 7 |",
    ]
