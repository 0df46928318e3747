"""The guard: no more work than the committed baseline, and more work is noticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from benchmarks.guard.counted import Program, Sizes, complaints, measure_program, programs

from benchmarks.guard import counted

BASELINE = Path(__file__).parents[2] / counted.BASELINE
VERSION = counted.jax_version()
TABLE = {
    "update": {"product_flops": 1000, "flops": 900, "temp_bytes": 100, "loops": 3},
    "compilations": {"jit(chunk)": 2, "jit(play)": 1},
}


def test_no_more_work_than_before():
    """In a process of its own: what is compiled already would not be counted."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.guard.counted", "--baseline", str(BASELINE)],
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_baseline_holds_what_is_counted():
    kept = counted.read_baseline(BASELINE)
    assert kept
    for table in kept.values():
        assert set(table) == {*programs(Sizes()), "compilations"}
        for name, counts in table.items():
            assert all(isinstance(count, int) and count >= 0 for count in counts.values())
            assert name == "compilations" or set(counts) <= set(counted.TOLERANCES)


@pytest.fixture(scope="module")
def replay():
    return programs(Sizes(horizon=5, features=4, arms=3))["replay_gradient"]


def wasteful(program):
    """The same, computed twice; not quite the same arguments, or XLA would notice."""

    def twice(params, *data):
        once = program.function(params, *data)
        again = program.function(jax.tree.map(lambda leaf: leaf * 1.001, params), *data)
        return jax.tree.map(lambda a, b: a + b, once, again)

    return Program(twice, program.arguments)


def test_a_wasteful_program_is_caught(replay):
    baseline = {VERSION: {"replay": measure_program(replay)}}
    assert complaints({"replay": measure_program(replay)}, baseline, VERSION) == []
    found = complaints({"replay": measure_program(wasteful(replay))}, baseline, VERSION)
    caught = {line.split()[1] for line in found}
    assert {"product_flops", "flops", "bytes_accessed", "temp_bytes", "loops"} <= caught
    products = baseline[VERSION]["replay"]["product_flops"]
    expected = f"replay: product_flops is {2 * products:,}, was {products:,} (+100.0%, "
    assert any(line.startswith(expected) for line in found)
    # With another JAX, what was traced still tells.
    found = complaints(
        {"replay": measure_program(wasteful(replay))}, {"0.0": baseline[VERSION]}, VERSION
    )
    assert {line.split()[1] for line in found} >= {"product_flops", "elements"}


def changed(name, quantity, value):
    return TABLE | {name: TABLE[name] | {quantity: value}}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (TABLE, []),
        (changed("update", "product_flops", 1004), []),
        (changed("update", "product_flops", 10), []),
        (
            changed("update", "product_flops", 1006),
            ["update: product_flops is 1,006, was 1,000 (+0.6%, allowed +0.5%)"],
        ),
        (changed("update", "temp_bytes", 110), []),
        (
            changed("update", "temp_bytes", 111),
            ["update: temp_bytes is 111, was 100 (+11.0%, allowed +10.0%)"],
        ),
        (
            changed("compilations", "jit(chunk)", 3),
            ["compilations: jit(chunk) is 3, was 2 (+50.0%, allowed +0.0%)"],
        ),
        (
            changed("compilations", "jit(add)", 1),
            ["compilations: jit(add) is 1, was 0 (new, allowed +0.0%)"],
        ),
        (TABLE | {"fresh": {}}, ["fresh: not in the baseline"]),
        ({"update": TABLE["update"]}, ["compilations: not counted any more"]),
    ],
)
def test_what_is_complained_of(now, said):
    assert complaints(now, {"1.2": TABLE}, "1.2") == said


def test_another_version_is_held_to_what_is_traced():
    older = {"0.9": changed("update", "product_flops", 1), "0.10": TABLE}
    now = changed("update", "flops", 5000) | {"compilations": {"chunk": 9}}
    assert complaints(now, older, "0.11") == []  # 0.10 is the newest
    more = complaints(changed("update", "product_flops", 1200), older, "0.11")
    assert more == ["update: product_flops is 1,200, was 1,000 (+20.0%, allowed +10.0%)"]
    assert complaints(changed("update", "product_flops", 1100), older, "0.11") == []


def test_renewal_keeps_other_versions(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(counted, "measure", lambda: TABLE)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    path = tmp_path / "counted.json"
    path.write_text(json.dumps({"0.0": {}}))
    options = ["--baseline", str(path)]
    assert counted.main([*options, "--renew"]) == 0
    assert counted.read_baseline(path) == {"0.0": {}, VERSION: TABLE}
    assert counted.main(options) == 0
    assert "no more work than before" in capsys.readouterr().out
    monkeypatch.setattr(counted, "measure", lambda: changed("update", "loops", 4))
    assert counted.main(options) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "update: loops is 4, was 3 (+33.3%, allowed +0.0%)"
    assert told[1].endswith(f"counted --renew --baseline {path}")


def test_a_renewal_that_fails_leaves_the_former_baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(counted, "measure", lambda: TABLE)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    path = tmp_path / "counted.json"
    path.write_text(json.dumps({"0.0": {}}))

    def full(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        counted.main(["--baseline", str(path), "--renew"])
    assert counted.read_baseline(path) == {"0.0": {}}
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_baseline_it_says_how_to_make_one(tmp_path):
    with pytest.raises(SystemExit, match="no baseline"):
        counted.main(["--baseline", str(tmp_path / "none.json")])


def test_work_grows_with_steps_and_agents_alone():
    growth = counted.measure_growth(Sizes(horizon=6, tasks=3, features=4, arms=3))
    assert growth["horizon"] <= 2.0
    assert growth["tasks"] <= 2.0


def test_second_order_costs_at_most_twice_first_order():
    """In products of matrices, at the sizes that are guarded."""
    for table in counted.read_baseline(BASELINE).values():
        first, second = (table[f"update_{kind}_order"] for kind in ("first", "second"))
        assert second["product_flops"] <= 2 * first["product_flops"]
