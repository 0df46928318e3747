"""The whole job: train every principal, test all of them, write down what came out."""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mermaide_jax.errors import ConfigError, refuse
from mermaide_jax.principals.members import role_of
from mermaide_jax.report.attained import attained_records, oracles
from mermaide_jax.results.configs import config_from_dict, config_to_dict
from mermaide_jax.results.files import text_writer, write_atomically
from mermaide_jax.results.migration import upgrade_config
from mermaide_jax.results.provenance import collect_versions, describe_devices, source_revision
from mermaide_jax.results.results import Results
from mermaide_jax.studies.mermaide.config import StudyConfig, principal_configs
from mermaide_jax.studies.mermaide.learned import (
    Trained,
    evaluate_principal,
    load_principal,
    train_principal,
)
from mermaide_jax.studies.mermaide.records import (
    Record,
    curve_rows,
    episode_records,
    score_rows,
    without_world_model,
)
from mermaide_jax.studies.mermaide.scripted import evaluate_scripted
from mermaide_jax.studies.mermaide.setting import Setting, make_setting
from mermaide_jax.training import Progress
from mermaide_jax.training.checkpoint import clear_checkpoints

CONFIG_FILE = "config.json"
CHECKPOINTS = "checkpoints"

OnProgress = Callable[[str, Progress], None]


class Evaluated(NamedTuple):
    """What a test leaves behind; see `report.results.Results`."""

    rows: list[Record]
    episodes: list[Record]


def learned_names(config: StudyConfig) -> list[str]:
    """Lists the learned principals of a study, in their order.

    Example:
      >>> learned_names(StudyConfig(principals=("never", "mermaide")))
      ['mermaide']
    """
    return [name for name in config.principals if role_of(name) == "learned"]


def train_study(
    config: StudyConfig,
    directory: Path,
    *,
    resume: bool = False,
    on_progress: OnProgress = lambda principal, progress: None,
) -> dict[str, Trained]:
    """Trains the learned principals of a study; config and checkpoints go into ``directory``.

    Args:
      config: the study.
      directory: an existing directory.
      resume: go on from the checkpoints that are there; else former ones are removed.
      on_progress: called with the principal's name after every chunk of updates.

    Raises:
      ConfigError: ``resume`` with another config than the one that was saved.
      TrainingDiverged: NaN or infinity; the last good state was saved.

    Example:
      >>> import tempfile
      >>> config = StudyConfig(principals=("always",))  # which is not trained
      >>> with tempfile.TemporaryDirectory() as directory:
      ...     trained = train_study(config, Path(directory))
      ...     print(trained, load_config(Path(directory)) == config)
      {} True
    """
    if resume and (directory / CONFIG_FILE).exists():
        check_resumable(config, directory)
    if not resume:  # a principal that is added later would go on from what a former run left
        for former in (directory / CHECKPOINTS).glob("*"):
            clear_checkpoints(former)
    _save_config(config, directory)
    setting = make_setting(config)
    trained = {}
    for name in learned_names(config):
        trained[name] = train_principal(
            name,
            config,
            setting,
            directory / CHECKPOINTS / name,
            resume=resume,
            on_progress=lambda progress, name=name: on_progress(name, progress),
        )
    return trained


def load_study(directory: Path) -> tuple[StudyConfig, dict[str, Trained]]:
    """Loads the config and the trained principals that `train_study` saved.

    Raises:
      ConfigError: no config or no complete checkpoint there, or they do not fit each other.

    Example:
      >>> load_study(Path("nowhere"))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: nowhere/config.json: got no readable file, expected ...
    """
    config = load_config(directory)
    setting = make_setting(config)
    trained = {
        name: load_principal(name, config, setting, directory / CHECKPOINTS / name)
        for name in learned_names(config)
    }
    return config, trained


def evaluate_study(
    config: StudyConfig,
    trained: Mapping[str, Trained],
    *,
    on_principal: Callable[[str], None] = lambda principal: None,
) -> Evaluated:
    """Tests every principal of a study on the test agents, for each number of shots.

    Args:
      config: the study; its agents, game terms and evaluation may differ from those trained on.
      trained: the learned principals.
      on_principal: called with a principal's name before it is tested.

    Example:
      >>> from mermaide_jax.studies.mermaide.config import AgentOptions, EvaluationOptions
      >>> who, how = AgentOptions(("ucb",), train=3, test=2), EvaluationOptions(episodes=2)
      >>> config = StudyConfig(agents=who, evaluation=how, principals=("never", "always"), seeds=1)
      >>> rows = evaluate_study(config, {}).rows
      >>> {row["principal"]: row["interventions"] for row in rows}
      {'never': 0.0, 'always': 100.0}
    """
    setting = make_setting(config)
    rows: list[Record] = []
    episodes: list[Record] = []
    for name in config.principals:
        on_principal(name)
        if role_of(name) == "learned":
            tested = _evaluate_learned(name, config, setting, trained[name])
            rows, episodes = rows + tested.rows, episodes + tested.episodes
            continue
        scores, parameter = evaluate_scripted(name, config, setting)
        for shots in config.evaluation.shots:
            rows += score_rows(name, config, setting, scores, shots, parameter)
    return Evaluated(rows, episodes)


def study_curves(config: StudyConfig, trained: Mapping[str, Trained]) -> list[Record]:
    """Makes the training curves of the learned principals, as records.

    Example:
      >>> trained = {"reinforce": Trained(None, training.Metrics(*np.ones((6, 2, 20))))}
      >>> rows = study_curves(StudyConfig(seeds=1), trained)  # of two families
      >>> [(row["family"], row["update"]) for row in rows]
      [('ucb', 10), ('ucb', 20), ('epsilon_greedy', 10), ('epsilon_greedy', 20)]
    """
    setting = make_setting(config)
    rows: list[Record] = []
    for name, result in trained.items():
        network, training = principal_configs(name, config)
        warm_up = training.world_model_updates if network.world_model else 0
        if not network.world_model:
            nothing = np.full_like(result.history.score, np.nan)
            history = result.history._replace(world_model_log_likelihood=nothing)
            result = result._replace(history=history)
        rows += curve_rows(name, setting, result, warm_up)
    return rows


def make_results(
    config: StudyConfig,
    trained: Mapping[str, Trained],
    tested: Evaluated,
    *,
    started: float,
    command: str,
) -> Results:
    """Gathers everything that a study leaves behind, with where and how it was made.

    Args:
      config: the study.
      trained: its learned principals, for the training curves.
      tested: what `evaluate_study` returned.
      started: `time.monotonic()` at the start.
      command: the command line.

    Example:
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"principal": "always"}
      >>> config, tested = StudyConfig(seeds=3), Evaluated([row], [])
      >>> results = make_results(config, {}, tested, started=time.monotonic(), command="mine")
      >>> results.config["seeds"], results.command, len(results.rows)
      (3, 'mine', 1)
    """
    return Results(
        config=dataclasses.asdict(config),
        versions=collect_versions(),
        device=describe_devices(),
        wall_time_s=time.monotonic() - started,
        revision=source_revision(),
        rows=tested.rows,
        curves=study_curves(config, trained),
        episodes=tested.episodes,
        command=command,
        attained=[share for name in oracles() for share in attained_records(tested.rows, name)],
    )


def load_config(directory: Path) -> StudyConfig:
    """Loads the config that `train_study` saved.

    Raises:
      ConfigError: there is none, or it is not a config of this version.

    Example:
      >>> load_config(Path("nowhere"))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: nowhere/config.json: got no readable file, expected ...
    """
    path = directory / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: got no readable file, expected the {CONFIG_FILE} of a training run"
        ) from error
    try:
        return config_from_dict(StudyConfig, upgrade_config(json.loads(text)))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: got text that is not JSON, expected a config") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _evaluate_learned(
    name: str, config: StudyConfig, setting: Setting, trained: Trained
) -> Evaluated:
    rows: list[Record] = []
    network, _ = principal_configs(name, config)
    tests = evaluate_principal(name, config, setting, trained)
    for shots, test in tests.items():
        scores = test.scores if network.world_model else without_world_model(test.scores)
        rows += score_rows(name, config, setting, scores, shots)
    most = max(tests)
    return Evaluated(rows, episode_records(name, config, setting, tests[most].episode, most))


def check_resumable(config: StudyConfig, directory: Path) -> None:
    """Refuses to resume otherwise than before; what is tested, and how, may differ.

    Raises:
      ConfigError: no config there, or one that differs in what training depends on.

    Example:
      >>> check_resumable(StudyConfig(), Path("nowhere"))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: nowhere/config.json: got no readable file, expected ...
    """
    saved = dataclasses.asdict(load_config(directory))
    wanted = dataclasses.asdict(config)
    for name in wanted.keys() - {"evaluation", "principals"}:
        _check_same(name, wanted[name], saved[name])


def _check_same(name: str, wanted: Any, saved: Any) -> None:
    if isinstance(wanted, dict):
        for field, value in wanted.items():
            _check_same(f"{name}.{field}", value, saved[field])
    elif wanted != saved:
        refuse(name, wanted, f"the saved {saved!r} to go on from")


def _save_config(config: StudyConfig, directory: Path) -> None:
    text = json.dumps(config_to_dict(config), indent=2)
    write_atomically(directory, {CONFIG_FILE: text_writer(text)})
