"""Experiments as modules: they lie outside of the package, so they are loaded by their file."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def load_experiment(name: str, monkeypatch: pytest.MonkeyPatch):
    """``experiments/NAME.py`` as a module, which its dataclasses can find until the test ends."""
    specification = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, name, module)
    specification.loader.exec_module(module)
    return module


def run_experiment(
    module: ModuleType, experiment: type, monkeypatch: pytest.MonkeyPatch, *options: str
) -> int:
    """The exit code of the experiment as the command line starts it, with these options."""
    monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *options])
    return module.start(module.main, experiment, None)
