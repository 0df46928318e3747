"""The script of the ablations: flags, the cache, the study and its exit code."""

import os
import sys

import pytest
from experiment_scripts import load_experiment

from mermaide_jax import registry
from mermaide_jax.cli.progress import TrainingProgress
from mermaide_jax.errors import ConfigError
from mermaide_jax.studies.kit import start


@pytest.fixture
def ablations(monkeypatch):
    """The script as a module, which sets no flags of this process."""
    module = load_experiment("ablations", monkeypatch)
    monkeypatch.setattr(module, "set_xla_flags", lambda environ: None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return module


@pytest.mark.usefixtures("compile_cache_on")
def test_it_runs_the_study_and_shows_the_training(ablations, tmp_path, monkeypatch, capsys):
    seen = []

    def main(options, show):
        seen.append(options)
        assert isinstance(show(registry.get("preset", "smoke").value), TrainingProgress)
        if options.seeds == 2:
            raise ConfigError("--seeds: got 2")
        return 1

    monkeypatch.setattr(ablations.study, "main", main)
    for seeds, code in ((1, 1), (2, 2)):
        argv = ["ablations.py", "--out", str(tmp_path / "out"), "--seeds", str(seeds)]
        monkeypatch.setattr(sys, "argv", argv)
        assert start(ablations.main, ablations.study.Ablations, None) == code
    assert [options.seeds for options in seen] == [1, 2]
    assert "error: --seeds: got 2\n" in capsys.readouterr().err


def test_flags_are_added_only_if_this_release_knows_them(ablations, monkeypatch):
    known = "--xla_backend_optimization_level=0"
    monkeypatch.setattr(ablations, "QUICK", ("--xla_no_such_flag_of_any_release=1", known))
    flags = {"XLA_FLAGS": "--other=1"}
    ablations.compile_quickly(flags)
    assert flags == {"XLA_FLAGS": f"--other=1 {known}"}
