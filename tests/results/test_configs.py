"""Configs and JSON: they survive the trip, and what does not fit is refused in a line."""

import dataclasses
import json
from typing import Any, Literal

import numpy as np
import pytest

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError, check_at_least
from mermaide_jax.results.configs import config_from_dict, config_to_dict
from mermaide_jax.studies.mermaide import GameOptions, StudyConfig
from mermaide_jax.studies.mermaide.run import load_config, train_study


@dataclasses.dataclass(frozen=True)
class Part:
    kind: Literal["a", "b"] = "a"
    steps: int = 5
    rate: float | None = None

    def __post_init__(self):
        check_at_least("steps", self.steps, 1)


@dataclasses.dataclass(frozen=True)
class Whole:
    name: str
    part: Part = dataclasses.field(default_factory=Part)
    numbers: tuple[int, ...] = (1, 2)
    pairs: tuple[tuple[str, float], ...] = ()
    flag: bool = False


def through_json(config):
    return config_from_dict(type(config), json.loads(json.dumps(config_to_dict(config))))


@pytest.mark.parametrize("preset", registry.members("preset"), ids=lambda member: member.name)
def test_every_registered_preset_survives_json(preset):
    again = through_json(preset.value)
    assert again == preset.value and hash(again) == hash(preset.value)
    assert config_to_dict(again) == dataclasses.asdict(preset.value)


def test_every_kind_of_field_survives_json():
    config = Whole("x", Part("b", 7, 0.5), (3,), (("u", 1.0), ("v", 0.25)), True)
    assert through_json(config) == config
    assert through_json(Whole("y")) == Whole("y")


def test_an_integer_is_a_number_too_and_nothing_else_is_taken_for_another():
    assert config_from_dict(Part, {"rate": 1}) == Part(rate=1.0)
    assert isinstance(config_from_dict(Part, {"rate": 1}).rate, float)
    for values in ({"steps": 5.5}, {"steps": "5"}, {"steps": True}, {"rate": "1"}):
        with pytest.raises(ConfigError):
            config_from_dict(Part, values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unknown": 1}, "study: got ['name', 'unknown'], expected the fields ['flag', 'name', "),
        ({"part": {"step": 1}}, "study.part: got ['step'], expected the fields ['kind', 'rate', "),
        ({"name": None}, "study.name: got None, expected str"),
        ({"part": []}, "study.part: got list, expected the fields ['kind', "),
        ({"part": {"kind": "c"}}, "study.part.kind: got 'c', expected one of a, b"),
        ({"part": {"steps": "5"}}, "study.part.steps: got '5', expected int"),
        ({"part": {"steps": 0}}, "study.part.steps: got 0, expected an integer >= 1"),
        ({"part": {"rate": "x"}}, "study.part.rate: got 'x', expected float | null"),
        ({"numbers": [1, "x"]}, "study.numbers[1]: got 'x', expected int"),
        ({"pairs": [["u"]]}, "study.pairs[0]: got ['u'], expected array of length 2"),
        ({"pairs": [["u", 1], ["v", "w"]]}, "study.pairs[1][1]: got 'w', expected float"),
        ({"flag": 1}, "study.flag: got 1, expected bool"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(change, said):
    with pytest.raises(ConfigError) as refused:
        config_from_dict(Whole, {"name": "x"} | change, "study")
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_field_that_is_missing_has_its_default_if_it_has_one():
    assert config_from_dict(Whole, {"name": "x", "part": {}}) == Whole("x")
    with pytest.raises(ConfigError, match=r"^config: got \['flag'\], expected the fields \['flag'"):
        config_from_dict(Whole, {"flag": True})
    for values in ([], None, "text"):
        with pytest.raises(ConfigError, match=r"^config: got (list|NoneType|str), expected the fi"):
            config_from_dict(Whole, values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cost", np.float32(0.1)),
        ("cost", np.float64(0.1)),
        ("horizon", np.int64(5)),
        ("observe_time", np.True_),
    ],
)
def test_numpy_scalars_are_saved_as_numbers(name, value, tmp_path):
    config = StudyConfig(game=GameOptions(**{name: value}), principals=("never",))
    train_study(config, tmp_path)
    assert load_config(tmp_path) == config
    assert json.loads((tmp_path / "config.json").read_text())["game"][name] == value


def test_what_json_cannot_hold_is_named():
    unknown: Any = 1j
    with pytest.raises(NotImplementedError, match="a config holds complex"):
        config_to_dict(Part(rate=unknown))


def test_a_file_with_the_mark_of_utf_8_is_read(tmp_path):
    """Some editors put it in front when they save."""
    config = StudyConfig(principals=("never",))
    train_study(config, tmp_path)
    path = tmp_path / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_config(tmp_path) == config
