"""F1: how soon a principal plays the Stackelberg equilibrium with an agent it never met.

    mermaide run stackelberg --out results/stackelberg            # or with --reduced

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
import functools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.games.stackelberg import StackelbergConfig, StackelbergKind
from mermaide_jax.registry import register
from mermaide_jax.report.curves import curves_figure, needs_figure
from mermaide_jax.report.style import save_png
from mermaide_jax.results.files import prepare_output, text_writer, write_atomically
from mermaide_jax.results.findings import merge_finding
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.schema import to_plain
from mermaide_jax.results.tables import frame_writer
from mermaide_jax.statistics import Interval, bootstrap_interval, sample_need
from mermaide_jax.studies.kit import Study, say
from mermaide_jax.studies.stackelberg.learning import LearningConfig
from mermaide_jax.studies.stackelberg.sweep import PRINCIPALS, SweepConfig, run_sweep

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


def games(options: Experiment) -> list[SweepConfig]:
    """Lists the games: the headline and, if not reduced, those with other offers and channels."""
    if options.reduced:
        few = {"seeds": 3, "updates": 600, "most": 2000, "fresh_most": 500, "others": ()}
        options = dataclasses.replace(options, noises=(0.0, 0.25, 1.0), **few)
    interactions = tuple(n for n in SweepConfig().interactions if n <= options.most)
    sweep = functools.partial(
        SweepConfig,
        seeds=options.seeds,
        fresh_interactions=options.fresh_most,
        interactions=interactions,
    )
    learning = LearningConfig(updates=options.updates, most_interactions=options.most)
    seen = StackelbergConfig(observe="actions", horizon=32)
    actions = dataclasses.replace(learning, game=seen, credit=0.9, most_interactions=32)
    several = [sweep(learning, noises=options.noises), sweep(actions, noises=(0.0,))]
    half = dataclasses.replace(learning, updates=max(1, options.updates // 2))
    for kind in options.others:
        other = dataclasses.replace(half, game=StackelbergConfig(kind=kind))
        bonus = 1.0 if kind == "magnitude" else 0.5
        several.append(sweep(other, noises=options.other_noises, bonus=bonus))
    return several[:1] if options.reduced else several


def is_measured(options: Experiment) -> bool:
    """Tells whether the finding can be: the headline without noise, after 10 interactions."""
    return options.reduced or (0.0 in options.noises and options.most >= 10)


def run(sweeps: list[SweepConfig]) -> pd.DataFrame:
    """Runs all games: a record per game, noise, seed, principal and number of interactions."""
    rows: list[dict[str, Any]] = []
    for sweep in sweeps:
        began = time.monotonic()
        say(f"{sweep.learning.game.kind}, reads {sweep.learning.game.observe}")
        rows += run_sweep(sweep, lambda text: say(f"  {text}"))
        say(f"  {time.monotonic() - began:.0f} s")
    table = pd.DataFrame(rows)
    noise = table["noise"].map(lambda value: f"noise {value:g}")
    return table.assign(setting=noise.where(table["observe"] != "actions", "actions only"))


def by_seed(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Payoffs ``[S, C]`` of one game, setting and principal, and equilibria ``[S, 1]``."""
    tables = (rows.pivot_table(x, "seed", "interactions") for x in ("payoff", "equilibrium"))
    payoff, best = (table.to_numpy() for table in tables)
    return payoff, best[:, :1]


def ratio(payoff: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Divides the mean payoff over seeds by the mean payoff of the equilibrium, ``[..., C]``."""
    return payoff.mean(axis=-2) / best.mean(axis=-2)


def summarize(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves of the ratio and sample needs, each with its interval."""
    curves, needs = [], []
    for key, rows in table.groupby(KEYS, sort=False):
        about = dict(zip(KEYS, key, strict=True))
        times, (payoff, best) = sorted(rows["interactions"].unique()), by_seed(rows)
        error = rows.groupby("interactions")["bonus_error"].mean()
        for i, number in enumerate(times):
            one = lambda p, b: ratio(p, b)[:, 0]  # noqa: E731
            found = bootstrap_interval(one, payoff[:, [i]], best, resample="runs")._asdict()
            extra = {
                "payoff_gap": float((best - payoff[:, [i]]).mean()),
                "bonus_error": error[number],
            }
            curves.append(about | {"interactions": int(number)} | found | extra)
        needs.append(about | _need(times, payoff, best)._asdict() | {"most": int(times[-1])})
    return pd.DataFrame(curves), pd.DataFrame(needs)


def _need(times: list[int], payoff: np.ndarray, best: np.ndarray) -> Interval:
    need = lambda p, b: sample_need(ratio(p, b), times, LEVEL)  # noqa: E731
    return bootstrap_interval(need, payoff, best, resample="runs")


def need_ratio(rows: pd.DataFrame, last: int) -> dict[str, Any]:
    """Divides the sample need of the meta-learned principal by that of the fresh one.

    Where the fresh principal does not reach 95%, the largest number tested stands in for its need,
    so that the ratio is an upper bound; where the meta-learned does not, there is no ratio.
    """
    parts = [rows[rows["principal"] == name] for name in ("meta", "fresh")]
    times = [sorted(part["interactions"].unique()) for part in parts]
    samples = [by_seed(part) for part in parts]

    def quotient(meta, best_meta, fresh, best_fresh):
        below = sample_need(ratio(fresh, best_fresh), times[1], LEVEL)
        return sample_need(ratio(meta, best_meta), times[0], LEVEL) / np.minimum(below, last)

    reached = np.isfinite(_need(times[1], *samples[1]).value)
    found = bootstrap_interval(quotient, *samples[0], *samples[1], resample="runs")
    return found._asdict() | {"fresh_reached": bool(reached)}


def finding(table: pd.DataFrame, curves: pd.DataFrame, needs: pd.DataFrame, command: str) -> dict:
    """Makes the block F1: the headline at zero noise, and every other number below it."""
    last = int(curves[curves["principal"] == "fresh"]["interactions"].max())
    at_10 = curves[curves["interactions"] == 10]
    settings = table.groupby(KEYS[:2], sort=False)
    ratios = [dict(zip(KEYS[:2], k, strict=True)) | need_ratio(r, last) for k, r in settings]
    headline = lambda r: (r["kind"], r["setting"]) == ("continuous", "noise 0")  # noqa: E731
    detail = at_10[[*KEYS, *Interval._fields, "payoff_gap", "bonus_error"]].to_dict("records")
    value = next(r for r in detail if headline(r) and r["principal"] == "meta")
    return {
        "payoff_ratio_at_10_interactions": {
            **{name: value[name] for name in Interval._fields},
            "command": command,
            "each": detail,
        },
        "interactions_ratio_meta_over_fresh": {
            **next(r for r in ratios if headline(r)),
            "command": command,
            "each": ratios,
            "needs": needs.assign(reached=np.isfinite(needs["value"])).to_dict("records"),
            "most_interactions": int(curves["interactions"].max()),
            "most_interactions_fresh": last,
        },
    }


def write(options: Experiment, directory: Path, table: pd.DataFrame, began: float) -> None:
    """Tables and figures, then what was found; if asked for, also among the findings."""
    curves, needs = summarize(table)
    head, read = (x[x["kind"] == "continuous"].to_dict("records") for x in (curves, needs))
    payoff = curves_figure(
        head, PRINCIPALS, "payoff / equilibrium payoff", LEVEL, dashed=["actions only"]
    )
    labels = ("interactions to 95% of equilibrium", "what the principal reads")
    need = needs_figure(read, PRINCIPALS, *labels)
    writers = {
        "curves.parquet": frame_writer(table),
        "payoff.png": functools.partial(save_png, payoff),
        "needs.png": functools.partial(save_png, need),
    }
    write_atomically(directory, writers)
    show(curves, needs)
    about = script_record(began) | {"config": options}
    if is_measured(options):
        about["F1"] = finding(table, curves, needs, about["command"])
    text = json.dumps(to_plain(about), allow_nan=False, indent=1) + "\n"
    write_atomically(directory, {"results.json": text_writer(text)})
    if options.findings is not None:
        merge_finding(options.findings, "F1", about["F1"])


def show(curves: pd.DataFrame, needs: pd.DataFrame) -> None:
    """Prints the ratios after 0, 1, 10, 100 ... interactions, and the needs."""
    shown = curves[curves["interactions"].isin([0, 1, 10, 100, 1000, 10_000])]
    ratios = shown.pivot_table("value", KEYS, "interactions", sort=False).round(3)
    interval = needs.apply(lambda r: f"{r['value']:.1f} [{r['low']:.1f}, {r['high']:.1f}]", axis=1)
    say(ratios.assign(need=needs.assign(need=interval).set_index(KEYS)["need"]).to_string())


def main(options: Experiment) -> None:
    """Runs the experiment that the command line asks for."""
    check_at_least("--seeds", options.seeds, 1)
    if options.findings is not None and not is_measured(options):
        if 0.0 not in options.noises:
            refuse("--noises", options.noises, "0 among them, at which the finding is measured")
        refuse("--most", options.most, "at least 10, after which the finding is measured")
    directory = prepare_output(options.out, force=options.force)
    began = time.monotonic()
    write(options, directory, run(games(options)), began)


register(
    "study",
    "stackelberg",
    Study(Experiment, main),
    label="Stackelberg experiment",
    summary="F1: interactions until the equilibrium is played with a best-responding agent",
    rank=2,
)
