"""Figures of a study: scores, training curves, and one episode per agent rule."""

import functools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mermaide_jax import registry
from mermaide_jax.report._episode import episode_figure
from mermaide_jax.report._score import score_figure
from mermaide_jax.report._training import training_curves_figure
from mermaide_jax.report.names import in_order
from mermaide_jax.report.style import save_png
from mermaide_jax.results.files import write_atomically
from mermaide_jax.results.results import Results

__all__ = [
    "episode_figure",
    "representative_episodes",
    "score_figure",
    "training_curves_figure",
    "write_figures",
]


def write_figures(directory: str | os.PathLike[str], results: Results) -> list[Path]:
    """Draws all figures of a study and writes them as PNG at 150 dots per inch.

    `score.png`; `training.png` if there are curves; `episode_<rule>.png` for each agent rule with
    a recorded episode. Either all former figures are replaced or, if one fails, none; a figure
    of training, or of an episode of a known rule, that these results do not have is removed.

    Args:
      directory: an existing directory.
      results: the study.

    Returns:
      The paths written.

    Raises:
      ConfigError: if the study has no rows, or a record lacks a column.
      OSError: if the disk refuses.

    Example:
      >>> import tempfile
      >>> from mermaide_jax.results.schema import ROW_COLUMNS
      >>> row = {name: kind() for name, kind in ROW_COLUMNS.items()} | {"family": "ucb"}
      >>> rows = [row | {"principal": "mermaide", "seed": seed, "score": 1.5} for seed in (0, 1)]
      >>> results = Results({}, {}, "a CPU", 1.0, "", rows, [], [], "mermaide reproduce")
      >>> [path.name for path in write_figures(tempfile.mkdtemp(), results)]
      ['score.png']
    """
    figures = {"score.png": score_figure(results.rows)}
    if results.curves:
        figures["training.png"] = training_curves_figure(results.curves)
    for family, episode in representative_episodes(results.episodes).items():
        figures[f"episode_{family}.png"] = episode_figure(episode)
    writers = {name: functools.partial(save_png, figure) for name, figure in figures.items()}
    paths = write_atomically(Path(directory), writers)
    for name in ("training.png", *(f"episode_{family}.png" for family in registry.names("family"))):
        if name not in paths:
            (Path(directory) / name).unlink(missing_ok=True)
    return list(paths.values())


def representative_episodes(episodes: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Chooses for each family the episode to show: of median score, not the prettiest.

    Args:
      episodes: as in `Results.episodes`.

    Returns:
      Agent rule to the record nearest the median score among those of the first principal, in
      canonical order, and its smallest K.

    Example:
      >>> episode = {"principal": "mermaide", "family": "ucb", "k_shot": 0}
      >>> found = representative_episodes([episode | {"score": score} for score in (1.0, 9.0, 2.0)])
      >>> found["ucb"]["score"]
      2.0
    """
    records = list(episodes)
    chosen = {}
    for family in in_order((record["family"] for record in records), "family"):
        of_rule = [record for record in records if record["family"] == family]
        first = in_order(record["principal"] for record in of_rule)[0]
        of_first = [record for record in of_rule if record["principal"] == first]
        shot = min(record["k_shot"] for record in of_first)
        shown = [record for record in of_first if record["k_shot"] == shot]
        scores = np.array([record["score"] or 0.0 for record in shown])
        chosen[family] = shown[int(np.argmin(np.abs(scores - np.median(scores))))]
    return chosen
