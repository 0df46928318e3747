"""Members of other people, files of options, and studies by name on the command line."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mermaide_jax import registry
from mermaide_jax.cli import main, split_loads
from mermaide_jax.cli.parsing import parse
from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.results.configs import config_to_dict
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.kit import Study
from mermaide_jax.studies.mermaide.config import StudyConfig

GUESTS = """
from mermaide_jax import agents, principals
from mermaide_jax.registry import Parameter, register

register(
    "family", "rash", lambda num_arms: agents.ucb(num_arms),
    label="Rash", summary="explores hardly ever", params=agents.UCBParams,
    parameters=(Parameter("haste", (0.01, 0.02, 0.03, 0.04, 0.05)),),
)
register(
    "principal", "thrifty", lambda game: principals.random(game.pay_target),
    label="Thrifty", summary="pays now and then", parameters=(Parameter("rate", (0.1,)),),
)
"""

TINY = """reproduce --preset smoke --seeds 1 --game.horizon 4 --game.num-arms 3 --agents.train 3
    --agents.test 2 --evaluation.episodes 2 --agents.families rash --principals never thrifty"""


def study_of(words, joined=None) -> StudyConfig:
    """The study that a command line asks for."""
    command: Any = parse(words, joined)
    return command.study


def one_line(capsys, kind="error"):
    """What was said on standard error: one line, no traceback."""
    error = capsys.readouterr().err
    assert error.startswith(f"mermaide: {kind}: ") and error.count("\n") == 1
    return error


@pytest.fixture
def guests(tmp_path, guest_registry):
    """A file with a family and a principal, forgotten after the test."""
    path = tmp_path / "guests.py"
    path.write_text(GUESTS)
    return str(path)


@pytest.mark.parametrize("line", ["--load FILE list", "list --load FILE", "list --load=FILE"])
def test_a_file_is_loaded_wherever_it_is_named(guests, line, capsys):
    assert main(line.replace("FILE", guests).split()) == 0
    text = capsys.readouterr().out
    for name, summary in (("rash", "explores hardly ever"), ("thrifty", "pays now and then")):
        assert re.search(rf"^  {name} +{summary}$", text, re.MULTILINE)


def test_a_module_is_loaded_by_its_name(guests, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(guests).parent))
    assert main(["--load", "guests", "list"]) == 0
    assert "explores hardly ever" in capsys.readouterr().out


def test_who_was_loaded_joins_the_study_unless_others_are_asked_for(guests):
    registry.load(guests)
    joined = {"family": ["rash"], "principal": ["thrifty"]}
    line = ["reproduce", "--preset", "smoke", "--out", "x"]
    plain, study = study_of(line), study_of(line, joined)
    assert study.agents.families == (*plain.agents.families, "rash")
    assert study.principals == (*plain.principals, "thrifty")
    asked = study_of([*line, "--principals", "never", "--agents.families", "ucb"], joined)
    assert (asked.principals, asked.agents.families) == (("never",), ("ucb",))


def test_a_family_that_does_not_fit_the_numbers_is_not_met_unasked(guests, capsys):
    Path(guests).write_text(GUESTS.replace(", 0.03, 0.04, 0.05", ""))
    registry.load(guests)
    joined = {"family": ["rash"], "principal": ["thrifty"]}
    line = ["reproduce", "--preset", "smoke", "--out", "x"]
    study = study_of(line, joined)
    assert "rash" not in study.agents.families and "thrifty" in study.principals
    assert one_line(capsys, "warning") == (
        "mermaide: warning: rash is not met unless --agents.families names it "
        "(train: got 15, expected a multiple of 2, the coefficients used)\n"
    )
    asked = [*line, "--agents.families", "rash", "--agents.train", "16"]
    assert study_of(asked, joined).agents.families == ("rash",)


def test_help_shows_who_was_loaded(guests, capsys):
    assert main(["--load", guests, "reproduce", "--help"]) == 0
    text = capsys.readouterr().out
    assert "rash" in text and "thrifty" in text


def test_who_was_loaded_is_in_the_table_under_its_label(guests, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--load", guests, *TINY.split(), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "Rash agents, 0-shot" in text and re.search("^Thrifty +2 ", text, re.MULTILINE)
    rows = read_results(out).rows
    assert {row["principal"] for row in rows} == {"never", "thrifty"}
    assert {row["family"] for row in rows} == {"rash"}
    paid = {row["principal"]: row["interventions"] for row in rows}
    assert paid["never"] == 0
    assert (out / "score.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--load", "--load: got '', expected a module that can be imported, or a .py file"),
        ("--load --preset list", "--load: got '--preset', expected a module"),
        ("--load nowhere.py list", "--load: got 'nowhere.py', expected a module that can be impo"),
        ("--load no_such_module list", "--load: got 'no_such_module', expected a module that can"),
        ("--load broken.py list", "ZeroDivisionError: division by zero)"),
        ("--load taken.py list", "name: got 'ucb', expected a family that is not registered yet"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_a_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("1 / 0")
    Path("taken.py").write_text(GUESTS.replace('"rash"', '"ucb"'))
    assert main(words.split()) == 2
    assert said in one_line(capsys)


def test_loads_are_taken_out_wherever_they_stand():
    words = ["--load", "a", "train", "--load=b.py", "--out", "x"]
    assert split_loads(words) == (["train", "--out", "x"], ["a", "b.py"])


@dataclasses.dataclass(frozen=True)
class Options:
    """Of a study for a test."""

    out: Path
    seeds: int = 3


@pytest.fixture
def seen(guest_registry):
    """A registered study; what it was run with."""
    given = []

    def run(options):
        if options.seeds < 1:
            refuse("--seeds", options.seeds, "an integer >= 1")
        given.append(options)
        return 7 if options.seeds == 7 else None

    registry.register("study", "trial", Study(Options, run), label="Trial", summary="Tries it.")
    return given


def test_a_study_is_run_by_its_name(seen, capsys):
    assert main(["run", "trial", "--out", "x"]) == 0
    assert main(["run", "trial", "--out", "x", "--seeds", "7"]) == 7
    assert seen == [Options(Path("x")), Options(Path("x"), 7)]
    assert main(["run", "trial", "--help"]) == 0
    text = capsys.readouterr().out
    assert "mermaide run trial" in text and "Tries it." in text and "--seeds" in text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run trial", "--out: got nothing, expected a value"),
        ("run trial --out x --seeds 0", "--seeds: got 0, expected an integer >= 1"),
        ("run trial --out x --sedes 1", "(did you mean --seeds?)"),
        ("run trail --out x", "(did you mean 'trial'?)"),
        ("run", "run: got '', expected the name of a study: "),
        ("run --out x", "run: got '--out x', expected the name of a study: "),
    ],
)
def test_a_study_refuses_in_a_line(seen, line, said, capsys):
    assert main(line.split()) == 2
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and "error: " in told.err
    assert not seen


def test_run_says_which_studies_there_are(seen, capsys):
    assert main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    assert "usage: mermaide run NAME" in text and "stackelberg" in text and "trial" in text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.json", '{"game": {"cost": 0.5}, "seeds": 4}'),
        ("x.toml", "seeds = 4\n[game]\ncost = 0.5\n"),
        ("x.json", '\ufeff{"game": {"cost": 0.5}, "seeds": 4}'),
    ],
)
def test_a_file_goes_over_the_preset_and_the_command_line_over_both(name, text, tmp_path):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    smoke = registry.get("preset", "smoke").value
    line = ["train", "--out", "x", "--preset", "smoke", "--config", str(file)]
    game = dataclasses.replace(smoke.game, cost=0.5)
    assert study_of(line) == dataclasses.replace(smoke, game=game, seeds=4)
    assert study_of([*line, "--seeds", "9"]) == dataclasses.replace(smoke, game=game, seeds=9)


def test_the_config_of_a_run_gives_that_run_again(tmp_path):
    study = registry.get("preset", "default").value
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config_to_dict(study)))
    line = ["train", "--out", "x", "--preset", "smoke", "--config", str(file)]
    assert study_of(line) == study


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.json", None, "--config: got 'none.json', expected a file that can be read (No such"),
        ("x.json", "{", "--config: got 'x.json', expected JSON, or TOML by its name"),
        ("x.toml", "= 1", "--config: got 'x.toml', expected JSON, or TOML by its name"),
        ("x.json", '{"gmae": {}}', "--config x.json: config: got ["),
        ("x.json", '{"game": {"cost": -1}}', "config.game.cost: got -1.0, expected a finite numbe"),
        ("x.json", '{"seeds": "3"}', "--config x.json: config.seeds: got '3', expected int"),
        ("x.json", "[1]", "--config x.json: config: got list, expected the fields ["),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_line(name, text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text)
    with pytest.raises(ConfigError) as refused:
        parse(["train", "--out", "x", "--config", name])
    assert said in str(refused.value) and "\n" not in str(refused.value)
