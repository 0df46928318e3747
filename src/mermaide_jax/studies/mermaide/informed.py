"""A world model without meta-learning that is informed of the agent: trained and tested anew."""

import dataclasses
from collections.abc import Sequence

from mermaide_jax import registry
from mermaide_jax.errors import check_choice, check_in_range, refuse
from mermaide_jax.games.informed import Knowledge, informed_game
from mermaide_jax.report.attained import oracles, scripts
from mermaide_jax.results.configs import config_from_dict
from mermaide_jax.results.records import Record
from mermaide_jax.results.results import Results
from mermaide_jax.studies.kit import say
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import evaluate_principal, train_principal
from mermaide_jax.studies.mermaide.records import score_rows
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import Progress

__all__ = ["PRINCIPAL", "families_alone", "known_rows", "train_informed"]

PRINCIPAL = "world_model_without_meta"


def families_alone(
    results: Results, families: Sequence[str] = (), seeds: int = 1
) -> list[StudyConfig]:
    """Makes for each family the config of a finished study, of its first seeds and at 0-shot.

    Args:
      results: of the study.
      families: of agents; those of the study if none is named.
      seeds: training runs.

    Raises:
      ConfigError: a study whose principals cannot be informed: other families, interventions or
        networks, fewer seeds, or principals missing.

    Example:
      >>> config = dataclasses.asdict(registry.get("preset", "default").value)
      >>> about = {"family": "ucb", "seed": 0, "k_shot": 0}
      >>> rows = [about | {"principal": name} for name in (PRINCIPAL, "never", "all_knowing")]
      >>> results = Results(config, {}, "", 0.0, "", rows, [], [], "")
      >>> [one.agents.families for one in families_alone(results)]
      [('ucb',), ('epsilon_greedy',)]
    """
    config = config_from_dict(StudyConfig, results.config)
    check_in_range("--seeds", seeds, 1, len({row["seed"] for row in results.rows}))
    for family in families:
        check_choice("--families", family, config.agents.families)
    families = tuple(families) or config.agents.families
    known = [m.name for m in registry.members("family") if "index" in m.traits]
    for family in families:
        check_choice("agents.families", family, known)
    game, network = config.game, config.network
    for field, value, needed in (
        ("game.kind", game.kind, "binary"),
        ("game.initial_pull", game.initial_pull, True),
        ("network.architecture", network.architecture, "arms"),
    ):
        if value != needed:
            refuse(field, value, repr(needed))
    played = {row["principal"] for row in results.rows if row["k_shot"] == 0}
    if not {PRINCIPAL, oracles()[0]} <= played or played.isdisjoint(scripts()):
        refuse("principals", sorted(played), f"{PRINCIPAL}, {oracles()[0]} and a script, at 0-shot")
    evaluation = dataclasses.replace(config.evaluation, shots=(0,))
    config = dataclasses.replace(config, evaluation=evaluation, seeds=seeds)
    agents = [dataclasses.replace(config.agents, families=(f,), mixed=False) for f in families]
    return [dataclasses.replace(config, agents=one) for one in agents]


def known_rows(results: Results, configs: Sequence[StudyConfig]) -> list[Record]:
    """Lists the rows of the finished study at 0-shot, those of `families_alone`.

    Example:
      >>> rows = [{"family": "ucb", "seed": 0, "k_shot": number} for number in (0, 1)]
      >>> known_rows(Results({}, {}, "", 0.0, "", rows, [], [], ""), [StudyConfig(seeds=1)])
      [{'family': 'ucb', 'seed': 0, 'k_shot': 0}]
    """
    families = [config.agents.families[0] for config in configs]
    seeds = sorted({row["seed"] for row in results.rows})[: configs[0].seeds]
    return [
        row
        for row in results.rows
        if row["k_shot"] == 0 and row["seed"] in seeds and row["family"] in families
    ]


def train_informed(config: StudyConfig, knowledge: Knowledge) -> list[Record]:
    """Trains and tests the principal in the game in which it is informed.

    Args:
      config: of one family, see `families_alone`.
      knowledge: of what.

    Returns:
      Its rows of scores.
    """
    setting, (family,) = make_setting(config), config.agents.families
    games = tuple((f, informed_game(g, f, knowledge)) for f, g in setting.populations.games)
    populations = dataclasses.replace(setting.populations, games=games)
    setting = setting._replace(populations=populations)

    def on_progress(progress: Progress) -> None:
        where = f"{progress.update} of {config.training.updates}"
        say(f"{family}, informed of the {knowledge}: {where}")

    trained = train_principal(PRINCIPAL, config, setting, None, on_progress=on_progress)
    test = evaluate_principal(PRINCIPAL, config, setting, trained)[0]
    return score_rows(PRINCIPAL, config, setting, test.scores, 0)
