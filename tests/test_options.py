"""Options: every refusal is one line that names the option, the value and what is allowed."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import tyro

from mermaide_jax.errors import ConfigError, check_at_least, check_counts, check_non_negative
from mermaide_jax.options import as_option, option_names, parse_options


@dataclasses.dataclass(frozen=True)
class Inner:
    """Checked by itself."""

    cost: float = 0.75
    max_steps: int = 5
    kind: Literal["a", "b"] = "a"
    seed: int = 0

    def __post_init__(self):
        check_non_negative("cost", self.cost)
        check_at_least("seed", self.seed, 0)


@dataclasses.dataclass(frozen=True)
class Options:
    """What it does."""

    out: Path
    inner: Inner = dataclasses.field(default_factory=Inner)
    numbers: tuple[int, ...] = (1,)
    pairs: tuple[tuple[str, float], ...] = ()
    flag: bool = False
    rate: float | None = None
    seed: int = 0

    def __post_init__(self):
        check_counts("numbers", self.numbers)
        check_at_least("seed", self.seed, 0)


@dataclasses.dataclass(frozen=True)
class Flat:
    """Options whose part stands without a prefix."""

    part: Annotated[Inner, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Inner)


def parse(line, options: Any = Options, **more):
    return parse_options(options, line.split(), **more)


def test_what_is_given_stands_in_place_of_the_defaults():
    line = (
        "--out x --inner.cost 2 --inner.max_steps=7 --numbers 3 4 --pairs a 1 b 2 --flag --rate 5"
    )
    assert parse("--out x") == Options(Path("x"))
    assert parse(line) == Options(
        Path("x"), Inner(2.0, 7), (3, 4), (("a", 1.0), ("b", 2.0)), flag=True, rate=5.0
    )
    assert parse("--out x --rate 1 --rate None") == Options(Path("x"))


def test_the_words_of_the_process_are_read_if_none_are_given(monkeypatch):
    monkeypatch.setattr("sys.argv", ["program", "--out", "y"])
    assert parse_options(Options) == Options(Path("y"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "--out: got nothing, expected a value"),
        ("--out", "--out: got no value, expected a path"),
        ("--inner.cost dear", "--inner.cost: got 'dear', expected a number"),
        ("--inner.cost=dear", "--inner.cost: got 'dear', expected a number"),
        ("--inner.cost", "--inner.cost: got no value, expected a number"),
        ("--inner.max-steps 1.5", "--inner.max-steps: got '1.5', expected an integer"),
        ("--inner.max_steps 1.5", "--inner.max-steps: got '1.5', expected an integer"),
        ("--inner.kind c", "--inner.kind: got 'c', expected one of a, b"),
        ("--inner.kind", "--inner.kind: got no value, expected one of a, b"),
        ("--numbers 1 x", "--numbers: got '1 x', expected values, each an integer"),
        ("--numbers", "--numbers: got no value, expected at least one"),
        ("--numbers 1 1", "--numbers: got 1, expected each value once"),
        ("--pairs a b", "--pairs: got 'a b', expected [STR FLOAT [STR FLOAT ...]]"),
        ("--rate x", "--rate: got 'x', expected a number or None"),
        ("--rate", "--rate: got no value, expected a number or None"),
        ("--inner.cost -1", "--inner.cost: got -1.0, expected a finite number >= 0"),
        ("--inner.cost nan", "--inner.cost: got nan, expected a finite number >= 0"),
        ("--seed -1", "--seed: got -1, expected an integer >= 0"),
        ("--inner.seed -1", "--inner.seed: got -1, expected an integer >= 0"),
        ("--inner.cots 1", "--inner.cots 1: no such option (did you mean --inner.cost?)"),
        ("--verbose", "--verbose: no such option"),
        ("--flag maybe", "maybe: belongs to no option"),
        ("--seed 1 2", "2: belongs to no option"),
    ],
)
def test_refusals_are_one_line(line, said, capsys):
    given = f"--out x {line}" if line not in ("", "--out") else line
    with pytest.raises(ConfigError) as refused:
        parse(given)
    assert str(refused.value) == said
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_missing_options_are_all_named():
    @dataclasses.dataclass(frozen=True)
    class Two:
        first: int
        second: int

    with pytest.raises(ConfigError, match=r"^--first, --second: got nothing, expected a value$"):
        parse("", Two)


def test_a_missing_or_unknown_command_is_refused_with_those_there_are():
    either = (
        Annotated[Options, tyro.conf.subcommand(name="one")]
        | Annotated[Flat, tyro.conf.subcommand(name="other")]
    )
    owners = (Options, Flat)
    assert parse("other --cost 1", either, owners=owners) == Flat(Inner(1.0))
    with pytest.raises(ConfigError, match=r"^command: got nothing, expected one of one, other$"):
        parse("", either, owners=owners)
    with pytest.raises(ConfigError, match=r"^others: belongs to no option$"):
        parse("others", either, owners=owners)
    with pytest.raises(ConfigError, match=r"^--cost: got -1.0, expected a finite number >= 0$"):
        parse("other --cost -1", either, owners=owners)


def test_help_says_what_the_docstrings_say(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--help", prog="the program", description="What it is for.")
    assert not stop.value.code
    text = capsys.readouterr().out
    for said in ("the program", "What it is for.", "--inner.max-steps", "Checked by itself."):
        assert said in text


def test_an_error_of_a_config_is_said_of_the_option_of_its_own_part():
    """Both have a seed; which was refused is known from who refused it."""
    for kind, option in (
        (Inner, "--inner.seed"),
        (lambda seed: Options(Path("x"), seed=seed), "--seed"),
    ):
        with pytest.raises(ConfigError) as refused:
            kind(seed=-1)
        assert as_option(refused.value, (Options,)).startswith(f"{option}: got -1")
    with pytest.raises(ConfigError) as refused:
        check_at_least("first_value", 0, 1)
    assert as_option(refused.value).startswith("--first-value: got 0")


def test_counts_of_values_are_said_of_their_option():
    for number, said in ((0, "got no value, expected at least one"), (3, "got 3 values")):
        with pytest.raises(ConfigError) as refused:
            check_at_least("number of names", number, number + 1)
        assert as_option(refused.value).startswith(f"--names: {said}")


def test_names_of_all_options():
    names = option_names(Options)
    assert {"--out", "--numbers", "--flag", "--inner.cost", "--inner.max-steps"} <= set(names)
    assert "--inner" not in names and len(names) == len(set(names)) == 10
    assert option_names(Flat) == ["--cost", "--max-steps", "--kind", "--seed"]
