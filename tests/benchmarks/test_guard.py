"""The guard: no more work than the committed baseline, and more work is noticed."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from benchmarks.guard import __main__ as guard
from benchmarks.guard import baseline
from benchmarks.guard.baseline import complaints
from benchmarks.guard.counting import count_traced
from benchmarks.guard.programs import Program, Sizes, measure_growth, measure_program, programs
from benchmarks.workloads.populations import mixed_set
from mermaide_jax.games import GameConfig, collect
from mermaide_jax.principals import random

ROOT = Path(__file__).parents[2]
VERSION = baseline.jax_version()
TABLE = {
    "update": {"product_flops": 1000, "flops": 900, "temp_bytes": 100, "loops": 3},
    "compilations": {"jit(chunk)": 2, "jit(play)": 1},
}

pytestmark = pytest.mark.guard


def test_no_more_work_than_before():
    """In a process of its own: what is compiled already would not be counted."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.guard"],
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_baselines_hold_what_is_counted():
    kept = baseline.versions()
    assert {"0.10", "0.12"} <= set(kept)
    assert kept.index("0.10") < kept.index("0.12")
    for version in kept:
        table = baseline.read(version)
        assert table is not None
        assert set(table) == {*programs(Sizes()), "compilations"}
        for name, counts in table.items():
            assert all(isinstance(count, int) and count >= 0 for count in counts.values())
            assert name == "compilations" or set(counts) <= set(baseline.TOLERANCES)


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
    former = {"replay": measure_program(replay)}
    assert complaints({"replay": measure_program(replay)}, former) == []
    found = complaints({"replay": measure_program(wasteful(replay))}, former)
    caught = {line.split()[1] for line in found}
    assert {"product_flops", "flops", "bytes_accessed", "temp_bytes", "loops"} <= caught
    products = former["replay"]["product_flops"]
    expected = f"replay: product_flops is {2 * products:,}, was {products:,} (+100.0%, "
    assert any(line.startswith(expected) for line in found)


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
    assert complaints(now, TABLE) == said


@pytest.fixture
def counting(monkeypatch):
    """The command with nothing to count; returns a function that says what is counted."""
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setenv("XLA_FLAGS", os.environ["XLA_FLAGS"])
    return lambda table: monkeypatch.setattr(guard.programs, "measure", lambda: table)


def test_renewal_keeps_other_versions(tmp_path, counting, capsys):
    baseline.write({}, "0.0", tmp_path)
    options = ["--baselines", str(tmp_path)]
    counting(TABLE)
    assert guard.main([*options, "--renew"]) == 0
    assert baseline.versions(tmp_path) == ["0.0", VERSION]
    assert (baseline.read("0.0", tmp_path), baseline.read(VERSION, tmp_path)) == ({}, TABLE)
    assert guard.main(options) == 0
    assert "no more work than before" in capsys.readouterr().out
    counting(changed("update", "loops", 4))
    assert guard.main(options) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "update: loops is 4, was 3 (+33.3%, allowed +0.0%)"
    assert told[1].endswith(f"benchmarks.guard --renew --baselines {tmp_path}")


def test_a_renewal_that_fails_leaves_the_former_baseline(tmp_path, monkeypatch, counting):
    former = baseline.write({}, VERSION, tmp_path)
    counting(TABLE)

    def full(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        guard.main(["--baselines", str(tmp_path), "--renew"])
    assert baseline.read(VERSION, tmp_path) == {}
    assert list(tmp_path.iterdir()) == [former]


def test_a_version_without_a_baseline_is_refused(tmp_path, counting, capsys):
    counting(None)  # nothing may be counted
    for version in ("0.9", "0.10"):
        baseline.write(TABLE, version, tmp_path)
    baseline.path_of(VERSION, tmp_path).unlink(missing_ok=True)
    assert guard.main(["--baselines", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(f"guard: error: JAX {VERSION}: no baseline in {tmp_path}, only for 0.9")
    assert told.endswith("to make one: python -m benchmarks.guard --renew\n")


def test_work_grows_with_steps_and_agents_alone():
    growth = measure_growth(Sizes(horizon=6, tasks=3, features=4, arms=3))
    assert growth["horizon"] <= 2.0
    assert growth["tasks"] <= 2.0


def test_a_mixed_set_does_the_work_of_its_families_and_no_more():
    """Counted, as the suite `populations` measures it."""
    played, tasks = mixed_set(24, 2, GameConfig(5, 7))
    scripted, key = random(played[0].pay_target), jax.random.key(0)

    def work(game, tasks):
        play = lambda key, tasks: collect(key, game, scripted, 0.5, tasks, 1).reward  # noqa: E731
        return dataclasses.asdict(count_traced(play, key, tasks))

    whole = work(played, tasks)
    parts = [work(*part) for part in zip(played, tasks, strict=True)]
    for quantity, count in whole.items():
        assert count <= 1.01 * sum(part[quantity] for part in parts), quantity


@pytest.mark.parametrize("version", baseline.versions())
def test_second_order_costs_at_most_twice_first_order(version):
    """In products of matrices, at the sizes that are guarded."""
    table = baseline.read(version)
    assert table is not None
    first, second = (table[f"update_{kind}_order"] for kind in ("first", "second"))
    assert second["product_flops"] <= 2 * first["product_flops"]
