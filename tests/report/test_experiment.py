"""What experiments write."""

import json
import time

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mermaide_jax.report.experiment import write_experiment


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
