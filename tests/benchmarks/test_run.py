"""The whole call: suites, rows, the JSON file, tables, figures, the command."""

import importlib
import inspect
import json
import math
import os
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.harness.contender import Case, Contender
from benchmarks.harness.runner import Settings
from benchmarks.report import figures
from benchmarks.report.files import write
from benchmarks.report.rows import ROWS, judge
from benchmarks.suites import SUITES, meta_step, names, scaling, simulator

HERE = {
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
}


def fake(name, burn_s, value=1.0, **changes):
    options = {"burn_s": burn_s, "value": value}
    return Contender(name, "contestants:constant", options, environment=HERE, **changes)


def tiny(quick):
    """Cases under the names that rows and figures look for."""
    sizes = {"family": "ucb", "agents": 10_000, "arms": 10, "horizon": 200}
    ours, tuned = fake(simulator.OURS, 0.001, work=2e6), fake(simulator.TUNED, 0.004, work=1e6)
    lacking = Contender(
        simulator.NUMBA, "contestants:needs", {"library": "no_such"}, environment=HERE
    )
    liar = fake(simulator.C, 0.001, value=2.0)
    points = [
        fake(scaling.at("mermaide_jax", n), 0.001 * f, work=n, series="mermaide_jax", at=n)
        for n, f in ((1000, 1), (1_000_000, 1200))
    ][: 1 if quick else 2]
    return [
        Case("tiny", "simulator_10000_ucb", "agent-steps", (ours, tuned, lacking, liar), sizes,
             agree_within=0.01),
        Case("tiny", "scaling_agents", "agent-steps", tuple(points)),
        Case("tiny", "machine_product", "FLOP", (fake("matrix product", 0.001, work=1e8),)),
        Case("tiny", "machine_copy", "bytes", (fake("memory copy", 0.001, work=1e7),)),
    ]  # fmt: skip


def all_cases(quick):
    return [case for make in SUITES.values() for case in make(quick)]


@pytest.mark.parametrize("quick", [True, False])
def test_every_factory_takes_its_options(quick):
    names = [case.name for case in all_cases(quick)]
    assert len(set(names)) == len(names)
    for case in all_cases(quick):
        for contender in case.contenders:
            module, _, function = contender.factory.partition(":")
            factory = getattr(importlib.import_module(module), function)
            inspect.signature(factory).bind(**contender.options)
            json.dumps(dict(contender.options))


@pytest.mark.parametrize("quick", [True, False])
def test_every_row_has_its_contenders(quick):
    cases = {case.name: {c.name for c in case.contenders} for case in all_cases(quick)}
    for row in ROWS:
        over = {row.over} if isinstance(row.over, str) else set(row.over)
        # When time is short, rows without a bar may be left out.
        there = over | {row.under} <= cases[row.case]
        assert there or (quick and row.passes(1.0) is None), row.key
        assert row.at_least is None or row.at_most is None


def test_rows_are_those_of_the_table():
    keys = [row.key for row in ROWS]
    assert len(set(keys)) == len(keys)
    bars = {row.key: (row.at_least, row.at_most, row.aim) for row in ROWS}
    assert bars["simulator_vs_numpy_10k_ucb"] == (5.5, None, 8)
    assert bars["meta_step_memory_vs_jax"] == (None, 1 / 7, 1 / 15)
    assert bars["growth_1k_to_1m"] == (None, 1.3, 1.0)


def measured(name, seconds, calls=1, work=1.0, **changes):
    return {
        "name": name, "status": "measured", "cpu_s": seconds, "wall_s": seconds, "calls": calls,
        "work": work, "cores": 1, "facts": {}, "summary": {"rate": work / seconds[0]}, **changes,
    }  # fmt: skip


def case_of(name, *contenders, disagree=()):
    record = {"clock": "cpu", "sizes": {}, "unit": "x", "contenders": contenders}
    return {name: record | {"checksums_agree": {"checked": True, "disagree": list(disagree)}}}


def row_of(key):
    return next(row for row in ROWS if row.key == key)


def test_at_least_and_at_most():
    row = row_of("meta_step_vs_jax")
    ours, peer = measured(names.OURS, [1.0, 2.0]), measured(names.JAX, [10.0, 20.0], calls=2)
    entry = judge(row, case_of(row.case, ours, peer), {"cpu": "mine"})
    assert (entry["ratio"], entry["low"], entry["high"]) == (5.0, 5.0, 5.0)
    assert entry["at_least"] == 4
    assert entry["aim"] == 6
    assert entry["passed"] is True
    assert entry["conditions"]["blocks"] == 2
    assert entry["conditions"]["cpu"] == "mine"
    row = row_of("second_over_first_order")
    first = measured(names.FIRST_ORDER, [0.4, 0.4])
    entry = judge(row, case_of(row.case, ours, first), {})
    assert entry["ratio"] == pytest.approx(3.75)
    assert entry["passed"] is False


def test_memory_is_a_single_number():
    row = row_of("meta_step_memory_vs_jax")
    ours = measured(names.BLOCKED, [1.0], facts={"temp_bytes": 10})
    peer = measured(names.JAX, [1.0], facts={"temp_bytes": 100})
    entry = judge(row, case_of(row.case, ours, peer), {})
    assert (entry["ratio"], entry["low"], entry["high"], entry["passed"]) == (0.1, 0.1, 0.1, True)
    unknown = judge(row, case_of(row.case, measured(names.BLOCKED, [1.0]), peer), {})
    assert unknown["reason"] == "temp_bytes is not known"


def test_the_cheapest_bound_counts():
    row = row_of("meta_step_share_of_bound")
    bounds = [measured(n, [s]) for n, s in zip(meta_step.BOUNDS, (0.9, 0.5, 0.7), strict=True)]
    entry = judge(row, case_of(row.case, measured(names.OURS, [1.0]), *bounds), {})
    assert entry["ratio"] == 0.5
    assert entry["passed"] is True


def test_rows_that_were_not_measured_say_why():
    row = row_of("meta_step_vs_jax")
    ours = measured(names.OURS, [1.0])
    lacking = {**measured(names.JAX, [1.0]), "status": "not measured", "reason": "no luck"}
    assert judge(row, {}, {})["reason"] == "its suite was not run"
    said = judge(row, case_of(row.case, ours, lacking), {})
    assert said["reason"] == f"{names.JAX}: no luck"
    assert judge(row, case_of(row.case, ours), {})["reason"] == f"{names.JAX}: left out"
    other = case_of(row.case, ours, measured(names.JAX, [1.0]), disagree=[names.JAX])
    assert "not the same work" in judge(row, other, {})["reason"]


def test_command_writes_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SUITES, "tiny", tiny)
    monkeypatch.setattr(run, "QUICK", Settings(quick=True, repeats=2, least_s=0.001))
    out = tmp_path / "out"
    assert run.main(["--quick", "--suites", "tiny", "--out", str(out)]) == 0
    assert {p.name for p in out.iterdir()} == {"speed.json", "scaling.png", "roofline.png"}
    results = json.loads((out / "speed.json").read_text())
    check_schema(results)
    entry = results["ratios"]["simulator_vs_numpy_10k_ucb"]
    assert 4 < entry["ratio"] < 16
    assert results["ratios"]["simulator_vs_numba_10k_ucb"]["reason"].endswith("no_such")
    assert "not the same work" in results["ratios"]["simulator_vs_c_avx512_ucb"]["reason"]
    assert results["command"].startswith("python -m benchmarks.run --quick")
    told = capsys.readouterr()
    assert "not measured: not installed: no_such" in told.out
    assert "checksum differs" in told.out
    assert "against tuned NumPy, N=10k, UCB" in told.out
    assert str(out / "speed.json") in told.out
    assert "simulator_10000_ucb: mermaide_jax: ready" in told.err


def check_schema(results):
    assert results["format_version"] == 1
    assert results["suites"] == ["tiny"]
    assert {"machine", "versions", "revision", "environment", "wall_time_s"} <= set(results)
    assert list(results["ratios"]) == [row.key for row in ROWS]
    for entry in results["ratios"].values():
        assert {"title", "ratio", "low", "high", "conditions", "passed"} <= set(entry)
        assert (entry["ratio"] is None) == ("reason" in entry)
        if entry["ratio"] is not None:
            assert entry["low"] <= entry["ratio"] <= entry["high"]
            assert {"sizes", "blocks", "quantity", "cpu"} <= set(entry["conditions"])
    for case in results["cases"]:
        for entry in case["contenders"]:
            if entry["status"] == "measured":
                assert len(entry["cpu_s"]) == len(entry["wall_s"]) == case["repeats"]
                assert math.isfinite(entry["summary"]["rate"])
            else:
                assert entry["reason"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--suites nothing", "--suites: got 'nothing', expected one of machine, simulator"),
        ("--out FULL --quick", "--out: got 'FULL', expected a new or empty directory"),
        ("--out FULL --platform npu", "--platform: got 'npu', expected one of cpu, gpu, tpu"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(line, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "run_suites", None)  # nothing may be measured
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "mine.txt").touch()
    assert run.main(line.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1 and said in told.err


def test_every_suite_is_a_module_of_its_own():
    modules = {make.__module__ for make in SUITES.values()}
    assert len(modules) == len(SUITES)
    for name, make in SUITES.items():
        cases = [case for quick in (True, False) for case in make(quick)]
        assert {case.suite for case in cases} == {name}


def test_nothing_is_drawn_of_nothing():
    assert figures.writers({"cases": []}) == {}


def test_numbers_that_json_cannot_say(tmp_path):
    results = {"cases": [], "rate": math.inf, "list": [math.nan, 1.0], "more": {"a": (2.0,)}}
    write(tmp_path, results)
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found == {"cases": [], "rate": None, "list": [None, 1.0], "more": {"a": [2.0]}}
