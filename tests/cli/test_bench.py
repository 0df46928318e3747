"""`mermaide bench`: what is printed, what is written, what is refused."""

import json

import pytest

from mermaide_jax.cli import bench, main
from mermaide_jax.throughput import factories, measure
from mermaide_jax.throughput.timing import Run


@pytest.fixture
def quick(monkeypatch):
    """Works that take no time."""
    monkeypatch.setattr(measure, "LEAST_S", 1e-6)
    for name in ("agents_alone", "preset_rollouts", "preset_updates"):
        monkeypatch.setattr(factories, name, lambda **_: Run(lambda: 0.0, compile_s=1.0))


@pytest.mark.usefixtures("quick")
def test_the_table_and_the_file(tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert main(["bench", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "UCB agents alone" in told.out and "agent-steps/s" in told.out
    assert "jax 0." in told.out
    assert f"written: {out}" in told.err
    report = json.loads(out.read_text())
    assert list(report["works"]) == list(bench.WORKS)
    assert all(len(record["seconds"]) >= 10 for record in report["works"].values())
    assert report["command"] == f"mermaide bench --out {out}"


@pytest.mark.usefixtures("quick")
def test_json_alone_on_standard_output(capsys):
    assert main(["bench", "--works", "ucb", "update", "--json"]) == 0
    told = capsys.readouterr()
    assert list(json.loads(told.out)["works"]) == ["ucb", "update"]
    assert "compiling: UCB agents alone" in told.err


@pytest.mark.usefixtures("quick")
def test_a_file_is_replaced_only_when_asked(tmp_path, capsys):
    out = tmp_path / "speed.json"
    out.write_text("mine")
    line = ["bench", "--works", "ucb", "--out", str(out)]
    assert main(line) == 2
    assert "--out: got" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main([*line, "--force"]) == 0
    assert json.loads(out.read_text())["works"]


def test_a_real_measurement_of_the_smallest_work(capsys, monkeypatch):
    monkeypatch.setattr(measure, "LEAST_S", 1e-6)
    options = {"family": "ucb", "agents": 30, "horizon": 20}
    small = bench.WORKS["ucb"]._replace(amount=600, options=options)
    monkeypatch.setitem(bench.WORKS, "ucb", small)
    assert main(["bench", "--works", "ucb", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["works"]["ucb"]
    assert record["rate"] == pytest.approx(600 / record["median_s"])
    assert record["compile_s"] > 0
