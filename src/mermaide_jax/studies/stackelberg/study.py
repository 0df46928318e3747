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
readings of the rewards. Writes ``curves.parquet``, ``payoff.png``, ``needs.png`` and
``about.json``, with the finding if what is run measures it (`is_measured`).
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.games.stackelberg import StackelbergConfig, StackelbergKind
from mermaide_jax.registry import register
from mermaide_jax.report import learning_curves
from mermaide_jax.results.findings import merge_finding
from mermaide_jax.results.provenance import script_record
from mermaide_jax.results.records import table_groups
from mermaide_jax.statistics import Interval
from mermaide_jax.studies.kit import Options, Study, prepare_output, say, write_experiment
from mermaide_jax.studies.stackelberg.learning import LearningConfig
from mermaide_jax.studies.stackelberg.sweep import PRINCIPALS, SweepConfig, run_sweep

LEVEL = 0.95
KEYS = ["kind", "setting", "principal"]
EARNED = ("payoff", "equilibrium")
HEADLINE = ("continuous", "noise 0")
"""The game and setting of the finding."""


@dataclasses.dataclass(frozen=True)
class Experiment(Options):
    """What is run."""

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


def games(options: Experiment) -> list[SweepConfig]:
    """Lists the games: the headline and, if not reduced, those with other offers and channels.

    Example:
      >>> [sweep.learning.game.kind for sweep in games(Experiment(out=Path("there")))]
      ['continuous', 'continuous', 'binary', 'arm', 'magnitude']
    """
    if options.reduced:
        few = {"seeds": 3, "updates": 600, "most": 2000, "fresh_most": 500, "others": ()}
        options = dataclasses.replace(options, noises=(0.0, 0.25, 1.0), **few)
    sizes: dict[str, Any] = {
        "seeds": options.seeds,
        "fresh_interactions": options.fresh_most,
        "interactions": tuple(n for n in SweepConfig().interactions if n <= options.most),
    }
    learning = LearningConfig(updates=options.updates, most_interactions=options.most)
    seen = StackelbergConfig(observe="actions", horizon=32)
    actions = dataclasses.replace(learning, game=seen, credit=0.9, most_interactions=32)
    headline = SweepConfig(learning, noises=options.noises, **sizes)
    several = [headline, SweepConfig(actions, noises=(0.0,), **sizes)]
    half = dataclasses.replace(learning, updates=max(1, options.updates // 2))
    for kind in options.others:
        other = dataclasses.replace(half, game=StackelbergConfig(kind=kind))
        bonus = 1.0 if kind == "magnitude" else 0.5
        several.append(SweepConfig(other, noises=options.other_noises, bonus=bonus, **sizes))
    return several[:1] if options.reduced else several


def is_measured(options: Experiment) -> bool:
    """Tells whether the finding can be: the headline without noise, after 10 interactions.

    Example:
      >>> is_measured(Experiment(out=Path("there"), noises=(0.25, 0.5)))
      False
    """
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


def summarize(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Computes curves of the ratio and sample needs, each with its interval.

    Example:
      >>> about = dict(kind="binary", setting="noise 0", principal="meta", bonus_error=0.0)
      >>> found = [(0, 0, 0.0), (0, 10, 1.0), (1, 0, 0.0), (1, 10, 1.0)]
      >>> table = pd.DataFrame(found, columns=["seed", "interactions", "payoff"])
      >>> curves, needs = summarize(table.assign(equilibrium=1.0, **about))
      >>> curves["value"].tolist()
      [0.0, 1.0]
    """
    curves, needs = learning_curves.summarize_curves(table, KEYS, *EARNED, LEVEL)
    error: Any = table.groupby([*KEYS, "interactions"], sort=False)["bonus_error"].mean()
    curves = curves.join(error.rename("error"), on=[*KEYS, "interactions"])
    return curves.rename(columns={"gap": "payoff_gap", "error": "bonus_error"}), needs


def ratio_of_needs(rows: pd.DataFrame, last: int) -> dict[str, Any]:
    """Divides the sample need of the meta-learned principal by that of the fresh one.

    Example:
      >>> index = [("meta", "fresh"), (0, 1), (0, 10, 100)]
      >>> index = pd.MultiIndex.from_product(index, names=["principal", "seed", "interactions"])
      >>> payoff = [0.0, 0.95, 1.0] * 2 + [0.0, 0.0, 0.95] * 2
      >>> rows = pd.DataFrame({"payoff": payoff, "equilibrium": 1.0}, index).reset_index()
      >>> round(ratio_of_needs(rows, 100)["value"], 3)
      0.1
    """
    parts = (rows.loc[rows["principal"] == name] for name in ("meta", "fresh"))
    own, other = (learning_curves.Curves.of(part, *EARNED) for part in parts)
    found = learning_curves.need_ratio(own, other, LEVEL, last)
    return found | {"fresh_reached": found.pop("reached")}


def finding(table: pd.DataFrame, curves: pd.DataFrame, needs: pd.DataFrame, command: str) -> dict:
    """Makes the block F1: the headline at zero noise, and every other number below it.

    Example:
      >>> levels = [*([name] for name in HEADLINE), PRINCIPALS, (0, 1), (0, 10)]
      >>> index = pd.MultiIndex.from_product(levels, names=[*KEYS, "seed", "interactions"])
      >>> table = index.to_frame(index=False)
      >>> table = table.assign(payoff=table["interactions"] / 10, equilibrium=1.0, bonus_error=0.0)
      >>> block = finding(table, *summarize(table), "mermaide run stackelberg")
      >>> block["payoff_ratio_at_10_interactions"]["value"]
      1.0
    """
    last = int(curves.loc[curves["principal"] == "fresh", "interactions"].max())
    settings = table_groups(table, KEYS[:2])
    ratios = [dict(zip(KEYS, k, strict=False)) | ratio_of_needs(r, last) for k, r in settings]
    headline = lambda r: (r["kind"], r["setting"]) == HEADLINE  # noqa: E731
    columns = [*KEYS, *Interval._fields, "payoff_gap", "bonus_error"]
    detail = curves.loc[curves["interactions"] == 10, columns].to_dict("records")
    value = next(r for r in detail if headline(r) and r["principal"] == "meta")
    measure = {name: value[name] for name in Interval._fields} | {"command": command}
    ratio = next(r for r in ratios if headline(r)) | {"command": command, "each": ratios}
    numbers = {
        "needs": needs.assign(reached=np.isfinite(needs["value"])).to_dict("records"),
        "most_interactions": int(curves.loc[:, "interactions"].max()),
        "most_interactions_fresh": last,
    }
    return {
        "payoff_ratio_at_10_interactions": measure | {"each": detail},
        "interactions_ratio_meta_over_fresh": ratio | numbers,
    }


def write(options: Experiment, directory: Path, table: pd.DataFrame, began: float) -> None:
    """Writes tables and figures, then what was found; if asked for, also among the findings."""
    curves, needs = summarize(table)
    head, read = (x.loc[x["kind"] == HEADLINE[0]].to_dict("records") for x in (curves, needs))
    need = (f"interactions to {LEVEL:.0%} of equilibrium", "what the principal reads")
    ratio = ("payoff / equilibrium payoff", LEVEL, ["actions only"])
    figures = {
        "payoff": learning_curves.curves_figure(head, PRINCIPALS, *ratio),
        "needs": learning_curves.needs_figure(read, PRINCIPALS, *need),
    }
    formats = {"curves": "parquet"}
    write_experiment(directory, {"curves": table}, figures, began, formats=formats, config=options)
    say(learning_curves.format_curves(curves, needs, KEYS))
    if is_measured(options):
        block = finding(table, curves, needs, script_record(began)["command"])
        write_experiment(directory, {}, {}, began, config=options, F1=block)
        if options.findings is not None:
            merge_finding(options.findings, "F1", block)


def main(options: Experiment) -> None:
    """Runs the experiment that the command line asks for.

    Example:
      >>> main(Experiment(out=Path("there"), seeds=0))
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: --seeds: got 0, expected an integer >= 1
    """
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
