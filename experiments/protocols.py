"""Do the findings hold under other protocols: other splits, horizons, mixed agents, endless agents?

    mermaide reproduce --preset default --seeds 3 --agents.split same --out results/same
    mermaide reproduce --preset default --seeds 3 --game.horizon 200 --out results/bandits_200
    python experiments/protocols.py results/bandits results/same results/bandits_200 \
        --out results/protocols

Reads finished studies (one in parts is put together by ``experiments/bandits.py`` first) and names
each by what its game, its agents, its networks or its training have that the first study's have
not. Writes ``protocols.csv`` (scores and shares of the attainable with intervals, success,
interventions), ``improvement.csv`` (the probability that MERMAIDE improves on each baseline),
``protocols.png`` and ``about.json``, and prints both tables in short. Intervals are those of every
other table.
"""

import dataclasses
import itertools
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mermaide_jax.errors import refuse
from mermaide_jax.report.attained import scripts
from mermaide_jax.report.improvement import improvement_records
from mermaide_jax.report.names import FAMILY_LABELS, family_label, in_order, principal_label
from mermaide_jax.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    new_figure,
    quiet_grid,
    styled,
)
from mermaide_jax.report.summary import summarize
from mermaide_jax.results.results import Results, prepare_output, read_results
from mermaide_jax.results.schema import to_plain
from mermaide_jax.studies.kit import start, write_experiment
from mermaide_jax.studies.mermaide.config import LEARNED, StudyConfig

PRINCIPAL, BASELINES = LEARNED[0], LEARNED[1:]
COLORS = dict(zip(BASELINES, (GREEN, ORANGE, BLUE), strict=True))
SHOTS = {0: GREY, 1: INK}
FIRST = "base"
"""Name of the first study, which the others differ from."""
_OWN_ENTROPY = "baseline_entropy"
_PARTS = ("game", "agents", "network", "training", _OWN_ENTROPY)
"""What makes a protocol."""
_UNNAMED = ("agents.families", "network.recurrence", "training.agents_per_block")
"""What was run apart, or changes nothing but speed."""
_SCHEDULE = ("training.entropy_start", "training.entropy_end", "training.entropy_decay")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is read, and where the tables go."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directories of finished studies, first the one that the others are held against."""
    out: Path
    """Directory for the tables and the figure."""
    force: bool = False
    """Accept an output directory that holds files."""


def protocol_name(config: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """What a study has that the first has not, such as ``"split same"``."""
    # Records of an earlier release lack what it did not have: it is as by default. But baselines
    # had bonuses of their own there too, in runs of their own: these are compared if both tell.
    default = to_plain(StudyConfig())
    told = _OWN_ENTROPY in config and _OWN_ENTROPY in base
    own, other = (_protocol(default) | _protocol(one) for one in (config, base))
    different = [key for key in own if own[key] != other.get(key)]
    if not told:
        different = [key for key in different if not key.startswith(_OWN_ENTROPY)]
    changed = [_said(key, own[key]) for key in different if key not in _SCHEDULE]
    if not set(different).isdisjoint(_SCHEDULE):
        start, end, decay = (own[key] for key in _SCHEDULE)
        shape = {1.0: "linearly", 2.0: "by the square"}.get(decay, f"by the power {decay:g}")
        until = f" to {end:g}" if end else ""
        changed.append(f"entropy {start:g}{until} {shape}")
    return ", ".join(changed).replace("mixed True", "mixed").replace("_", " ") or FIRST


def _said(key: str, value: Any) -> str:
    """A field and its value; whose entropy it is, if a baseline's."""
    part, _, name = key.rpartition(".")
    return f"entropy of {name} {value}" if part == _OWN_ENTROPY else f"{name} {value}"


def _protocol(config: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The fields that make a protocol, ``part.name`` to value."""
    found = {}
    for key, value in config.items():
        path = where + key
        if isinstance(value, Mapping):
            found |= _protocol(value, path + ".")
        elif path.startswith(_PARTS) and path not in _UNNAMED:
            found[path] = value
    return found


def compare(studies: Mapping[str, Results]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of the learned principals and the scripts, and improvements, protocol by protocol."""
    scores, improvements = [], []
    for name, study in studies.items():
        rows = [row for row in study.rows if row["k_shot"] in SHOTS]
        runs = pd.DataFrame([row for row in rows if row["principal"] == PRINCIPAL])
        table = summarize(rows)
        table = table[table["principal"].isin((*LEARNED, *scripts()))]
        seeds = table["family"].map(runs.groupby("family")["seed"].nunique())
        scores.append(table.drop(columns="runs").assign(protocol=name, seeds=seeds))
        records = improvement_records(rows, BASELINES)
        improvements.append(pd.DataFrame(records).assign(protocol=name))
    tables = (pd.concat(part, ignore_index=True) for part in (scores, improvements))
    first, second = (table[["protocol", *table.columns.drop("protocol")]] for table in tables)
    return first, second


def in_short(scores: pd.DataFrame) -> pd.DataFrame:
    """A line for each protocol, family and K: the scores side by side, and MERMAIDE's share."""
    lines = []
    for group, part in scores.groupby(["protocol", "family", "k_shot"], sort=False):
        table = part.set_index("principal")
        own, ours = table["score"], table.loc[PRINCIPAL]
        line = dict(zip(("protocol", "agents", "K"), group, strict=True))
        line |= {principal_label(name): own.get(name, np.nan) for name in LEARNED}
        line["best script"] = own.drop(list(LEARNED), errors="ignore").max()
        lines.append(line | {"share": ours["attained"], "paid": ours["interventions"]})
    return pd.DataFrame(lines)


def draw(scores: pd.DataFrame, improvements: pd.DataFrame) -> Figure:
    """A row for each family: MERMAIDE's share of the attainable, and its improvements at each K."""
    protocols = list(dict.fromkeys(scores["protocol"]))
    families = in_order(scores["family"], FAMILY_LABELS)
    with styled():
        figure = new_figure(11.5, len(families) * (0.42 * len(protocols) + 0.9) + 0.4)
        panels = figure.subplots(
            len(families), 1 + len(SHOTS), squeeze=False, sharex="col", sharey=True
        )
        for row, family in zip(panels, families, strict=True):
            own = scores[(scores["family"] == family) & (scores["principal"] == PRINCIPAL)]
            for number, shot in enumerate(SHOTS):
                part = own[own["k_shot"] == shot]
                ends = ("attained_low", "attained", "attained_high")
                _marks(row[0], part, ends, protocols, 0.3 * (number - 0.5), SHOTS[shot])
            row[0].set_xlabel("MERMAIDE's share of the attainable")
            row[0].axvline(0, color="0.6", lw=1)
            row[0].set_title(family_label(family))
            for axes, shot in zip(row[1:], SHOTS, strict=True):
                own = improvements[improvements["family"] == family]
                own = own[own["k_shot"] == shot]
                for number, baseline in enumerate(BASELINES):
                    part, ends = own[own["baseline"] == baseline], ("low", "value", "high")
                    _marks(axes, part, ends, protocols, 0.22 * (number - 1), COLORS[baseline])
                axes.axvline(0.5, color="0.6", lw=1)
                axes.set(xlim=(-0.03, 1.03), xlabel=f"P(MERMAIDE improves), {shot}-shot")
            labels = [textwrap.fill(name, 30) for name in protocols]
            row[0].set_yticks(range(len(protocols)), labels, fontsize=8)
            row[0].set_ylim(len(protocols) - 0.5, -0.5)
            for axes in row:
                quiet_grid(axes)
        _legend(figure)
    return figure


def _marks(
    axes: Axes,
    table: pd.DataFrame,
    ends: tuple[str, str, str],
    protocols: list[str],
    shift: float,
    color: str,
) -> None:
    """Points with bars, one for each protocol; what was not measured is left out."""
    part = table.set_index("protocol").reindex(protocols)
    low, value, high = (part[end].to_numpy(dtype=float) for end in ends)
    places = np.arange(len(value)) + shift
    axes.hlines(places, low, high, color=color, lw=2, alpha=0.6)
    axes.plot(value, places, "o", color=color, ms=4.5)


def _legend(figure: Figure) -> None:
    shots = [(color, f"{shot}-shot") for shot, color in SHOTS.items()]
    names = [(COLORS[name], f"over {principal_label(name)}") for name in BASELINES]
    handles = [
        Line2D([], [], color=color, marker="o", lw=2, label=label)
        for color, label in itertools.chain(shots, names)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9)


def run(experiment: Experiment) -> None:
    """Reads, compares, writes, prints.

    Raises:
      ConfigError: no study, two of the same protocol, or a directory that cannot be used.
    """
    began = time.monotonic()
    if not experiment.results:
        refuse("results", [], "at least one directory that `mermaide reproduce` wrote")
    found = [read_results(place) for place in experiment.results]
    names = [protocol_name(study.config, found[0].config) for study in found]
    for name in names:
        if names.count(name) > 1:
            refuse("results", name, "each protocol once")
    directory = prepare_output(experiment.out, force=experiment.force)
    scores, improvements = compare(dict(zip(names, found, strict=True)))
    tables = {"protocols": scores, "improvement": improvements}
    figures = {"protocols": draw(scores, improvements)}
    formats = {"protocols": "%.6g", "improvement": "%.4g"}
    write_experiment(directory, tables, figures, began, formats=formats)
    print(in_short(scores).to_string(index=False, float_format="%.2f"))
    print(improvements.to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    sys.exit(start(run, Experiment, __doc__))
