"""The measure of our own throughput: every work at a small size, the report, its table."""

import itertools
import json
import math
import re

import jax
import numpy as np
import pytest

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.throughput import factories, measure
from mermaide_jax.throughput.timing import Run
from mermaide_jax.throughput.works import WORKS, Work

SMALL = {
    "agents_alone": {"agents": 5, "horizon": 12, "num_arms": 3},
    "preset_rollouts": {"preset": "smoke", "agents": 4},
    "preset_updates": {"preset": "smoke", "number": 2},
}


@pytest.mark.parametrize("name", WORKS)
def test_every_work_can_be_done_and_its_draws_differ(name):
    work = WORKS[name]
    run = getattr(factories, work.factory)(**work.options | SMALL[work.factory])
    found = [run() for _ in range(4)]
    assert np.isfinite(found).all()
    assert len(set(found)) > 1
    assert run.facts["compile_s"] > 0
    json.dumps(run.facts)


def test_the_amounts_are_what_one_call_does():
    """Steps by the sizes of the presets and the works themselves."""
    horizon = registry.get("preset", "quick").value.game.horizon
    for work in WORKS.values():
        steps = {
            "agents_alone": lambda o: o["agents"] * o["horizon"],
            "preset_rollouts": lambda o: o["agents"] * horizon,
            "preset_updates": lambda o: o["number"],
        }[work.factory](work.options)
        assert work.amount == steps


def test_updates_go_on_from_where_they_are():
    run = factories.preset_updates("smoke", "reinforce", 2)
    assert run.facts["devices"] == jax.device_count()
    assert run() != run()


@pytest.fixture
def works(monkeypatch):
    """Two works that only count: each call adds its name to a list."""
    calls = []

    def make(name, **facts):
        return Run(lambda: float(len(calls.append(name) or calls)), compile_s=1.5, **facts)

    monkeypatch.setattr(factories, "made_up", make, raising=False)
    titles = {"a": "first", "b": "second"}
    made = {n: Work(title, "steps", 3, "made_up", {"name": n}) for n, title in titles.items()}
    return made, calls


def test_works_are_repeated_in_turn(works, monkeypatch):
    made, calls = works
    ticks = itertools.count()
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(ticks)))
    said = []
    report = measure.measure(made, repeats=3, least_s=0.5, say=said.append)
    assert calls[-6:] == ["a", "b"] * 3
    assert said == ["compiling: first", "compiling: second", "measuring: 3 repeats of each"]
    assert list(report["works"]) == ["a", "b"]
    for record in report["works"].values():
        assert record["seconds"] == [1.0, 1.0, 1.0]
        assert (record["calls"], record["median_s"], record["rate"]) == (1, 1.0, 3.0)
        assert (record["compile_s"], record["setup_s"]) == (1.5, 1.0)


def test_the_report_names_machine_and_versions(works):
    report = measure.measure(works[0], repeats=2, least_s=1e-6)
    assert {"format_version", "created", "revision", "devices", "wall_time_s"} <= set(report)
    assert report["versions"]["jax"] == jax.__version__
    assert report["machine"]["cores"] >= 1
    for record in report["works"].values():
        assert len(record["seconds"]) == report["repeats"] == 2
        assert record["lower_quartile_s"] <= record["median_s"] <= record["upper_quartile_s"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_full_measurements_have_a_median_of_many():
    assert measure.REPEATS >= 10
    with pytest.raises(ConfigError, match="repeats: got 0"):
        measure.measure({}, repeats=0)


def test_the_table_says_rate_spread_and_compilation():
    record = {
        "title": "agents", "unit": "steps", "amount": 2_000_000, "compile_s": 2.34,
        "median_s": 0.02, "lower_quartile_s": 0.01, "upper_quartile_s": 0.04, "rate": 1e8,
    }  # fmt: skip
    slow = record | {"title": "training", "unit": "updates", "amount": 1, "rate": 0.5}
    slow |= {"median_s": 2.0, "lower_quartile_s": 2.0, "upper_quartile_s": math.pi}
    text = measure.table(
        {
            "works": {"a": record, "b": slow},
            "devices": "2 x cpu (Zen)",
            "versions": {"python": "3.13.0", "jax": "0.12.0"},
            "repeats": 12,
        }
    )
    head, blank, _, *rows = text.splitlines()
    assert head == "2 x cpu (Zen), one used; python 3.13.0, jax 0.12.0; 12 repeats"
    assert blank == ""
    cells = [re.split(r"\s{2,}", row.strip()) for row in rows]
    assert cells[0] == ["agents", "100 M steps/s", "50 M to 200 M", "20 ms", "2.34 s"]
    assert cells[1] == ["training", "0.5 updates/s", "0.318 to 0.5", "2 s", "2.34 s"]
