"""The command line: what it accepts, refuses, writes and says."""

import contextlib
import dataclasses
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from typing import Any, get_args

import jax
import jax.numpy as jnp
import pytest

from mermaide_jax import __version__, cli, registry
from mermaide_jax._jax import cpu
from mermaide_jax.cli import actions, commands, main, overview, progress, set_xla_flags
from mermaide_jax.cli.parsing import Command, parse
from mermaide_jax.results.results import read_results
from mermaide_jax.studies.mermaide import StudyConfig
from mermaide_jax.training import Metrics, Progress

PRESETS = {member.name: member.value for member in registry.members("preset")}
TINY = shlex.split(
    """--preset smoke --seeds 1 --game.horizon 4 --game.num-arms 3 --agents.families ucb
    --agents.train 3 --agents.test 2 --network.architecture mlp --network.features 3
    --training.updates 2 --training.world-model-updates 0 --training.tasks-per-update 2
    --training.episodes-per-task 2 --evaluation.episodes 2 --principals reinforce never"""
)


def nested_fields(kind, prefix=""):
    """Every option of a config: its flag and whether it is a leaf."""
    for field in dataclasses.fields(kind):
        default = getattr(kind(), field.name)
        if dataclasses.is_dataclass(default):
            yield from nested_fields(type(default), f"{prefix}{field.name}.")
        else:
            yield f"--{prefix}{field.name}".replace("_", "-")


def one_line(capsys):
    """What was said on standard error: one line, no traceback."""
    error = capsys.readouterr().err
    assert error.startswith("mermaide: ")
    assert error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The directory of a study at the tiniest size."""
    directory = tmp_path_factory.mktemp("study") / "out"
    assert main(["reproduce", *TINY, "--out", str(directory)]) == 0
    return directory


def test_entry_point_starts_with_the_flags_of_its_process():
    code = (
        "import os, sys; from mermaide_jax.cli import main; assert 'jax' not in sys.modules;"
        "assert main(['list']) == 0; import jax; print(jax.device_count(), os.environ['XLA_FLAGS'])"
    )
    environ = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    devices, _, flags = done.stdout.splitlines()[-1].partition(" ")
    assert int(devices) == cpu.count()
    assert "--xla_cpu_multi_thread_eigen=false" in flags
    for name in (*PRESETS, "ucb", "mermaide", "prescient"):
        assert re.search(rf"^  {name} +\S", done.stdout, re.MULTILINE)
    assert done.stderr == ""


def test_module_refuses_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "mermaide_jax.cli", "train", "--game.cost", "-1", "--out", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "mermaide: error: --game.cost: got -1.0, expected a finite number >= 0; "
        "see mermaide train --help\n"
    )


def test_flags_of_the_user_stay():
    environ = {"XLA_FLAGS": "--xla_force_host_platform_device_count=7 --xla_dump_to=/x"}
    set_xla_flags(environ)
    assert environ["XLA_FLAGS"].startswith(
        "--xla_force_host_platform_device_count=7 --xla_dump_to=/x "
    )
    assert environ["XLA_FLAGS"].count("device_count") == 1
    before = dict(environ)
    set_xla_flags(environ)
    assert environ == before


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mermaide {__version__}\n"


@pytest.mark.parametrize("command", ["train", "reproduce", "evaluate", "show", "bench", "list"])
def test_every_option_has_help(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    rows = [line.strip("│ ") for line in text.splitlines()]
    flags = re.findall(r"--[a-z][a-z.-]*", text)
    if command in ("train", "reproduce"):
        assert set(nested_fields(StudyConfig)) <= set(flags)
        assert {"--preset", "--out", "--force", "--resume"} <= set(flags)
    for number, row in enumerate(rows):
        if re.match("--[a-z]", row):
            told = " ".join(rows[number : number + 3])
            words = re.sub(r"--\S+|\(default.*|\{.*?\}|\b[A-Z]+\b", "", told)
            assert re.search(r"[A-Za-z]\w+ \w+", words), f"{row!r} says nothing"


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("train", "evaluate", "reproduce", "show", "bench", "run", "list"):
        assert re.search(rf"^  {command} +\S", text, re.MULTILINE)


def test_help_and_refusals_come_before_anything_heavy():
    code = (
        "import sys; from mermaide_jax.cli import main; main(['--help']); main(['--version']);"
        "assert main(['tran']) == 2; assert not {'jax', 'numpy', 'tyro'} & set(sys.modules);"
        "main(['train', '--help']);"
        "assert not {'matplotlib', 'pandas', 'pyarrow', 'orbax', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_overview_says_what_the_commands_say():
    classes = get_args(Command)
    assert {kind.__name__.lower(): kind.__doc__ for kind in classes} == overview.COMMANDS


def test_reference_is_short_for_the_plain_recurrence():
    command: Any = parse(["train", "--out", "x", "--reference"])
    assert command.study.network.recurrence == "reference"
    command = parse(["train", "--out", "x"])
    assert command.study.network.recurrence == "auto"


@pytest.mark.parametrize("command", ["train", "reproduce", "evaluate x"])
def test_the_compile_cache_can_be_left_out(command):
    line = [*command.split(), "--out", "y"]
    usual: Any = parse(line)
    without: Any = parse([*line, "--no-compile-cache"])
    assert usual.compile_cache and not without.compile_cache


def test_commands_that_compile_use_the_cache(finished, tmp_path, monkeypatch):
    asked = []

    @contextlib.contextmanager
    def cache(enabled):
        asked.append(enabled)
        yield

    monkeypatch.setattr(actions, "compile_cache", cache)
    monkeypatch.setattr(actions, "_evaluate_and_report", lambda *_: asked.append("tested"))
    monkeypatch.setattr(actions, "_train", lambda command: (command.out, {}))
    out = ["--out", str(tmp_path / "out")]
    for line in (["evaluate", str(finished)], ["reproduce"], ["train", "--no-compile-cache"]):
        assert main([*line, *out]) == 0
    assert asked == [True, "tested", True, "tested", False]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_the_defaults(preset):
    command = parse(["reproduce", "--preset", preset, "--out", "x"])
    assert isinstance(command, commands.Reproduce)
    assert command.study == PRESETS[preset]


def test_any_field_can_be_overridden():
    line = shlex.split(
        """train --out x --preset=standard --game.cost 0.5 --game.horizon 200 --seeds 3
        --training.updates 300 --principals mermaide never --agents.families epsilon_greedy
        --game.no-observe-target --training.world-model-learning-rate None"""
    )
    command = parse(line)
    assert isinstance(command, commands.Train)
    expected = PRESETS["standard"]
    expected = dataclasses.replace(
        expected,
        game=dataclasses.replace(expected.game, cost=0.5, horizon=200, observe_target=False),
        agents=dataclasses.replace(expected.agents, families=("epsilon_greedy",)),
        training=dataclasses.replace(
            expected.training, updates=300, world_model_learning_rate=None
        ),
        seeds=3,
        principals=("mermaide", "never"),
    )
    assert command.study == expected
    underscored = [a.replace("-model-", "_model_").replace("-rate", "_rate") for a in line]
    assert parse(underscored) == command
    quick: Any = parse(["train", "--out", "x"])
    assert quick.study == PRESETS["quick"]


BAD = [
    ("", "command: got nothing, expected one of train, evaluate, reproduce, show, bench, "),
    ("tran", "command: got 'tran', expected one of train, "),
    ("train", "--out: got nothing"),
    ("evaluate", "DIR, --out: got nothing"),
    ("show", "DIR: got nothing"),
    ("bench --works simulater", "--works: got 'simulater', expected one of ucb"),
    ("bench --out FULL", "--out: got 'FULL', expected a new file"),
    ("bench --out FILE", "--out: got 'FILE', expected a new file"),
    ("list --verbose", "--verbose: no such option"),
    (
        "train --out OUT --game.costs 1",
        "--game.costs 1: no such option (did you mean --game.cost?)",
    ),
    ("train --out OUT --preset bogus", "--preset: got 'bogus', expected one of smoke, quick, "),
    ("train --out OUT --preset", "--preset: got no value"),
    ("train --out OUT --game.cost", "--game.cost: got no value"),
    ("train --out OUT --game.cost dear", "--game.cost: got 'dear', expected a number"),
    ("train --out OUT --game.cost nan", "--game.cost: got nan, expected a finite number >= 0"),
    ("train --out OUT --game.cost=-1", "--game.cost: got -1.0, expected a finite number >= 0"),
    ("train --out OUT --game.horizon 0", "--game.horizon: got 0, expected an integer >= 1"),
    ("train --out OUT --game.kind gift", "--game.kind: got 'gift', expected one of binary, arm"),
    ("train --out OUT --game.num-arms 1", "--game.num-arms: got 1, expected an integer >= 2"),
    ("train --out OUT --seeds 1.5", "--seeds: got '1.5', expected an integer"),
    ("train --out OUT --seeds 0", "--seeds: got 0, expected an integer >= 1"),
    ("train --out OUT --seed -1", "--seed: got -1, expected an integer >= 0"),
    ("train --out OUT --agents.seed -1", "--agents.seed: got -1, expected an integer >= 0"),
    ("train --out OUT --agents.train 0", "--agents.train: got 0, expected an integer >= 1"),
    ("train --out OUT --agents.test 3", "--agents.test: got 3, expected a multiple of 2"),
    ("train --out OUT --agents.families usb", "--agents.families: got 'usb', expected one of ucb"),
    ("train --out OUT --agents.split half", "--agents.split: got 'half', expected one of inter"),
    ("train --out OUT --network.features 0", "--network.features: got 0, expected an integer"),
    ("train --out OUT --training.updates 2", "--training.world-model-updates: got 60"),
    ("reproduce --out OUT --evaluation.shots 0 -1", "--evaluation.shots: got -1, expected"),
    ("reproduce --out OUT --evaluation.shots", "--evaluation.shots: got no value, expected at"),
    ("reproduce --out OUT --evaluation.random-rate 2", "--evaluation.random-rate: got 2.0"),
    ("reproduce --out OUT --principals nevr", "(did you mean 'never'?)"),
    ("reproduce --out OUT --principals never never", "--principals: got 'never', expected each"),
    ("train --out OUT --principals never", "--principals: got 'never', expected at least one"),
    ("train --out OUT --resume", "--resume: got 'OUT', expected an output directory with a"),
    ("train --out FILE", "--out: got 'FILE', expected a directory, not a file"),
    ("reproduce --out FULL", "--out: got 'FULL', expected a new or empty directory"),
    ("train --out FILE/below", "--out: got 'FILE/below', expected a directory that can be"),
    ("evaluate OUT --out NEW", "OUT/config.json: got no readable file"),
    ("show OUT", "OUT/results.json: got 'no such file'"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[line or "nothing" for line, _ in BAD])
def test_bad_input_is_refused_before_any_work(line, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(actions, "train_study", None)  # nothing may be computed
    monkeypatch.setattr(actions, "evaluate_study", None)
    (tmp_path / "FILE").touch()
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "mine.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    assert said in one_line(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FILE", "FULL"]


def test_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tyro", None)
    for name in ("parsing", "commands", "actions"):
        monkeypatch.delitem(sys.modules, f"mermaide_jax.cli.{name}")
        monkeypatch.delattr(cli, name)
    assert main(["list"]) == 2
    assert "'tyro' is not installed: pip install \"mermaide-jax[experiments]\"" in one_line(capsys)


def test_interruption_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(actions, "train_study", interrupted)
    out = tmp_path / "a b"
    line = ["train", "--force", "--preset", "smoke", "--out", str(out)]
    assert main(line) == 130
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "mermaide: interrupted; no update was done, nothing to go on from"
    (out / "checkpoints" / "reinforce").mkdir(parents=True)
    monkeypatch.setattr(actions, "has_checkpoint", lambda directory: directory.is_dir())
    assert main(line) == 130
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        "mermaide: interrupted; go on from the last checkpoint with: "
        f"mermaide train --preset smoke --out '{out}' --resume"
    )


def test_termination_is_an_interruption(monkeypatch, capsys, tmp_path):
    former = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(actions, "read_results", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["show", str(tmp_path)]) == 143
    assert one_line(capsys) == "mermaide: interrupted; nothing was written\n"
    assert signal.getsignal(signal.SIGTERM) == former


def test_a_platform_that_is_not_there_is_named_before_anything_is_written(
    monkeypatch, capsys, tmp_path
):
    def fail():
        raise RuntimeError("Unable to initialize\nbackend 'cuda'")

    monkeypatch.setattr(jax, "devices", fail)
    assert main(["train", "--preset", "smoke", "--out", str(tmp_path / "out")]) == 2
    error = one_line(capsys)
    assert "JAX_PLATFORMS: got 'cpu', expected platforms of this machine (Unable to init" in error
    assert not (tmp_path / "out").exists()


def test_a_terminal_that_cannot_show_a_name(finished, tmp_path, monkeypatch):
    directory = tmp_path / "r\xe9sultats"
    shutil.copytree(finished, directory)
    shown = io.BytesIO()
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True)
    )
    assert main(["show", str(directory)]) == 0
    assert rb"r\xe9sultats/score.png" in shown.getvalue()


def test_reproduce_writes_everything(finished, capsys):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "config.json", "checkpoints", "results.json", "results.parquet", "curves.parquet",
        "episodes.parquet", "attained.parquet", "score.png", "training.png", "episode_ucb.png",
    }  # fmt: skip
    results = read_results(finished)
    assert results.command.startswith("mermaide reproduce --preset smoke ")
    assert {(row["principal"], row["k_shot"]) for row in results.rows} == {
        (name, shots) for name in ("reinforce", "never") for shots in (0, 1)
    }


def test_evaluate_with_other_shots(finished, tmp_path, capsys):
    out = tmp_path / "other"
    arguments = ["evaluate", str(finished), "--out", str(out), "--shots", "0", "2"]
    assert main([*arguments, "--episodes", "3", "--principals", "reinforce", "always"]) == 0
    results = read_results(out)
    assert {row["k_shot"] for row in results.rows} == {0, 2}
    assert {row["episodes"] for row in results.rows} == {3}
    assert {row["principal"] for row in results.rows} == {"reinforce", "always"}
    assert results.curves == read_results(finished).curves
    told = capsys.readouterr()
    assert "UCB agents, 2-shot" in told.out
    assert str(out / "results.json") in told.out
    assert "testing always" in told.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--shots -1", "--shots: got -1, expected an integer >= 0"),
        ("--cost -1", "--cost: got -1.0, expected a finite number >= 0"),
        ("--horizon 0", "--horizon: got 0, expected an integer >= 1"),
        ("--principals mermaide", "--principals: got 'mermaide', expected one that was trained"),
        ("--principals nobody", "--principals: got 'nobody', expected one of"),
    ],
)
def test_evaluate_refuses(finished, options, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(actions, "evaluate_study", None)
    out = tmp_path / "out"
    capsys.readouterr()
    assert main(["evaluate", str(finished), "--out", str(out), *options.split()]) == 2
    assert said in one_line(capsys)
    assert not out.exists()


def test_evaluate_refuses_a_lost_checkpoint(finished, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "expected a directory with a saved checkpoint" in one_line(capsys)


def test_resume_refuses_another_study(finished, capsys):
    capsys.readouterr()
    changed = [*TINY, "--game.cost", "0.5", "--resume", "--out", str(finished)]
    assert main(["train", *changed]) == 2
    said = "--resume: game.cost: got 0.5, expected the saved 0.75 to go on from"
    assert said in one_line(capsys)


def test_show_draws_again(finished, tmp_path, capsys):
    (finished / "score.png").unlink()
    assert main(["show", str(finished)]) == 0
    assert (finished / "score.png").stat().st_size > 10_000
    told = capsys.readouterr().out
    assert "UCB agents, 0-shot" in told
    assert "REINFORCE: UCB" in told
    assert main(["show", str(finished), "--out", str(tmp_path / "figures")]) == 0
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "score.png", "training.png", "episode_ucb.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[: len(text) // 2], "expected complete JSON, not a truncated file"),
        (lambda text: text.replace('"format_version": 3', '"format_version": 99'), "got 99"),
    ],
)
def test_show_refuses_spoilt_results(finished, spoil, said, tmp_path, capsys):
    (tmp_path / "results.json").write_text(spoil((finished / "results.json").read_text()))
    capsys.readouterr()
    assert main(["show", str(tmp_path)]) == 2
    assert said in one_line(capsys)


def test_divergence_stops_with_one_line(tmp_path, capsys):
    arguments = [*TINY, "--game.cost", "3e38"]
    arguments += ["--out", str(tmp_path / "out")]
    assert main(["train", *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("mermaide: error: training gave NaN or infinity at update ")


class Terminal:
    """Standard error that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    state: Any = None  # of which a bar shows nothing
    blank = jnp.zeros((2, 1))
    metrics = Metrics(*(blank for _ in Metrics._fields))._replace(score=blank + 1.5)
    with progress.TrainingProgress(["mermaide", "reinforce"], 4, steps_per_update=50) as show:
        for name in ("mermaide", "reinforce"):
            for update in (2, 4):
                show(name, Progress(update, 2, state, metrics))
    with progress.EvaluationProgress(1) as show:
        show("never")
    for said in ("mermaide: 100%", "reinforce: 100%", "4/4", "score=1.50", "paid/ep", "steps/s"):
        assert said in terminal.text
    assert "testing never: 100%" in terminal.text
