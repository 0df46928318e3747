"""One file, one line: a member of each kind is a module of its own, and no other file knows it."""

import importlib
import sys
from typing import Any, get_args

import numpy as np
import pytest
from matplotlib.text import Text

from mermaide_jax import checks, cli, registry
from mermaide_jax.cli import listing
from mermaide_jax.cli.parsing import parse
from mermaide_jax.errors import ConfigError
from mermaide_jax.registry import Parameter
from mermaide_jax.report.figures import score_figure
from mermaide_jax.results.results import read_results

SOURCES = {
    "family": """
import jax
from mermaide_jax.agents import UCBParams, sample_mean_agent
from mermaide_jax.registry import Parameter, register

def softmax(num_arms):
    values = lambda params, state: state.means / params.beta
    act = lambda key, p, state, offer: jax.random.categorical(key, values(p, state)).astype("int32")
    law = lambda params, state, offer: jax.nn.softmax(values(params, state))
    return sample_mean_agent(num_arms, act, law)

register("family", "my_family", softmax, label="My family", summary="softmax of its means",
         parameters=(Parameter("temperature", (0.05, 0.1, 0.2, 0.3, 0.5), low=0.01),),
         params=UCBParams)
""",
    "principal": """
import jax.numpy as jnp
from mermaide_jax.base import Principal
from mermaide_jax.games import collect
from mermaide_jax.principals.members import Learned, Planned
from mermaide_jax.registry import Parameter, register

def until(game):
    def act(key, budget, time, observation):
        return jnp.where(time < budget, game.pay_target(observation), 0), time + 1, ()
    return Principal(lambda params: jnp.int32(0), act)

def play(key, tune_key, game, tasks, options):
    return collect(key, game, until(game), jnp.float32(1), tasks, options.episodes)

register("principal", "my_principal", until, label="My budget", summary="scripted: until a budget",
         parameters=(Parameter("budget", (1.0, 2.0)),))
register("principal", "my_learned", Learned(lambda network, training: (network, training)),
         label="My learner", summary="learned: as configured")
register("principal", "my_planned", Planned(play, lambda options: options.episodes),
         label="My planner", summary="pays first", role="reference", note="My planner plans.")
""",
    "game": """
from mermaide_jax.games import GameConfig, make_intervention_game
from mermaide_jax.registry import register

def generous(agent, config):
    game = make_intervention_game(agent, config)
    def step(*args):
        observation, state, reward, *rest = game.step(*args)
        return observation, state, reward + 100, *rest
    return game._replace(step=step)

register("game", "my_game", generous, label="My game", summary="earns 100 more in each step",
         config=GameConfig)
""",
    "environment": """
import jax.numpy as jnp
from mermaide_jax.base import Environment
from mermaide_jax.registry import register

def clock(horizon=3):
    see = lambda time: time.astype(jnp.float32)[None]
    def reset(key, task):
        return see(jnp.int32(0)), jnp.int32(0)
    def step(key, time, action, task):
        time = time + 1
        return see(time), time, task, jnp.bool_(False), time >= horizon, ()
    return Environment(reset, step, 2, 1, horizon)

register("environment", "my_environment", clock, label="My clock", summary="counts its steps")
""",
    "network": """
from mermaide_jax.networks import head_sizes, recurrent_pair
from mermaide_jax.networks.heads import MLPHead
from mermaide_jax.registry import register

def wide(config, sizes):
    outputs = head_sizes(config, sizes)
    heads = {name: MLPHead(size, 2 * config.features) for name, size in outputs.items()}
    return recurrent_pair(config, sizes, heads)

register("network", "my_network", wide, label="my networks", summary="twice as wide")
""",
    "meta_gradient": """
import functools
from mermaide_jax import losses, meta
from mermaide_jax.registry import register

loop = functools.partial(meta.inner_loop, first_order=True)
register("meta_gradient", "my_meta_gradient", meta.MetaGradient(loop, losses.reinforce_loss),
         label="mine", summary="first order, whole returns")
""",
    "preset": """
from dataclasses import replace
from mermaide_jax.networks import NetworkConfig
from mermaide_jax.registry import get, register

base = get("preset", "smoke").value
register("preset", "my_preset", replace(
    base,
    game=replace(base.game, horizon=4, num_arms=3),
    agents=replace(base.agents, families=("ucb",), train=3, test=2),
    network=NetworkConfig(architecture="mlp", features=3),
    training=replace(base.training, updates=2, world_model_updates=0, tasks_per_update=2,
                     episodes_per_task=2),
    evaluation=replace(base.evaluation, episodes=2),
    principals=("never",),
    seeds=1,
), label="my preset", summary="as small as can be")
""",
    "study": '''
import dataclasses
from mermaide_jax.registry import register
from mermaide_jax.studies.kit import Study

@dataclasses.dataclass(frozen=True)
class Options:
    """What it takes."""
    number: int = 3
    """Some number."""

def run(options):
    print(f"my study of {options.number}")

register("study", "my_study", Study(Options, run), label="My study", summary="prints a number")
''',
}
OPTIONS = {
    "family": "--agents.families",
    "principal": "--principals",
    "game": "--game.name",
    "network": "--network.architecture",
    "meta_gradient": "--training.meta-gradient",
    "preset": "--preset",
}
KINDS = get_args(registry.Kind)


@pytest.fixture(autouse=True)
def strangers_leave(guest_registry):
    """Modules that a test imports by name are forgotten too, and what was installed."""
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.startswith(("my_", "broken")):
            del sys.modules[name]
    guest_registry._open_entry_points.cache_clear()


def written(directory, kind, source=None, name=None):
    """The path of the module that defines a member of a kind."""
    path = directory / f"{name or f'my_{kind}_module'}.py"
    path.write_text(SOURCES[kind] if source is None else source, encoding="utf-8")
    return path


def distribute(directory, module):
    """A distribution as an installer would leave it, with an entry point."""
    about = directory / "my_distribution-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-distribution\nVersion: 1.2\n")
    points = f"[mermaide_jax.members]\nmine = {module}\n"
    (about / "entry_points.txt").write_text(points, encoding="utf-8")
    registry._open_entry_points.cache_clear()


def test_there_is_a_source_of_each_kind():
    assert set(SOURCES) == set(KINDS)


@pytest.mark.parametrize("how", ["path", "module", "entry point"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_member_is_one_module(kind, how, tmp_path, monkeypatch):
    path = written(tmp_path, kind)
    name = f"my_{kind}"
    assert name not in registry.names(kind)
    monkeypatch.syspath_prepend(str(tmp_path))
    if how == "entry point":
        distribute(tmp_path, path.stem)
    else:
        registry.load(str(path) if how == "path" else path.stem)
    member = registry.get(kind, name)
    assert registry.names(kind).index(name) > 0 or kind == "environment"
    assert member.origin == (str(path) if how == "path" else path.stem)
    assert registry.label(kind, name) == member.label
    assert f"  {name}  " in listing.text() and member.summary in listing.text()
    with pytest.raises(ConfigError, match=rf"got 'nope', expected one of .*\b{name}\b"):
        registry.get(kind, "nope")
    if kind in OPTIONS:
        with pytest.raises(ConfigError, match=rf"^{OPTIONS[kind]}: got 'nope', .*\b{name}\b"):
            parse(["reproduce", "--out", "x", OPTIONS[kind], "nope"])


def test_a_small_study_of_members_from_outside(tmp_path, capsys):
    """Each from a file of its own: they stand in its table and figure by their labels."""
    loads = [w for kind in KINDS for w in ("--load", str(written(tmp_path, kind)))]
    out = tmp_path / "out"
    words = ["reproduce", "--preset", "my_preset", "--out", str(out), "--agents.families"]
    words += ["my_family", "--game.name", "my_game"]
    words += ["--network.architecture", "my_network", "--training.meta-gradient"]
    words += ["my_meta_gradient", "--no-compile-cache", "--principals", "never"]
    assert cli.main([*loads, *words, "my_principal", "my_learned", "my_planned"]) == 0
    said = capsys.readouterr().out
    for label in ("My family agents, 0-shot", "My budget", "My learner", "My planner, ref."):
        assert label in said
    assert "My planner plans." in said
    results = read_results(out)
    scores = {row["principal"]: row["score"] for row in results.rows}
    assert scores.keys() == {"never", "my_principal", "my_learned", "my_planned"}
    assert min(scores.values()) > 4 * 100 - 4 * 0.75 - 1e-3  # of `my_game`
    drawn = " ".join(text.get_text() for text in score_figure(results.rows).findobj(Text))
    drawn = " ".join(drawn.split())
    for label in ("My family", "My budget", "My learner", "My planner"):
        assert label in drawn
    assert results.config["training"]["meta_gradient"] == "my_meta_gradient"


def test_what_is_loaded_joins_the_study(tmp_path):
    path = written(tmp_path, "family")
    registry.load(str(path))
    command: Any = parse(["reproduce", "--out", "x"], {"family": ["my_family"], "principal": []})
    assert command.study.agents.families == ("ucb", "epsilon_greedy", "my_family")


def test_a_study_from_outside_runs_with_its_options(tmp_path, capsys):
    words = ["--load", str(written(tmp_path, "study")), "run", "my_study", "--number", "5"]
    assert cli.main(words) == 0
    assert "my study of 5" in capsys.readouterr().out


def test_an_environment_from_outside_is_one(tmp_path):
    registry.load(str(written(tmp_path, "environment")))
    environment = registry.make("environment", "my_environment", horizon=4)
    checks.check_environment(environment, np.float32(0.5))


def test_a_family_from_outside_keeps_the_contract(tmp_path):
    registry.load(str(written(tmp_path, "family")))
    from mermaide_jax import agents

    checks.check_agent(agents.make_agent("my_family", 3), agents.make_params("my_family", 0.3))


# --- what goes wrong ------------------------------------------------------------------------------


def refused(call, *args):
    """The line of a refusal."""
    with pytest.raises(ConfigError) as caught:
        call(*args)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_clash_tells_both_origins(tmp_path):
    source = SOURCES["family"].replace("my_family", "ucb")
    path = written(tmp_path, "family", source)
    assert refused(registry.load, str(path)) == (
        f"--load {path}: name: got 'ucb', expected a family that is not registered yet: "
        f"mermaide_jax.agents.ucb has one of this name, {path} needs another"
    )


def test_two_files_that_clash(tmp_path):
    first, second = (written(tmp_path, "family", name=name) for name in ("my_one", "my_two"))
    registry.load(str(first))
    line = refused(registry.load, str(second))
    assert f"{first} has one of this name, {second} needs another" in line


def test_a_module_may_be_read_again(tmp_path, monkeypatch):
    path = written(tmp_path, "family")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = registry.load(path.stem)
    path.write_text(SOURCES["family"].replace("My family", "Renamed"), encoding="utf-8")
    importlib.reload(module)  # the text is of another length, so what was compiled is stale
    assert registry.label("family", "my_family") == "Renamed"


def test_a_file_is_run_once(tmp_path):
    path = str(written(tmp_path, "family"))
    assert registry.load(path) is registry.load(path)


BROKEN = {
    "SyntaxError": "def f(:\n",
    "line 3: NameError: name 'nothing' is not defined": "\n\nnothing\n",
    "line 1: ModuleNotFoundError: No module named 'no_such_package'": "import no_such_package\n",
    "line 2: ValueError: two lines": "\nraise ValueError('two\\nlines')\n",
}


@pytest.mark.parametrize("cause", BROKEN)
def test_a_broken_file_is_told_by_path_and_cause(cause, tmp_path):
    path = written(tmp_path, "family", BROKEN[cause], "broken")
    line = refused(registry.load, str(path))
    assert line.startswith(f"--load: got '{path}', expected a module that can be imported (")
    assert cause in line
    path.write_text(SOURCES["family"], encoding="utf-8")
    registry.load(str(path))  # mended, it is read anew


@pytest.mark.parametrize("name", ["no_such_module", "nowhere/mine.py", "mine.py"])
def test_a_module_that_is_not_there(name):
    assert refused(registry.load, name).startswith(f"--load: got {name!r}, expected a module")


def test_a_broken_entry_point_tells_its_distribution(tmp_path, monkeypatch):
    path = written(tmp_path, "family", "import no_such_package\n", "broken_point")
    monkeypatch.syspath_prepend(str(tmp_path))
    distribute(tmp_path, path.stem)
    line = refused(registry.names, "family")
    assert line.startswith("entry point 'mine' of my-distribution 1.2: got 'broken_point', ")
    assert "No module named 'no_such_package'" in line


@pytest.mark.parametrize("name", ["My", "my-name", "1st", "", "_x", None])
def test_impossible_names(name):
    line = refused(lambda: registry.register("family", name, None, label="x", summary="x"))
    assert line == f"name: got {name!r}, expected lower case letters, digits and underscores, " + (
        "a letter first"
    )


def test_no_such_kind():
    line = refused(registry.members, "familie")
    assert line.endswith("(did you mean 'family'?)")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), -0.1, "1", True, None]
)
def test_a_parameter_refuses_what_is_no_number_of_its_range(value):
    line = refused(Parameter("beta").check, value)
    assert line == f"beta: got {value!r}, expected a finite number >= 0"


@pytest.mark.parametrize("value", [0, 1.0, np.float32(0.5), np.int64(1)])
def test_a_parameter_gives_back_what_it_allows(value):
    assert Parameter("rate", high=1.0).check(value) is value


def test_the_bounds_of_a_parameter_are_told():
    assert "expected a finite number >= 0.1 and <= 1" in refused(
        Parameter("x", (), 0.1, 1).check, 2
    )
    assert "expected a finite number <= 1" in refused(Parameter("x", (), -np.inf, 1).check, 2)


def test_every_member_of_the_library_says_what_it_is():
    for kind in KINDS:
        for member in registry.members(kind):
            assert member.label and member.summary and "\n" not in member.summary
            assert member.origin.startswith("mermaide_jax.")


def test_lists_are_in_order_of_rank():
    for kind in KINDS:
        ranks = [member.rank for member in registry.members(kind)]
        assert ranks == sorted(ranks)
