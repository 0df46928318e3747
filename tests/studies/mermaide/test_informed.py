"""Which studies can be repeated with informed principals."""

import dataclasses

import pytest

from mermaide_jax import registry
from mermaide_jax.errors import ConfigError
from mermaide_jax.results.results import Results
from mermaide_jax.studies.mermaide.informed import families_alone, known_rows

PRINCIPALS = ("world_model_without_meta", "never", "all_knowing")


def results():
    """A study of two families, two seeds and two K."""
    config = dataclasses.asdict(registry.get("preset", "default").value)
    rows = [
        {"principal": name, "family": family, "seed": seed, "k_shot": shots}
        for name in PRINCIPALS
        for family in ("ucb", "epsilon_greedy")
        for seed in (0, 1)
        for shots in (0, 1)
    ]
    return Results(config, {}, "", 0.0, "", rows, [], [], "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 3}, r"--seeds: got 3, expected .* 2"),
        ({"families": ("best_response",)}, "--families: got 'best_response'"),
        ({"game": {"kind": "magnitude"}}, "game.kind: got 'magnitude'"),
        ({"game": {"initial_pull": False}}, "game.initial_pull: got False"),
        ({"network": {"architecture": "gru", "memory": False}}, "network.architecture: got 'gru'"),
        ({"rows": "never"}, "principals: got .* expected .* a script"),
        ({"rows": "all_knowing"}, "principals: got .* expected .* all_knowing"),
    ],
)
def test_a_study_whose_principals_cannot_be_informed_is_refused(change, message):
    study = results()
    config = dict(study.config)
    for part in ("game", "network"):
        config[part] = config[part] | change.get(part, {})
    rows = [row for row in study.rows if row["principal"] != change.get("rows")]
    study = dataclasses.replace(study, config=config, rows=rows)
    with pytest.raises(ConfigError, match=message):
        families_alone(study, change.get("families", ()), change.get("seeds", 1))


def test_each_family_is_a_study_of_its_own():
    for asked, expected in (((), ("ucb", "epsilon_greedy")), (("ucb",), ("ucb",))):
        configs = families_alone(results(), asked, 2)
        assert [one.agents.families for one in configs] == [(name,) for name in expected]
        assert all(one.evaluation.shots == (0,) and one.seeds == 2 for one in configs)


def test_known_rows_are_of_the_same_families_and_first_seeds_at_zero_shot():
    rows = known_rows(results(), families_alone(results(), ("ucb",), 1))
    assert {(r["family"], r["seed"], r["k_shot"]) for r in rows} == {("ucb", 0, 0)}
    assert [row["principal"] for row in rows] == list(PRINCIPALS)
