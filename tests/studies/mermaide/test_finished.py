"""Reading finished studies: parts, runs that may be compared, studies put together."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import jax
import pytest

from mermaide_jax.errors import ConfigError
from mermaide_jax.results.results import read_results, write_results
from mermaide_jax.studies.mermaide import finished as module
from mermaide_jax.studies.mermaide.finished import load_parts, load_runs, read_study
from mermaide_jax.studies.mermaide.run import load_study

COMPARED = ("mermaide", ("reinforce", "world_model_without_meta"))


def test_parts_hold_the_principals_that_are_wanted(finished):
    (part,) = load_parts((finished,), lambda name, config: name == "reinforce")
    assert set(part.trained) == {"reinforce"} and part.config.seeds == 2
    both = load_parts((finished, finished))
    assert [set(part.trained) for part in both] == [{"mermaide", "reinforce"}] * 2
    for places in ((), (finished,)):
        expected = f"^results: got {re.escape(str([str(p) for p in places]))}, expected .* a sage"
        with pytest.raises(ConfigError, match=expected):
            load_parts(places, lambda name, config: False, "a sage")


def test_runs_have_params_of_their_own(finished):
    runs, (config, trained) = load_runs((finished,), *COMPARED), load_study(finished)
    assert len(runs) == 2 * 2  # principals, seeds
    for run in runs:
        assert run.config == config
        own = jax.tree.map(lambda leaf, n=run.stream.seed: leaf[n], trained[run.name].params)
        same = jax.tree.map(lambda x, y: bool((x == y).all()), own, run.params)
        assert all(jax.tree.leaves(same))


def test_of_runs_in_two_parts_the_last_is_taken(finished, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(finished, part)
    config = json.loads((part / "config.json").read_text())
    config["evaluation"]["shots"] = [1]
    (part / "config.json").write_text(json.dumps(config))
    alone, both = (load_runs(places, *COMPARED) for places in ((finished,), (finished, part)))
    assert len(alone) == len(both) == 2 * 2
    assert {run.config.evaluation.shots for run in alone} == {(0, 1)}
    assert {run.config.evaluation.shots for run in both} == {(1,)}
    config["game"]["cost"] = 0.5
    (part / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=r"^results: got .*parts of one study"):
        load_runs((finished, part), *COMPARED)
    with pytest.raises(ConfigError, match=r"^results: got"):
        load_runs((), *COMPARED)
    for names in (["mermaide"], ["reinforce"]):
        (part / "config.json").write_text(json.dumps(config | {"principals": names}))
        with pytest.raises(ConfigError, match=f"^principals: got {re.escape(str(names))}"):
            load_runs((part,), *COMPARED)


def test_runs_are_compared_like_with_like(finished, monkeypatch):
    whole = load_study(finished)

    def load(*changes):
        parts = {
            Path(names[0]): (
                dataclasses.replace(whole[0], **change),
                {name: whole[1][name] for name in names},
            )
            for *names, change in changes
        }
        monkeypatch.setattr(module, "load_study", parts.__getitem__)
        return load_runs(tuple(parts), *COMPARED)

    assert len(load(("mermaide", {}), ("reinforce", {}))) == 2 * 2
    with pytest.raises(ConfigError, match=r"^results: got .*the same families and seeds"):
        load(("mermaide", {}), ("reinforce", {"seeds": 1}))
    once = {"evaluation": dataclasses.replace(whole[0].evaluation, shots=(1,))}
    with pytest.raises(ConfigError, match=r"^shots: got \[\(0, 1\), \(1,\)\]"):
        load(("mermaide", {}), ("reinforce", once))


def test_a_study_in_parts_is_put_together(finished, tmp_path):
    whole, parts = read_results(finished), []
    for seed in (0, 1):
        rows = [row for row in whole.rows if row["seed"] == seed]
        part = dataclasses.replace(whole, rows=rows, curves=[], command=f"part {seed}")
        parts.append(tmp_path / str(seed))
        parts[-1].mkdir()
        write_results(parts[-1], part)
    merged = read_study(parts)
    assert merged.command == "part 0\npart 1"
    assert sorted(map(str, merged.rows)) == sorted(map(str, whole.rows))
    share = lambda r: (str(r["principal"]), r["k_shot"], r["oracle"], r["share"])  # noqa: E731
    assert sorted(map(share, merged.attained)) == sorted(map(share, whole.attained))
    with pytest.raises(ConfigError, match=r"^results: got"):
        read_study(())
    with pytest.raises(ConfigError, match="each run once"):
        read_study((parts[0], parts[0]))
    alone = [row for row in whole.rows if row["principal"] != "reinforce"]
    write_results(parts[0], dataclasses.replace(whole, rows=alone, curves=[]))
    with pytest.raises(ConfigError, match=r"^principals: got"):
        read_study(parts[:1])
