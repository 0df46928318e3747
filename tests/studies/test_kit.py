"""What experiments write."""

import dataclasses
import json
import sys
import time

import jax
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.studies import kit
from mermaide_jax.studies.kit import (
    Study,
    prepare_output,
    progress,
    run_study,
    say,
    seed_keys,
    start,
    write_experiment,
)


def test_tables_figures_and_how_they_were_made(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": [0.1234567, float("nan")]})
    began = time.monotonic()
    write_experiment(tmp_path, {"one": table, "two": table}, {"fig": Figure()}, began, seeds=[3])
    names = {"one.csv", "two.csv", "fig.png", "about.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "one.csv").read_text() == "a,b\n1,0.12346\n2,\n"
    assert (tmp_path / "fig.png").read_bytes().startswith(b"\x89PNG")
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["seeds"] == [3] and 0 <= about["wall_time_s"] < 60
    assert {"command", "device", "versions", "revision"} <= set(about)
    write_experiment(tmp_path, {"one": table, "two": table}, {}, began, formats={"two": "%.2g"})
    assert (tmp_path / "one.csv").read_text() == "a,b\n1,0.12346\n2,\n"
    assert (tmp_path / "two.csv").read_text() == "a,b\n1,0.12\n2,\n"


def test_a_large_table_is_written_as_parquet(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "name": ["x", "y"], "b": [0.123456789, float("nan")]})
    write_experiment(tmp_path, {"one": table}, {}, time.monotonic(), formats={"one": "parquet"})
    assert {path.name for path in tmp_path.iterdir()} == {"one.parquet", "about.json"}
    found = pd.read_parquet(tmp_path / "one.parquet")
    pd.testing.assert_frame_equal(found, table.astype({"b": "float32"}), check_dtype=False)


def test_if_one_cannot_be_written_the_former_files_stay(tmp_path):
    table = pd.DataFrame({"a": [1]})
    write_experiment(tmp_path, {"one": table}, {}, time.monotonic())

    class Unwritable(Figure):
        def savefig(self, *args, **kwargs):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_experiment(tmp_path, {"one": table + 1}, {"fig": Unwritable()}, time.monotonic())
    assert (tmp_path / "one.csv").read_text() == "a\n1\n"
    assert {path.name for path in tmp_path.iterdir()} == {"one.csv", "about.json"}


def test_an_output_directory_is_refused_before_any_work(tmp_path):
    assert prepare_output(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^--out: got '.*', expected a new or empty directory"):
        prepare_output(tmp_path)
    assert prepare_output(tmp_path, force=True) == tmp_path and (tmp_path / "file").exists()
    with pytest.raises(ConfigError, match=r"^--out: got '.*file', expected a directory, not a fi"):
        prepare_output(tmp_path / "file", force=True)


def test_progress_goes_through_everything_and_is_silent_where_there_is_no_terminal(capsys):
    say("one line")
    assert list(progress((n * n for n in range(3)), "squares", total=3)) == [0, 1, 4]
    told = capsys.readouterr()
    assert (told.out, told.err) == ("one line\n", "")


def test_keys_of_seeds_are_their_own():
    data = lambda *args: np.asarray(jax.random.key_data(seed_keys(*args)))  # noqa: E731
    several = data(range(4))
    assert len({tuple(row) for row in [*several.tolist(), *data(range(4), 1).tolist()]}) == 8
    np.testing.assert_array_equal(data([3, 1]), several[[3, 1]])


def test_a_study_is_started_by_its_name(guest_registry, capsys):
    seen = []
    study = Study(Options, lambda options: seen.append(options))
    guest_registry.register("study", "trial", study, label="Trial", summary="Tries it.")
    assert run_study("trial", ["--number", "4"]) == 0 and seen == [Options(4)]
    with pytest.raises(SystemExit) as stop:
        run_study("trial", ["--help"], prog="mermaide run trial")
    assert not stop.value.code
    text = capsys.readouterr().out
    assert "mermaide run trial" in text and "Tries it." in text
    with pytest.raises(ConfigError, match=r"study: got 'trail', expected one of .*'trial'"):
        run_study("trail", [])


def test_a_platform_that_is_not_there_is_refused_before_any_work(monkeypatch, capsys):
    def fail():
        raise RuntimeError("no such backend")

    monkeypatch.setattr(jax, "devices", fail)
    assert start(lambda options: pytest.fail("it was begun"), Options, None, []) == 2
    assert capsys.readouterr().err == (
        "error: JAX_PLATFORMS: got 'cpu', expected platforms of this machine (no such backend)\n"
    )


@dataclasses.dataclass(frozen=True)
class Options:
    number: int = 3


def test_a_refused_option_is_one_line_and_exit_code_2(monkeypatch, capsys):
    seen = []

    def main(options: Options) -> int | None:
        if options.number < 0:
            refuse("--number", options.number, "an integer >= 0")
        seen.append(options.number)
        return 1 if options.number == 7 else None

    monkeypatch.setattr(sys, "argv", ["x.py", "--number", "5"])
    assert start(main, Options, "What it does.") == 0 and seen == [5]
    monkeypatch.setattr(sys, "argv", ["x.py", "--number", "7"])
    assert start(main, Options, None) == 1 and seen == [5, 7]
    monkeypatch.setattr(sys, "argv", ["x.py", "--number", "-1"])
    assert start(main, Options, None) == 2 and seen == [5, 7]
    assert capsys.readouterr().err == "error: --number: got -1, expected an integer >= 0\n"


@dataclasses.dataclass(frozen=True)
class Sweep(kit.Options):
    costs: tuple[float, ...] = (0.5,)


def test_a_script_is_told_where_to_write(tmp_path, capsys):
    seen = []
    argv = ["--out", str(tmp_path), "--costs", "0.1", "0.2", "--force"]
    assert start(seen.append, Sweep, "Sweeps.", argv) == 0
    assert seen == [Sweep(out=tmp_path, force=True, costs=(0.1, 0.2))]
    assert start(seen.append, Sweep, "Sweeps.", []) == 2
    assert "--out" in capsys.readouterr().err
