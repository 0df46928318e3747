"""Reading finished studies again: the parts of one, checked, with their trained principals."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from mermaide_jax.errors import refuse
from mermaide_jax.principals.members import names_of
from mermaide_jax.report.attained import attained_records, oracles
from mermaide_jax.results.results import Results, merge_results, read_results
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import Trained
from mermaide_jax.studies.mermaide.run import load_study
from mermaide_jax.studies.mermaide.setting import Stream, make_setting

__all__ = ["Part", "TrainedRun", "load_parts", "load_runs", "read_study"]


class Part(NamedTuple):
    """What one directory holds of a study: its config, and trained principals by name."""

    config: StudyConfig
    trained: dict[str, Trained]


class TrainedRun(NamedTuple):
    """One principal, trained once on one family; its params have no leading axis."""

    name: str
    config: StudyConfig
    stream: Stream
    params: Any


def load_parts(
    places: Sequence[Path],
    wanted: Callable[[str, StudyConfig], bool] = lambda name, config: True,
    who: str = "a learned principal",
) -> list[Part]:
    """Loads the parts of a study, with those of their principals that are wanted.

    Args:
      places: directories that `mermaide reproduce` or `mermaide train` wrote.
      wanted: ``wanted(name, config)``, whether a principal is.
      who: what such a principal is, for the error.

    Raises:
      ConfigError: no directory, no study in one, or nobody who is wanted.

    Example:
      >>> load_parts([], who="a world model")
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: results: got [], expected finished studies of a world model
    """
    studies = [load_study(place) for place in places]
    parts = [
        Part(config, {name: one for name, one in trained.items() if wanted(name, config)})
        for config, trained in studies
    ]
    if not any(part.trained for part in parts):
        refuse("results", [str(place) for place in places], f"finished studies of {who}")
    return parts


def load_runs(places: Sequence[Path], principal: str, others: Sequence[str]) -> list[TrainedRun]:
    """Loads every training run of all principals, for a comparison of one with others.

    Args:
      places: directories of the parts of one study; of a run that two of them hold, the last.
      principal: who is compared.
      others: with whom; at least one of them must be there.

    Raises:
      ConfigError: no directory, no study in it, one of mixed agents, unlike games or splits, nobody
        to compare, or principals of unlike families, seeds or K.

    Example:
      >>> load_runs([], "mermaide", ["reinforce"])
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: results: got [], expected a directory that ...
    """
    runs: dict[tuple[str, Stream], TrainedRun] = {}
    games: dict[Any, Path] = {}
    if not places:
        refuse("results", [], "a directory that `mermaide reproduce` wrote, or several")
    for place in places:
        config, trained = load_study(place)
        games.setdefault((config.game, config.agents.split), place)
        if config.agents.mixed:
            refuse("results", str(place), "principals that were trained on one family each")
        for name, result in trained.items():
            for number, stream in enumerate(make_setting(config).streams):
                params = jax.tree.map(lambda leaf, n=number: leaf[n], result.params)
                runs[name, stream] = TrainedRun(name, config, stream, params)
    if len(games) > 1:
        refuse("results", [str(place) for place in games.values()], "parts of one study")
    _check_comparable(list(runs.values()), principal, others)
    return list(runs.values())


def _check_comparable(runs: Sequence[TrainedRun], principal: str, others: Sequence[str]) -> None:
    """Refuses runs that are not of the same families, seeds and K, or of nobody to compare."""
    streams = {run.name: {r.stream for r in runs if r.name == run.name} for run in runs}
    if principal not in streams or streams.keys().isdisjoint(others):
        expected = f"{principal} and at least one of {', '.join(others)}"
        refuse("principals", sorted(streams), expected)
    if any(own != streams[principal] for own in streams.values()):
        refuse("results", sorted(streams), "principals with the same families and seeds")
    shots = {run.config.evaluation.shots for run in runs}
    if len(shots) > 1:
        refuse("shots", sorted(shots), "the same in all parts")


def read_study(places: Sequence[Path], principal: str = "mermaide") -> Results:
    """Reads the results of a study, put together if it comes in parts.

    Args:
      places: directories that `mermaide reproduce` wrote.
      principal: who must be there, with a learned principal to compare with.

    Returns:
      Results, their shares of the attainable measured on all rows together.

    Raises:
      ConfigError: no directory, parts that do not fit each other, or nobody to compare.

    Example:
      >>> read_study([])
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: results: got [], expected a directory that ...
    """
    if not places:
        refuse("results", [], "a directory that `mermaide reproduce` wrote, or several")
    whole = read_results(places[0])
    if len(places) > 1:
        whole = merge_results([read_results(place) for place in places])
    present = {row["principal"] for row in whole.rows}
    others = [name for name in names_of("learned") if name != principal]
    if principal not in present or present.isdisjoint(others):
        expected = f"{principal} and at least one of {', '.join(others)}"
        refuse("principals", sorted(present), expected)
    shares = [share for name in oracles() for share in attained_records(whole.rows, name)]
    return dataclasses.replace(whole, attained=shares)
