"""Results files: round trip, atomicity, and refusal of everything that is not ours."""

import dataclasses
import json
import subprocess
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermaide_jax.errors import ConfigError
from mermaide_jax.report.attained import attained_records
from mermaide_jax.results.results import (
    Results,
    collect_versions,
    merge_results,
    prepare_output,
    read_results,
    reduce_results,
    source_revision,
    write_results,
)
from mermaide_jax.results.schema import (
    ATTAINED_SCHEMA,
    CURVE_SCHEMA,
    EPISODE_SCHEMA,
    ROW_SCHEMA,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SINGLE = st.floats(allow_nan=False, allow_infinity=False, width=32)
LISTS = st.none() | st.lists(SINGLE, max_size=3)
VALUES = {
    pa.string(): TEXT,
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.none() | NUMBER,
    pa.float32(): st.none() | SINGLE,
    pa.list_(pa.float32()): LISTS,
    pa.list_(pa.int64()): st.none() | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    pa.list_(pa.list_(pa.float32())): st.none() | st.lists(LISTS, max_size=3),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXT, parts, max_size=3),
    max_leaves=6,
)


def records(schema):
    columns = {field.name: VALUES[field.type] for field in schema}
    return st.lists(st.fixed_dictionaries(columns), max_size=4)


@settings(max_examples=30)
@given(
    config=st.dictionaries(TEXT, JSON, max_size=3),
    rows=records(ROW_SCHEMA),
    curves=records(CURVE_SCHEMA),
    episodes=records(EPISODE_SCHEMA),
    attained=records(ATTAINED_SCHEMA),
    device=TEXT,
    wall=st.floats(0, 1e9),
)
def test_reading_gives_back_what_was_written(tmp_path_factory, config, device, wall, **tables):
    folder = tmp_path_factory.mktemp("round_trip")
    results = Results(
        config=config,
        versions={"jax": "0.10.2"},
        device=device,
        wall_time_s=wall,
        revision="unknown",
        command="mermaide reproduce",
        **tables,
    )
    write_results(folder, results)
    assert read_results(folder) == results


def test_a_whole_study_is_read_back(tmp_path, results):
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results


def test_shares_of_the_attainable_are_kept(tmp_path, results_with, rows):
    shares = attained_records(rows(seeds=1, agents=2))
    write_results(tmp_path, results_with(attained=shares))
    assert read_results(tmp_path).attained == shares


def test_a_small_json_and_a_table_for_each_kind_of_record(tmp_path, results):
    path = write_results(tmp_path, results)
    assert path == tmp_path / "results.json"
    tables = {f"{name}.parquet" for name in ("results", "curves", "episodes", "attained")}
    assert {p.name for p in tmp_path.iterdir()} == {"results.json"} | tables
    about = {"config", "versions", "device", "wall_time_s", "revision", "command"}
    assert set(json.loads(path.read_text())) == about | {"format_version"}


def test_tables_have_their_schema_and_other_tools_read_them(tmp_path, results):
    write_results(tmp_path, results)
    table = pd.read_parquet(tmp_path / "results.parquet")
    pd.testing.assert_frame_equal(table, pd.DataFrame(results.rows), check_dtype=False)
    schemas = {"results": ROW_SCHEMA, "curves": CURVE_SCHEMA, "episodes": EPISODE_SCHEMA}
    for name, schema in schemas.items():
        assert pq.read_schema(tmp_path / f"{name}.parquet").equals(schema)


def test_a_row_may_have_more_than_the_others(tmp_path, results):
    results.rows[3]["parameter"] = 0.5
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results


def test_what_a_repository_keeps_has_no_episodes_and_means_of_curves(results):
    kept = reduce_results(results)
    assert (kept.rows, kept.episodes) == (results.rows, [])
    runs = ["principal", "family", "seed", "phase"]
    groups: Any = (pd.DataFrame(x.curves).groupby(runs) for x in (results, kept))
    before, after = groups
    assert before.size().max() == 120 and after.size().max() == 24
    pd.testing.assert_series_equal(before["update"].max(), after["update"].max())
    for column in ("score", "entropy"):
        pd.testing.assert_series_equal(before[column].mean(), after[column].mean())
    fit = pd.DataFrame(kept.curves).query("principal == 'reinforce'")["world_model_log_likelihood"]
    assert np.all(fit.isna())


def test_another_version_is_refused_as_such(tmp_path, results):
    write_results(tmp_path, results)
    content = json.loads((tmp_path / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(content | {"format_version": 99}))
    (tmp_path / "results.parquet").write_bytes(b"a table of that version")
    with pytest.raises(ConfigError, match=r"results.json: got 99, expected format_version 1 to 3"):
        read_results(tmp_path)


def test_nan_infinity_and_arrays_become_plain_json(tmp_path, results_with, rows):
    @dataclasses.dataclass(frozen=True)
    class Game:
        cost: float = 0.75
        kinds: tuple = ("binary",)

    row = {**rows()[0], "score": np.float32(np.nan), "agent": np.int64(3), "coefficient": 1}
    config = {"a": np.arange(2.0), "b": float("inf"), "game": Game()}
    write_results(tmp_path, results_with(rows=[row], config=config))
    text = (tmp_path / "results.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    back = read_results(tmp_path)
    assert back.rows[0]["score"] is None
    assert back.rows[0]["agent"] == 3
    plain_game = {"cost": 0.75, "kinds": ["binary"]}
    assert back.config == {"a": [0.0, 1.0], "b": None, "game": plain_game}
    assert np.all(pd.read_parquet(tmp_path / "results.parquet")["score"].isna())


def test_columns_beyond_the_known_ones_are_kept(tmp_path, results_with, rows):
    extra = [{**row, "note": "x"} for row in rows(seeds=1, agents=1)]
    write_results(tmp_path, results_with(rows=extra))
    assert read_results(tmp_path).rows == extra
    assert set(pd.read_parquet(tmp_path / "results.parquet")["note"]) == {"x"}


@pytest.mark.parametrize("column", ["score", "family", "world_model_accuracy"])
def test_a_row_without_a_column_is_refused_before_writing(tmp_path, results_with, rows, column):
    bad = [{k: v for k, v in row.items() if k != column} for row in rows()[:1]]
    with pytest.raises(ConfigError, match=rf"^rows\[0\]: got .*'{column}'"):
        write_results(tmp_path, results_with(rows=bad))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "value"), [("seed", 1.5), ("family", None), ("score", "high"), ("k_shot", True)]
)
def test_a_value_of_another_type_is_refused(tmp_path, results_with, rows, column, value):
    with pytest.raises(ConfigError, match=rf"^rows\[0\]\.{column}: got "):
        write_results(tmp_path, results_with(rows=[{**rows()[0], column: value}]))


def test_a_config_that_is_not_data_is_refused(tmp_path, results_with):
    with pytest.raises(ConfigError, match="expected numbers, text"):
        write_results(tmp_path, results_with(config={"f": lambda: None}))


def test_a_failing_write_leaves_the_former_files(tmp_path, results, results_with, monkeypatch):
    write_results(tmp_path, results)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def failing(text):
        def full_disk(path):
            path.write_text(text[: len(text) // 2])
            raise OSError(28, "No space left on device")

        return full_disk

    monkeypatch.setattr("mermaide_jax.results.results.text_writer", failing)
    with pytest.raises(OSError, match="No space"):
        write_results(tmp_path, results_with(device="another"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


TABLES = [f"{name}.parquet" for name in ("results", "curves", "episodes", "attained")]


def test_missing_files_are_refused_by_name(tmp_path, results):
    with pytest.raises(ConfigError) as error:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in one_line(error)
    for name in TABLES:
        write_results(tmp_path, results)
        (tmp_path / name).unlink()
        with pytest.raises(ConfigError) as error:
            read_results(tmp_path)
        assert name in one_line(error)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("name", ["results.json", *TABLES])
def test_truncated_files_are_refused(tmp_path, results, name, share):
    write_results(tmp_path, results)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * (len(data) - 2))])
    with pytest.raises(ConfigError) as error:
        read_results(tmp_path)
    assert name in one_line(error) and "expected complete" in str(error.value)


@pytest.mark.parametrize("content", ["[1, 2]", "hello", '{"a": NaN}', "\udcff", '"text"'])
def test_files_that_are_not_a_json_object_are_refused(tmp_path, content):
    data = content.encode("utf-8", errors="surrogateescape")
    (tmp_path / "results.json").write_bytes(data)
    with pytest.raises(ConfigError) as error:
        read_results(tmp_path)
    assert "results.json: got " in one_line(error)


def edited(folder, results, change):
    write_results(folder, results)
    content = json.loads((folder / "results.json").read_text())
    change(content)
    (folder / "results.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(format_version=99), "got 99, expected format_version 1"),
        (lambda c: c.pop("format_version"), "expected format_version among them"),
        (lambda c: c.pop("revision"), "key 'revision'"),
        (lambda c: c.update(wall_time_s="long"), "wall_time_s: got 'long', expected a number"),
        (lambda c: c.update(config=[]), "config: got [], expected an object"),
    ],
)
def test_other_versions_and_incomplete_files_are_refused(tmp_path, results, change, said):
    edited(tmp_path, results, change)
    with pytest.raises(ConfigError) as error:
        read_results(tmp_path)
    assert said in one_line(error) and "results.json" in str(error.value)


@pytest.mark.parametrize("name", TABLES)
def test_tables_without_a_column_or_of_another_kind_are_refused(tmp_path, results, name):
    write_results(tmp_path, results)
    table = pd.read_parquet(tmp_path / name)
    table.drop(columns="principal").to_parquet(tmp_path / name)
    with pytest.raises(ConfigError, match="column 'principal'"):
        read_results(tmp_path)
    table.to_parquet(tmp_path / name)
    with pytest.raises(ConfigError, match="expected format_version 1"):
        read_results(tmp_path)


def test_output_directory_is_made(tmp_path):
    assert prepare_output(tmp_path / "a" / "b").is_dir()
    assert prepare_output(tmp_path / "a" / "b").is_dir()  # still empty


def test_output_directory_with_files_needs_force_and_keeps_them(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match=r"^--out: got .*--force"):
        prepare_output(tmp_path)
    prepare_output(tmp_path, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_output_that_is_a_file_or_below_one_is_refused_even_with_force(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"^--out: got ") as error:
            prepare_output(path, force=True)
        assert str(path) in one_line(error)


def test_unwritable_output_is_refused(tmp_path, monkeypatch):
    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(ConfigError, match=r"can be written to.*Permission denied"):
        prepare_output(tmp_path)


def test_versions_name_python_and_the_stack():
    versions = collect_versions()
    assert {"python", "mermaide_jax", "jax", "jaxlib", "flax", "numpy", "scipy"} <= set(versions)
    assert versions["numpy"] == np.__version__
    assert all(isinstance(version, str) for version in versions.values())


def test_revision_is_text_and_unknown_without_git(monkeypatch, tmp_path):
    assert source_revision()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_revision() == "unknown"


def test_revision_is_that_of_a_checkout_of_this_project_only(monkeypatch, tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr("mermaide_jax.results.provenance.__file__", str(tmp_path / "site" / "p.py"))
    monkeypatch.chdir(tmp_path)
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    assert source_revision() == "unknown"  # somebody else's repository
    (tmp_path / "src" / "mermaide_jax").mkdir(parents=True)
    assert len(source_revision()) == 12
    (tmp_path / "file").write_text("x")
    git("add", "file")
    assert source_revision().endswith("-dirty")


def test_results_are_frozen(results: Results):
    with pytest.raises(dataclasses.FrozenInstanceError):
        results.device = "other"  # pyright: ignore


def test_parts_are_merged_and_others_refused(results):
    rows = [dict(row, seed=row["seed"] + 50) for row in results.rows]
    other = dataclasses.replace(
        results, rows=rows, config=results.config | {"seed": 50}, device="another", command="later"
    )
    whole = merge_results([results, other])
    assert whole.rows == [*results.rows, *rows]
    assert whole.curves == 2 * results.curves and whole.episodes == 2 * results.episodes
    assert whole.device == f"{results.device}; another"
    assert whole.command == f"{results.command}\nlater"
    assert whole.wall_time_s == 2 * results.wall_time_s
    with pytest.raises(ConfigError, match="each run once"):
        merge_results([results, results])
    longer = dataclasses.replace(other, config=other.config | {"updates": 7})
    with pytest.raises(ConfigError, match=r"^parts: got 'updates'"):
        merge_results([results, longer])
    with pytest.raises(ConfigError, match=r"^parts: got \[\]"):
        merge_results([])


def test_a_whole_has_the_families_and_seeds_of_all_parts(results):
    def part(family, seeds):
        config = {"agents": {"families": [family], "train": 3}, "seed": seeds[0], "seeds": 2}
        row = dict(results.rows[0], family=family)
        rows = [dict(row, seed=seed) for seed in seeds]
        return dataclasses.replace(results, rows=rows, config=config)

    whole = merge_results(
        [part("ucb", (5, 6)), part("epsilon_greedy", (5, 6)), part("ucb", (3, 4))]
    )
    families = {"families": ["ucb", "epsilon_greedy"], "train": 3}
    assert whole.config == {"agents": families, "seed": 3, "seeds": 4}
    # A config says the first seed and how many: one with a gap would say others than there are.
    with pytest.raises(ConfigError, match=r"^parts: got \[3, 4, 6, 7\], expected seeds in a row"):
        merge_results([part("ucb", (3, 4)), part("ucb", (6, 7))])


def test_a_part_with_other_principals_may_train_otherwise(results):
    def part(name, entropy):
        first = results.rows[0]["principal"]
        rows = [dict(r, principal=name) for r in results.rows if r["principal"] == first]
        training = {"updates": 3, "entropy_start": entropy}
        config = results.config | {"principals": [name], "training": training}
        return dataclasses.replace(results, rows=rows, config=config)

    whole = merge_results([part("mermaide", 0.1), part("reinforce", 0.25)])
    assert {row["principal"] for row in whole.rows} == {"mermaide", "reinforce"}
    assert whole.config["principals"] == ["mermaide", "reinforce"]
    assert whole.config["training"]["entropy_start"] == 0.1
    with pytest.raises(ConfigError, match="entropy_start', expected one way to train mermaide"):
        merge_results([part("mermaide", 0.1), part("mermaide", 0.25)])
    # A part of an earlier release, which did not know of it.
    other = part("reinforce", 0.1)
    other.config["baseline_entropy"] = {"reinforce": 0.2}
    assert (
        merge_results([part("mermaide", 0.1), other]).config["training"] == other.config["training"]
    )
    with pytest.raises(ConfigError, match="baseline_entropy', expected one way to train reinforce"):
        merge_results([part("reinforce", 0.1), other])
