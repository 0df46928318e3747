"""The framework: real workers, tiny contenders, some of which fail."""

import os
from pathlib import Path

import pytest

from benchmarks.harness.contender import Case, Contender
from benchmarks.harness.process import NotMeasured, Worker, environment
from benchmarks.harness.runner import Settings, measure_case
from mermaide_jax._jax import cpu
from mermaide_jax.errors import ConfigError

HERE = {
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
}
BRIEF = Settings(quick=True, repeats=3, least_s=0.001)


def fake(name, factory, **options):
    limit = options.pop("limit_s", 20.0)
    return Contender(name, f"contestants:{factory}", options, limit_s=limit, environment=HERE)


def case(*contenders, **changes):
    return Case("tiny", "tiny_case", "call", contenders, agree_within=0.01, **changes)


def test_contenders_are_interleaved_and_failures_do_not_stop_the_rest():
    said = []
    record = measure_case(
        case(
            fake("plain", "constant", burn_s=0.002),
            fake("slower", "constant", burn_s=0.006),
            fake("liar", "constant", value=2.0),
            fake("facts", "with_facts"),
            fake("lacking", "needs", library="no_such_library"),
            fake("raising", "raises"),
            fake("dying", "dies"),
            fake("endless", "sleeps", seconds=60, limit_s=0.5),
            fake("misnamed", "nobody"),
        ),
        BRIEF,
        said.append,
    )
    by_name = {entry["name"]: entry for entry in record["contenders"]}
    assert list(by_name) == [
        "plain", "slower", "liar", "facts", "lacking", "raising", "dying", "endless", "misnamed",
    ]  # fmt: skip
    for name in ("plain", "slower", "liar", "facts"):
        entry = by_name[name]
        assert entry["status"] == "measured"
        assert len(entry["cpu_s"]) == len(entry["wall_s"]) == record["repeats"] == 3
        summary = entry["summary"]
        assert summary["lower_quartile_s"] <= summary["median_s"] <= summary["upper_quartile_s"]
    assert 0.002 <= by_name["plain"]["summary"]["median_s"] < 0.006
    assert by_name["slower"]["summary"]["rate"] < by_name["plain"]["summary"]["rate"]
    assert by_name["plain"]["checksum"]["mean"] == 1.0
    assert record["checksums_agree"] == {"checked": True, "disagree": ["liar", "facts"]}
    facts = by_name["facts"]["facts"]
    assert facts["compile_s"] == 1.5
    assert facts["core"][0] in cpu.usable_cores()
    assert len(facts["core"]) == 1
    reasons = {n: e["reason"] for n, e in by_name.items() if e["status"] == "not measured"}
    assert reasons["lacking"] == "not installed: no_such_library"
    assert reasons["raising"] == "ValueError: no such luck"
    assert reasons["dying"] == "its process died while asked to run (exit code 3): last words"
    assert reasons["endless"] == "took longer than 0.5 s to run"
    assert reasons["misnamed"].startswith("AttributeError: ")
    assert len(reasons) == 5
    assert any("lacking: not measured: not installed" in line for line in said)


def test_a_repeat_lasts_long_enough():
    settings = Settings(quick=True, repeats=2, least_s=0.02)
    record = measure_case(case(fake("short", "constant", burn_s=0.0005)), settings)
    (entry,) = record["contenders"]
    assert entry["calls"] >= 8
    assert min(entry["wall_s"]) >= 0.01
    assert record["checksums_agree"] == {"checked": False, "disagree": []}


def test_whole_processes_are_called_once():
    record = measure_case(case(fake("once", "constant"), call_once=True, repeats=1), BRIEF)
    (entry,) = record["contenders"]
    assert entry["calls"] == len(entry["cpu_s"]) == 1


@pytest.mark.parametrize(("warm_up", "timed"), [(False, (1, 2, 3)), (True, (2, 4, 6))])
def test_a_repeat_is_warmed_up_where_the_case_says_so(warm_up, timed):
    counter = case(fake("counter", "counts"), call_once=True, warm_up=warm_up)
    record = measure_case(counter, BRIEF)
    (entry,) = record["contenders"]
    assert record["warm_up"] is warm_up
    assert len(entry["wall_s"]) == len(timed)
    assert entry["checksum"]["mean"] == sum(timed) / len(timed)


def test_worker_has_one_thread_and_what_differs(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    contender = Contender(
        "x", "contestants:environment", {"name": "XLA_FLAGS"}, environment={**HERE, "A": "b"}
    )
    with Worker(contender) as worker:
        facts = worker.prepare([])["facts"]
    assert "intra_op_parallelism_threads=1" in facts["value"]
    assert "JAX_COMPILATION_CACHE_DIR" not in environment({})
    assert environment({"OMP_NUM_THREADS": "2"})["OMP_NUM_THREADS"] == "2"


def test_running_before_preparing_is_an_error():
    with Worker(fake("x", "constant")) as worker, pytest.raises(NotMeasured, match="prepared"):
        worker.run(1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factory": "module"}, "factory: got 'module', expected module:function"),
        ({"work": 0.0}, "work: got 0.0"),
        ({"cores": 0}, "cores: got 0"),
    ],
)
def test_bad_contenders_are_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        Contender(**{"name": "x", "factory": "a:b", **changes})


def test_names_are_unique():
    with pytest.raises(ConfigError, match="contenders"):
        case(fake("x", "constant"), fake("x", "raises"))


def test_another_platform_is_told_to_jax_and_timed_by_the_wall():
    contender = Contender(
        "x", "contestants:environment", {"name": "JAX_PLATFORMS"}, environment=HERE
    )
    record = measure_case(case(contender), BRIEF._replace(platform="gpu"))
    assert record["clock"] == "wall"
    assert record["contenders"][0]["facts"]["value"] == "cuda"
