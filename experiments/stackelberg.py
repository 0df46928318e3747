"""F1: how soon a principal plays the Stackelberg equilibrium with an agent it never met.

    python experiments/stackelberg.py --out results/stackelberg            # or with --reduced

The agent best-responds to the announced bonus; the principal is an MLP with one hidden layer, ReLU,
that reads a summary of what it observed of the agent so far. Three principals: *meta-learned*
(second-order MAML over agents), *pre-trained* (the same agents, interactions and objective without
the inner loop; its test-time rate is chosen on validation agents) and *fresh* (learns by REINFORCE
from one agent alone; its rate is chosen on validation agents).

Protocol, declared before the test: agents for training, validation and test come from keys of their
own; every design choice was made on other seeds than those of the test. The payoff after n
interactions is that of the most likely offer, on test agents, over the mean equilibrium payoff of
the same agents. Sample need: the first n at which the mean over seeds is at 95%, linear in log(1+n)
between the n tested. Intervals: 95% percentile bootstrap over seeds. Headline: continuous offers,
readings of the rewards. Writes ``curves.parquet``, ``results.json``, ``payoff.png``, ``needs.png``;
the finding is in ``results.json`` if what is run measures it (`is_measured`).
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.games.stackelberg import StackelbergConfig, StackelbergKind
from mermaide_jax.report._style import save_png
from mermaide_jax.results.files import text_writer, write_atomically
from mermaide_jax.results.findings import merge_finding
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.results import prepare_output
from mermaide_jax.results.schema import to_plain
from mermaide_jax.studies.kit import start
from mermaide_jax.studies.stackelberg.config import LearningConfig
from mermaide_jax.studies.stackelberg.figures import needs_figure, payoff_figure
from mermaide_jax.studies.stackelberg.needs import over_seeds, payoff_ratio, sample_need
from mermaide_jax.studies.stackelberg.run import SweepConfig, run_sweep

LEVEL = 0.95
KEYS = ["kind", "setting", "principal"]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is run."""

    out: Path
    """Directory for tables and figures."""
    reduced: bool = False
    """The headline game alone, with fewer seeds, noise levels, updates and interactions."""
    seeds: int = 10
    """Independent trainings."""
    noises: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0)
    """Noise levels of the headline."""
    other_noises: tuple[float, ...] = (0.0, 0.25)
    """Noise levels of the other kinds of offers."""
    others: tuple[StackelbergKind, ...] = ("binary", "arm", "magnitude")
    """Other kinds of offers."""
    updates: int = 1500
    """Outer updates of the headline; half as many for the other games."""
    most: int = 100_000
    """Most test interactions of trained principals."""
    fresh_most: int = 10_000
    """Most test interactions of fresh principals."""
    findings: Path | None = None
    """Findings file into which the block F1 is merged."""
    force: bool = False
    """Accept an output directory that holds files."""


def games(experiment: Experiment) -> list[SweepConfig]:
    """The headline game; if not reduced, also with actions alone seen, and the other offers."""
    if experiment.reduced:
        experiment = dataclasses.replace(
            experiment,
            seeds=3,
            noises=(0.0, 0.25, 1.0),
            updates=600,
            others=(),
            most=2000,
            fresh_most=500,
        )
    plain = SweepConfig()
    sweep = dataclasses.replace(
        plain,
        seeds=experiment.seeds,
        fresh_interactions=experiment.fresh_most,
        interactions=tuple(n for n in plain.interactions if n <= experiment.most),
    )
    learning = LearningConfig(updates=experiment.updates, most_interactions=experiment.most)
    half = dataclasses.replace(learning, updates=max(1, experiment.updates // 2))
    actions = dataclasses.replace(
        learning,
        game=StackelbergConfig(observe="actions", horizon=32),
        credit=0.9,
        most_interactions=32,
    )
    several = [
        dataclasses.replace(sweep, learning=learning, noises=experiment.noises),
        dataclasses.replace(sweep, learning=actions, noises=(0.0,)),
    ]
    if experiment.reduced:
        return several[:1]
    for kind in experiment.others:
        other = dataclasses.replace(half, game=StackelbergConfig(kind=kind))
        bonus = 1.0 if kind == "magnitude" else 0.5
        noises = experiment.other_noises
        several.append(dataclasses.replace(sweep, learning=other, noises=noises, bonus=bonus))
    return several


def is_measured(experiment: Experiment) -> bool:
    """Whether the finding can be: the headline without noise, after 10 interactions."""
    return experiment.reduced or (0.0 in experiment.noises and experiment.most >= 10)


def run(sweeps: list[SweepConfig]) -> pd.DataFrame:
    """All games, one record per game, noise, seed, principal and number of interactions."""
    rows: list[dict[str, Any]] = []
    for sweep in sweeps:
        game, start = sweep.learning.game, time.monotonic()
        print(f"{game.kind}, reads {game.observe}", flush=True)
        rows += run_sweep(sweep, lambda text: print(f"  {text}", flush=True))
        print(f"  {time.monotonic() - start:.0f} s", flush=True)
    table = pd.DataFrame(rows)
    actions = table["observe"] == "actions"
    noise = table["noise"].map(lambda value: f"noise {value:g}")
    return table.assign(setting=noise.where(~actions, "actions only"))


def by_seed(rows: pd.DataFrame, column: str) -> np.ndarray:
    """A column of one game, setting and principal, ``[S, C]``."""
    return rows.pivot_table(column, "seed", "interactions").to_numpy()


def summarize(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves of the ratio and sample needs, each with its interval."""
    curves, needs = [], []
    for key, rows in table.groupby(KEYS, sort=False):
        about = dict(zip(KEYS, key, strict=True))
        times = sorted(rows["interactions"].unique())
        payoff, best = by_seed(rows, "payoff"), by_seed(rows, "equilibrium")[:, 0]
        error = by_seed(rows, "bonus_error").mean(axis=0)
        for i, number in enumerate(times):
            ratio = over_seeds(lambda p, b: payoff_ratio(p, b)[:, 0], payoff[:, [i]], best)
            gap = float(best.mean() - payoff[:, i].mean())
            extra = {"payoff_gap": gap, "bonus_error": error[i]}
            curves.append({**about, "interactions": int(number), **ratio._asdict(), **extra})
        need = lambda p, b, t=times: sample_need(payoff_ratio(p, b), t, LEVEL)  # noqa: E731
        interval = over_seeds(need, payoff, best)
        needs.append({**about, **interval._asdict(), "most": int(times[-1])})
    return pd.DataFrame(curves), pd.DataFrame(needs)


def finding(table: pd.DataFrame, curves: pd.DataFrame, needs: pd.DataFrame, command: str) -> dict:
    """The block F1: the headline at zero noise, and every other number below it."""
    fresh = curves["principal"] == "fresh"
    last = int(curves[fresh]["interactions"].max())
    at_10 = curves[curves["interactions"] == 10]
    detail = [*KEYS, "value", "low", "high", "payoff_gap", "bonus_error"]
    head = (at_10["kind"] == "continuous") & (at_10["setting"] == "noise 0")
    value = at_10[head & (at_10["principal"] == "meta")].iloc[0]
    measure = {key: float(value[key]) for key in ("value", "low", "high")}
    ratios = [need_ratio(table, kind, setting, last) for kind, setting in _settings(table)]
    headline = next(r for r in ratios if (r["kind"], r["setting"]) == ("continuous", "noise 0"))
    needs = needs.assign(reached=np.isfinite(needs["value"]))
    return {
        "payoff_ratio_at_10_interactions": {
            **measure,
            "command": command,
            "each": at_10[detail].to_dict("records"),
        },
        "interactions_ratio_meta_over_fresh": {
            **{key: headline[key] for key in ("value", "low", "high", "fresh_reached")},
            "command": command,
            "each": ratios,
            "needs": needs.to_dict("records"),
            "most_interactions": int(curves["interactions"].max()),
            "most_interactions_fresh": last,
        },
    }


def _settings(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(table[["kind", "setting"]].drop_duplicates().itertuples(index=False, name=None))


def need_ratio(table: pd.DataFrame, kind: str, setting: str, last: int) -> dict[str, Any]:
    """Sample need of the meta-learned over that of the fresh principal.

    Where the fresh principal does not reach 95%, the largest number tested stands in for its need,
    so that the ratio is an upper bound; where the meta-learned does not, there is no ratio.
    """
    rows = table[(table["kind"] == kind) & (table["setting"] == setting)]
    samples, every = [], []
    for name in ("meta", "fresh"):
        part = rows[rows["principal"] == name]
        every.append(sorted(part["interactions"].unique()))
        samples += [by_seed(part, "payoff"), by_seed(part, "equilibrium")[:, 0]]

    def ratio(meta, best_meta, fresh, best_fresh):
        top = sample_need(payoff_ratio(meta, best_meta), every[0], LEVEL)
        below = sample_need(payoff_ratio(fresh, best_fresh), every[1], LEVEL)
        return top / np.minimum(below, last)

    fresh = sample_need(payoff_ratio(samples[2], samples[3]), every[1], LEVEL)
    reached = {"fresh_reached": bool(np.isfinite(fresh))}
    return {"kind": kind, "setting": setting, **over_seeds(ratio, *samples)._asdict(), **reached}


def write(experiment: Experiment, directory: Path, table: pd.DataFrame, began: float) -> None:
    """Tables and figures, then what was found; if asked for, also among the findings."""
    curves, needs = summarize(table)
    head = curves["kind"] == "continuous"
    payoff = payoff_figure(curves[head].to_dict("records"), LEVEL)
    need = needs_figure(needs[needs["kind"] == "continuous"].to_dict("records"))
    write_atomically(
        directory,
        {
            "curves.parquet": lambda path: table.to_parquet(path, index=False),
            "payoff.png": lambda path: save_png(payoff, path),
            "needs.png": lambda path: save_png(need, path),
        },
    )
    show(curves, needs)
    about = script_record(began) | {"config": experiment}
    if is_measured(experiment):
        about["F1"] = finding(table, curves, needs, about["command"])
    text = json.dumps(to_plain(about), allow_nan=False, indent=1) + "\n"
    write_atomically(directory, {"results.json": text_writer(text)})
    if experiment.findings is not None:
        merge_finding(experiment.findings, "F1", about["F1"])


def show(curves: pd.DataFrame, needs: pd.DataFrame) -> None:
    """Prints the ratios after 0, 1, 10, 100 ... interactions, and the needs."""
    numbers = [n for n in (0, 1, 10, 100, 1000, 10_000) if n in set(curves["interactions"])]
    shown = curves[curves["interactions"].isin(numbers)]
    ratios = shown.pivot_table("value", KEYS, "interactions", sort=False).round(3)
    interval = needs.apply(lambda r: f"{r['value']:.1f} [{r['low']:.1f}, {r['high']:.1f}]", axis=1)
    print(ratios.assign(need=needs.assign(need=interval).set_index(KEYS)["need"]).to_string())


def main(experiment: Experiment) -> None:
    """Runs the experiment that the command line asks for."""
    check_at_least("--seeds", experiment.seeds, 1)
    if experiment.findings is not None and not is_measured(experiment):
        if 0.0 not in experiment.noises:
            refuse("--noises", experiment.noises, "0 among them, at which the finding is measured")
        refuse("--most", experiment.most, "at least 10, after which the finding is measured")
    sweeps = games(experiment)
    directory = prepare_output(experiment.out, force=experiment.force)
    began = time.monotonic()
    write(experiment, directory, run(sweeps), began)


if __name__ == "__main__":
    sys.exit(start(main, Experiment, __doc__))
