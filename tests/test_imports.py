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


def in_a_fresh_process(code):
    """What a new interpreter prints, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_games_and_the_list_of_families_load_nothing_heavy():
    """Names come from the modules that define agents, as for a table or a check of arguments."""
    code = """
import json, sys
import mermaide_jax.games
before = sorted(sys.modules)
names = mermaide_jax.names("family")
print(json.dumps([names, before, sorted(sys.modules)]))
"""
    names, *stages = in_a_fresh_process(code)
    assert names == mermaide_jax.names("family")
    for loaded in stages:
        assert "mermaide_jax.games" in loaded
        assert not {m for m in loaded for heavy in HEAVY if f"{m}.".startswith(f"{heavy}.")}


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
    assert statistics.median(in_a_fresh_process(code) for _ in range(3)) < 0.2


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
