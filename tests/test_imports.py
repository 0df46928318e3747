"""What importing the package costs, what it loads, and the names that it hands on lazily."""

import importlib
import inspect
import json
import statistics
import subprocess
import sys

import jax
import pytest

import mermaide_jax
from mermaide_jax import agents, games

HEAVY = ("flax", "distrax", "orbax", "matplotlib", "jax.experimental.pallas")
LIGHT = ("mermaide_jax", "mermaide_jax.agents", "mermaide_jax.games", "mermaide_jax.registry")


def in_a_fresh_process(code):
    """What a new interpreter prints, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", LIGHT)
def test_what_is_light_loads_nothing_heavy(module):
    loaded = in_a_fresh_process(
        f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
    )
    assert module in loaded
    assert not {name for name in loaded for heavy in HEAVY if f"{name}.".startswith(f"{heavy}.")}


def test_the_families_are_listed_without_anything_heavy():
    """As in a table or a check of arguments: names come from the modules that define agents."""
    code = "import json, sys, mermaide_jax; names = mermaide_jax.names('family')"
    names, loaded = in_a_fresh_process(f"{code}; print(json.dumps([names, sorted(sys.modules)]))")
    assert names == mermaide_jax.names("family")
    assert not set(HEAVY) & set(loaded)


def test_the_heavy_are_there_to_be_loaded():
    """Else the tests above could not fail."""
    needed = "import mermaide_jax.principals.learned, mermaide_jax.networks.gru.pallas, json, sys"
    loaded = in_a_fresh_process(f"{needed}; print(json.dumps(sorted(sys.modules)))")
    assert {"flax", "distrax", "jax.experimental.pallas"} <= set(loaded)


def test_importing_the_package_costs_next_to_nothing_beyond_jax():
    """Processor time, which other work on the machine leaves alone."""
    code = """
import jax, time
start = time.process_time()
import mermaide_jax
print(time.process_time() - start)
"""
    assert statistics.median(in_a_fresh_process(code) for _ in range(5)) < 0.2


@pytest.mark.parametrize("name", mermaide_jax.__all__)
def test_a_name_that_is_handed_on_is_that_of_its_package(name):
    value = getattr(mermaide_jax, name)
    if name == "__version__":
        assert isinstance(value, str)
        return
    home = importlib.import_module(value.__module__)
    assert getattr(home, value.__name__) is value
    assert home.__name__.startswith("mermaide_jax.")
    assert inspect.getdoc(value)


def test_lazy_names_are_listed_and_loaded_when_first_used():
    code = """
import json, sys, mermaide_jax
before = [sorted(dir(mermaide_jax)), "mermaide_jax.training" in sys.modules]
mermaide_jax.train
print(json.dumps([*before, "mermaide_jax.training" in sys.modules, "train" in vars(mermaide_jax)]))
"""
    listed, before, after, kept = in_a_fresh_process(code)
    assert set(mermaide_jax.__all__) <= set(listed)
    assert (before, after, kept) == (False, True, True)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'mermaide_jax' has no attribute 'trian'$"):
        mermaide_jax.trian  # noqa: B018
    assert not hasattr(mermaide_jax, "__path_of_nothing__")


def test_the_names_work_together():
    """The example of three lines: an agent, its game, an episode."""
    agent = mermaide_jax.make("family", "ucb", 3)
    game = mermaide_jax.make("game", "intervention", agent, games.GameConfig(3, 4))
    assert isinstance(agent, mermaide_jax.Agent) and isinstance(game, mermaide_jax.Game)
    principal = mermaide_jax.make("principal", "always", game)
    bandit = games.draw_bandit(jax.random.key(0), 3, games.Economics())
    task = mermaide_jax.Task(agents.make_params("ucb", 0.3), bandit)
    played = mermaide_jax.rollout(jax.random.key(1), game, principal, 1.0, task)
    assert isinstance(played, mermaide_jax.Trajectory)
    assert played.intervention.tolist() == [1, 1, 1, 1]
