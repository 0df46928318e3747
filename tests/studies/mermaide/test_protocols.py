"""What the protocols of studies are called."""

import dataclasses
import json
from pathlib import Path

import pytest

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.results.results import Results
from mermaide_jax.studies.mermaide.protocols import name_protocols, protocol_name

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def base_config():
    """The config of the default preset, as a record holds it."""
    return json.loads(json.dumps(dataclasses.asdict(registry.get("preset", "default").value)))


def test_protocols_are_named_by_all_that_differs():
    base = base_config()
    assert protocol_name(base, base) == "base"
    other = base_config()
    other["agents"] |= {"split": "same", "families": ["ucb"]}
    other["network"] |= {"features": 7, "recurrence": "scan"}
    other["training"] |= {"entropy_start": 0.1, "entropy_decay": 1.0}
    assert protocol_name(other, base) == "split same, features 7, entropy 0.1 linearly"
    # A record of before bonuses could fall otherwise: they fell linearly.
    del other["training"]["entropy_decay"]
    assert protocol_name(other, base) == "split same, features 7, entropy 0.1 linearly"
    other = base_config()
    other["training"] |= {"inner_steps": 3, "agents_per_block": None, "gone": 1}
    others = [pair for pair in other["baseline_entropy"] if pair[0] != "reinforce"]
    other["baseline_entropy"] = [*others, ["reinforce", 0.3]]
    assert protocol_name(other, base) == "inner steps 3, entropy of reinforce 0.3, gone 1"
    # A record of an earlier format has names to bonuses, None for those without.
    named = other | {"baseline_entropy": {"mermaide": None} | dict(other["baseline_entropy"])}
    assert protocol_name(named, base) == "inner steps 3, entropy of reinforce 0.3, gone 1"
    # One that a baseline no longer has is named too.
    none = other | {"baseline_entropy": others}
    assert "entropy of reinforce None" in protocol_name(none, base)
    # The principals, the test and the seeds are no protocol.
    like = base | {"evaluation": {}, "principals": [], "seeds": 7, "seed": 7}
    assert protocol_name(like, base) == "base"
    # Where a record does not tell the baselines' own bonuses, nothing is made of them.
    del other["baseline_entropy"]
    assert protocol_name(other, base) == "inner steps 3, gone 1"
    assert protocol_name(base, other).startswith("inner steps 1")


def test_the_records_we_have_are_told_apart():
    names = ("bandits", "same", "hits_200", "bandits_200", "endless", "bandits_linear")
    places = [RESULTS / name for name in names]
    base, *others = [json.loads((place / "results.json").read_text())["config"] for place in places]
    assert [protocol_name(config, base) for config in (base, *others)] == [
        "base",
        "split same",
        "horizon 200, updates 1000, credit hits, entropy 0.1 by the square",
        "horizon 200, updates 1000, entropy 0.1 linearly",
        "updates 1000, variation endless, entropy 0.1 linearly",
        "entropy 0.1 linearly",
    ]


def test_each_protocol_is_there_once():
    config = base_config()
    blank = Results(config, {}, "", 0.0, "", [], [], [], "")
    longer = dataclasses.replace(blank, config=config | {"game": config["game"] | {"horizon": 7}})
    assert name_protocols([blank, longer]) == {"base": blank, "horizon 7": longer}
    with pytest.raises(ConfigError, match=r"^results: got 'horizon 7', expected each protocol"):
        name_protocols([blank, longer, longer])
