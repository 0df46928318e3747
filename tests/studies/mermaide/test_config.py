"""Studies: presets hold what they promise, and configs survive the trip through JSON."""

import dataclasses
import json

import pytest

from mermaide_jax import registry
from mermaide_jax.cli import listing
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals.members import names_of
from mermaide_jax.results.configs import config_from_dict
from mermaide_jax.studies.mermaide import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
    principal_configs,
)
from mermaide_jax.training import TrainingConfig

PRESETS = {member.name: member.value for member in registry.members("preset")}
LEARNED = ("mermaide", "maml_without_world_model", "world_model_without_meta", "reinforce")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    text = json.dumps(dataclasses.asdict(PRESETS[name]))
    again = config_from_dict(StudyConfig, json.loads(text))
    assert again == PRESETS[name]
    assert hash(again) == hash(PRESETS[name])


def test_optional_fields_survive_json():
    config = StudyConfig(training=TrainingConfig(world_model_learning_rate=None))
    assert (
        config_from_dict(StudyConfig, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    )


def test_members_are_named_wherever_they_are_listed():
    assert list(PRESETS) == registry.names("preset")
    lines = listing.text().splitlines()
    for kind in ("family", "principal", "game", "network", "meta_gradient", "preset", "study"):
        for member in registry.members(kind):
            shown = [line for line in lines if line.split()[:1] == [member.name]]
            assert any(line.endswith(f" {member.summary}") for line in shown), member
    assert names_of("learned") == LEARNED
    everybody = names_of("learned", "scripted", "reference")
    assert StudyConfig().principals == everybody == tuple(registry.names("principal"))


def test_paper_preset_is_what_was_published():
    paper = PRESETS["paper"]
    assert paper.game.cost == 0.75
    assert paper.game.num_arms == 10
    assert (paper.agents.train, paper.agents.test) == (15, 10)
    assert paper.agents.families == ("ucb", "epsilon_greedy")
    assert (paper.network.architecture, paper.network.num_layers) == ("gru", 2)
    assert paper.network.features == 128
    assert paper.training.inner_learning_rate == 7e-4
    assert paper.training.outer_learning_rate == 1e-3
    assert paper.training.world_model_learning_rate is None
    assert paper.training.final_learning_rate == 1.0
    assert paper.training.meta_gradient == "second_order"
    assert paper.training.adaptation_episodes == 1
    assert paper.training.variation == "none"
    assert paper.evaluation.shots == (0, 1)


def test_presets_keep_their_bounds():
    assert PRESETS["quick"].seeds >= 2
    assert PRESETS["standard"].seeds == 5
    assert PRESETS["quick"].training.updates < PRESETS["standard"].training.updates


def test_learned_principals_share_one_budget():
    config = PRESETS["quick"]
    parts = {name: principal_configs(name, config) for name in LEARNED}
    budgets = {
        (t.updates, t.tasks_per_update, t.episodes_per_task, t.inner_learning_rate)
        for _, t in parts.values()
    }
    assert len(budgets) == 1
    assert parts["mermaide"] == (config.network, config.training)
    has_model = {name: network.world_model for name, (network, _) in parts.items()}
    is_meta = {name: training.is_meta for name, (_, training) in parts.items()}
    assert [name for name in LEARNED if has_model[name]] == ["mermaide", "world_model_without_meta"]
    assert [name for name in LEARNED if is_meta[name]] == ["mermaide", "maml_without_world_model"]
    with pytest.raises(ConfigError, match="never"):
        principal_configs("never", config)


def test_a_baseline_may_have_a_first_bonus_for_entropy_of_its_own():
    config = StudyConfig(
        training=TrainingConfig(entropy_start=0.05), baseline_entropy=(("reinforce", 0.1),)
    )
    bonuses = {name: principal_configs(name, config)[1].entropy_start for name in LEARNED}
    assert bonuses == dict.fromkeys(LEARNED, 0.05) | {"reinforce": 0.1}


@pytest.mark.parametrize(
    "parts",
    [
        {"game": GameOptions(kind="arm")},
        {"game": GameOptions(kind="penalty")},
        {"agents": AgentOptions(families=("ucb", "best_response"))},
    ],
)
def test_credit_of_hits_is_refused_where_a_payment_can_do_more(parts):
    hits = TrainingConfig(credit="hits")
    assert StudyConfig(training=hits).training.credit == "hits"
    with pytest.raises(ConfigError, match="credit: got 'hits', expected 'returns'"):
        StudyConfig(training=hits, **parts)


def test_those_that_never_adapt_in_training_have_no_memory():
    config = PRESETS["quick"]
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, memory=True))
    remembers = [name for name in LEARNED if principal_configs(name, config)[0].memory]
    assert remembers == ["mermaide", "maml_without_world_model"]


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        (GameOptions, {"cost": -1.0}, "cost"),
        (StudyConfig, {"baseline_entropy": (("reinforce", -0.1),)}, "baseline_entropy of reinf.*"),
        (StudyConfig, {"baseline_entropy": (("never", 0.1),)}, "baseline_entropy"),
        (StudyConfig, {"baseline_entropy": (("reinforce", 0.1),) * 2}, "baseline_entropy"),
        (GameOptions, {"name": "stackelberg"}, "name"),
        (GameOptions, {"name": "chess"}, "name"),
        (GameOptions, {"cost": float("nan")}, "cost"),
        (GameOptions, {"horizon": 0}, "horizon"),
        (GameOptions, {"num_arms": 1}, "num_arms"),
        (GameOptions, {"reward_low": 2.0}, "reward_high"),
        (GameOptions, {"magnitudes": (0.5, 0.0)}, "magnitudes"),
        (AgentOptions, {"families": ()}, "families"),
        (AgentOptions, {"families": ("ucb", "ucb")}, "families"),
        (AgentOptions, {"families": ("nobody",)}, "families"),
        (AgentOptions, {"split": "none"}, "split"),
        (AgentOptions, {"train": 0}, "train"),
        (AgentOptions, {"test": 3}, "test"),
        (AgentOptions, {"seed": 2**31}, "seed"),
        (EvaluationOptions, {"shots": (0, -1)}, "shots"),
        (EvaluationOptions, {"shots": (1, 1)}, "shots"),
        (EvaluationOptions, {"shots": ()}, "shots"),
        (EvaluationOptions, {"episodes": 0}, "episodes"),
        (EvaluationOptions, {"random_rate": 1.5}, "random_rate"),
        (EvaluationOptions, {"clairvoyant_beam": 0}, "clairvoyant_beam"),
        (EvaluationOptions, {"all_knowing_rollouts": 0}, "all_knowing_rollouts"),
        (EvaluationOptions, {"all_knowing_tuning": 0}, "all_knowing_tuning"),
        (EvaluationOptions, {"all_knowing_episodes": 0}, "all_knowing_episodes"),
        (NetworkConfig, {"features": 0}, "features"),
        (NetworkConfig, {"architecture": "lstm"}, "architecture"),
        (TrainingConfig, {"updates": 0}, "updates"),
        (TrainingConfig, {"updates": 5, "world_model_updates": 6}, "world_model_updates"),
        (TrainingConfig, {"episodes_per_task": 1}, "episodes_per_task"),
        (TrainingConfig, {"zero_shot_weight": 1.1}, "zero_shot_weight"),
        (TrainingConfig, {"outer_learning_rate": 0.0}, "outer_learning_rate"),
        (TrainingConfig, {"world_model_updates": 2.5}, "world_model_updates"),
        (StudyConfig, {"network": NetworkConfig(world_model=False)}, "network.world_model"),
        (
            StudyConfig,
            {"network": NetworkConfig("arms"), "game": GameOptions(observe_target=False)},
            "game.observe_target",
        ),
        (StudyConfig, {"principals": ()}, "principals"),
        (StudyConfig, {"principals": ("never", "never")}, "principals"),
        (StudyConfig, {"principals": ("nobody",)}, "principals"),
        (StudyConfig, {"seeds": 0}, "seeds"),
        (StudyConfig, {"seed": -1}, "seed"),
        (StudyConfig, {"seed": 2**31 - 1}, "seeds"),
        (StudyConfig, {"game": GameOptions(kind="arm", observe_target=False)}, "principals"),
    ],
)
def test_impossible_values_are_refused_by_name(kind, values, named):
    with pytest.raises(ConfigError, match=f"^(number of )?{named}: got .*, expected .*"):
        kind(**values)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(unknown=1), "config: got"),
        (lambda c: c["game"].update(horizon="50"), "config.game.horizon: got '50'"),
        (lambda c: c["game"].update(horizon=True), "config.game.horizon: got True"),
        (lambda c: c.update(game=[]), "config.game: got list"),
        (
            lambda c: c["game"].update(horizon=0),
            "config.game.horizon: got 0, expected an integer >= 1",
        ),
        (
            lambda c: c["game"].update(kind="gift"),
            "config.game.kind: got 'gift', expected one of binary",
        ),
    ],
)
def test_a_tampered_config_is_refused(change, named):
    content = json.loads(json.dumps(dataclasses.asdict(PRESETS["smoke"])))
    change(content)
    with pytest.raises(ConfigError) as refused:
        config_from_dict(StudyConfig, content)
    assert str(refused.value).startswith(named)


def test_what_an_earlier_release_did_not_know_has_its_default():
    content = json.loads(json.dumps(dataclasses.asdict(PRESETS["smoke"])))
    del content["evaluation"]["all_knowing_rollouts"], content["seed"]
    loaded = config_from_dict(StudyConfig, content)
    evaluation = dataclasses.replace(
        PRESETS["smoke"].evaluation, all_knowing_rollouts=EvaluationOptions().all_knowing_rollouts
    )
    assert loaded == dataclasses.replace(PRESETS["smoke"], evaluation=evaluation)
