"""Results of earlier formats are read as those of the present one, in its words."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.attained import attained_records
from mermaide_jax.report.summary import format_table, summarize
from mermaide_jax.results.migration import upgrade_config
from mermaide_jax.results.results import Results, read_results, write_results

CONFIG = {
    "game": {"cost": 0.75},
    "evaluation": {"shots": [0, 1], "clairvoyant_beam": 8},
    "baseline_entropy": [["maml_without_world_model", 0.25], ["reinforce", 0.1]],
    "principals": ["mermaide", "never", "clairvoyant"],
}
FORMER_CONFIG = {
    "game": {"cost": 0.75},
    "evaluation": {"shots": [0, 1], "planner_beam": 8},
    "baseline_entropy": {
        "maml_without_world_model": 0.25,
        "world_model_without_meta": None,
        "reinforce": 0.1,
    },
    "principals": ["mermaide", "never", "planner"],
}


def formerly(record):
    """A row, curve point, episode or share as format 1 had it."""
    record = {"agent_rule" if key == "family" else key: value for key, value in record.items()}
    for column in ("principal", "oracle", "best_scripted"):
        if record.get(column) == "clairvoyant":
            record[column] = "planner"
    return record


def to_format(version, directory, compact=False):
    """Rewrites the files of a directory by hand, without any code of the package."""
    own = formerly if version == 1 else dict
    path = directory / "results.json"
    content = json.loads(path.read_text()) | {"format_version": version}
    if version == 1:
        content["config"] = FORMER_CONFIG
    for key, file in (("rows", "results"), ("episodes", "episodes"), ("attained", "attained")):
        records = pq.read_table(directory / f"{file}.parquet").to_pylist()
        if not (compact and key == "rows"):
            content[key] = [own(record) for record in records]
    path.write_text(json.dumps(content))
    for file in ("results", "curves"):
        records = pq.read_table(directory / f"{file}.parquet").to_pylist()
        table = pa.Table.from_pylist([own(record) for record in records])
        table = table.replace_schema_metadata({"format_version": str(version)})
        pq.write_table(table, directory / f"{file}.parquet")
    for file in ("episodes", "attained"):
        (directory / f"{file}.parquet").unlink()


@pytest.fixture
def whole(results_with, rows) -> Results:
    """A study with shares of the attainable, measured against the planner that knows all draws."""
    shares = attained_records(rows(), "all_knowing") + attained_records(rows(), "clairvoyant")
    return results_with(config=CONFIG, attained=shares)


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_earlier_formats_give_the_same_results_and_table(tmp_path, whole, version, compact):
    write_results(tmp_path, whole)
    to_format(version, tmp_path, compact)
    former = json.loads((tmp_path / "results.json").read_text())
    assert ("rows" in former) == (not compact)
    told = pq.read_table(tmp_path / "results.parquet").to_pylist() if compact else former["rows"]
    if version == 1:
        assert "agent_rule" in told[0] and "planner" in {row["principal"] for row in told}
    found = read_results(tmp_path)
    assert found == whole
    assert format_table(summarize(found.rows)) == format_table(summarize(whole.rows))
    # Written again, it is of the present format.
    write_results(tmp_path, found)
    assert json.loads((tmp_path / "results.json").read_text())["format_version"] == 3
    assert read_results(tmp_path) == whole


def test_results_of_a_release_without_shares_are_read(tmp_path, results):
    write_results(tmp_path, results)
    to_format(1, tmp_path)
    content = json.loads((tmp_path / "results.json").read_text())
    del content["attained"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert read_results(tmp_path).attained == []


def test_names_of_later_formats_keep_their_meaning(tmp_path, results_with, rows):
    """A principal of other people may be called what a planner was called once."""
    mine = [{**r, "principal": "planner", "agent_rule": "mine"} for r in rows()]
    curves = [{**c, "principal": "planner"} for c in results_with().curves]
    config = CONFIG | {"principals": ["planner"]}
    results = results_with(config=config, rows=mine, curves=curves)
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results
    to_format(2, tmp_path)
    assert read_results(tmp_path) == results


def test_configs_of_format_1():
    assert upgrade_config(FORMER_CONFIG) == CONFIG
    for part in ("baseline_entropy", "evaluation"):
        former = CONFIG | {part: FORMER_CONFIG[part], "principals": FORMER_CONFIG["principals"]}
        assert upgrade_config(former) == CONFIG
    # What is no config is refused by who reads it.
    others: Any = ({"preset": "quick"}, {}, [1], None)
    for config in (CONFIG, CONFIG | {"principals": ["planner"]}, *others):
        assert upgrade_config(config) == config
    no_bonus = FORMER_CONFIG | {"baseline_entropy": {"reinforce": None}}
    assert upgrade_config(no_bonus)["baseline_entropy"] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(rows=5), "rows: got 5, expected a list"),
        (lambda c: c.update(rows=[5]), r"rows\[0\]: got 5, expected an object"),
        (lambda c: c.update(config="quick"), "config: got 'quick', expected an object"),
        (lambda c: c["rows"][3].pop("agent_rule"), r"rows\[3\]: got .*, expected column 'family'"),
        (lambda c: c["rows"][7].update(horizon="long"), r"rows\[7\].horizon: got 'long'"),
        (lambda c: c["episodes"][0].pop("target"), "column 'target'"),
        (lambda c: c["attained"][0].update(oracle=None), r"attained\[0\].oracle: got None, exp"),
        (lambda c: c["config"].update(principals=[{}]), None),
    ],
)
def test_spoilt_files_of_format_1_are_refused_in_one_line(tmp_path, whole, change, said):
    write_results(tmp_path, whole)
    to_format(1, tmp_path)
    path = tmp_path / "results.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    if said is None:  # nothing that results depend on
        assert read_results(tmp_path).rows == whole.rows
        return
    with pytest.raises(ConfigError, match=said) as refused:
        read_results(tmp_path)
    assert "\n" not in str(refused.value)
