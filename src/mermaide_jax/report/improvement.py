"""The probability that one learned principal does better than another, with its interval."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mermaide_jax.errors import refuse
from mermaide_jax.results.records import STRATUM, Record, checked_rows, grouped
from mermaide_jax.statistics import check_bootstrap

__all__ = ["improvement_records"]


def improvement_records(
    rows: Iterable[Mapping[str, Any]],
    baselines: Sequence[str],
    principal: str = "mermaide",
    by: Sequence[str] = ("family", "k_shot"),
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Record]:
    """Average probability of improvement of one principal over others in each group of rows.

        P = mean over agents of P(X > Y) + P(X = Y) / 2

    where ``X`` and ``Y`` are the scores of one training run of each with the same agent. The
    interval is the percentile bootstrap over training runs (seeds), drawn for each principal by
    itself, the same runs for all agents: a run is one principal, however many agents it meets.

    Args:
      rows: as in `Results.rows`.
      baselines: principals to compare with; those without rows are left out.
      principal: the one that is compared.
      by: columns that make a group.
      confidence: coverage of the interval.
      resamples: bootstrap resamples.
      seed: of the bootstrap.

    Returns:
      One record per group and baseline: the columns `by`, principal, baseline, value, low, high
      (None with a single seed), seeds.

    Raises:
      ConfigError: if there is no row, a row lacks a column, the principal has none, no run was
        scored with every agent, or an option is impossible.

    Source: Agarwal et al. (2021), "Deep RL at the edge of the statistical precipice", section 4.3.
    """
    check_bootstrap(confidence, resamples)
    found = []
    for group, part in grouped(checked_rows(rows), by).items():
        parts = {
            name: _by_agent_and_seed(own) for (name,), own in grouped(part, ["principal"]).items()
        }
        if principal not in parts:
            refuse("principal", principal, f"one with rows: {', '.join(parts)}")
        for name in baselines:
            if name not in parts:
                continue
            wins = _wins(parts[principal], parts[name])
            line = dict(zip(by, group, strict=True)) | {"principal": principal, "baseline": name}
            low, high = _interval(wins, confidence, resamples, seed)
            estimate = {"value": float(wins.mean()), "low": low, "high": high}
            found.append(line | estimate | {"seeds": wins.shape[1]})
    return found


def _by_agent_and_seed(rows: list[Record]) -> dict[Any, dict[int, float]]:
    """Agent to seed to score; what was not measured is left out."""
    agents: dict[Any, dict[int, float]] = {}
    for row in rows:
        if row["score"] is not None:
            agent = tuple(row[key] for key in STRATUM)
            agents.setdefault(agent, {})[row["seed"]] = row["score"]
    return agents


def _wins(x: dict[Any, dict[int, float]], y: dict[Any, dict[int, float]]) -> np.ndarray:
    """``[agents, seeds of x, seeds of y]``: 1 where x scores above y, 0.5 where they are equal."""
    agents = [agent for agent in x if agent in y]
    if not agents:
        refuse("rows", "no agent that both principals met", "the same agents for all principals")
    sides = []
    for side in (x, y):
        seeds = sorted(set.intersection(*(set(side[agent]) for agent in agents)))
        if not seeds:
            refuse("rows", "no training run scored with every agent", "at least one such run")
        sides.append(np.array([[side[agent][seed] for seed in seeds] for agent in agents]))
    first, second = sides[0][:, :, None], sides[1][:, None, :]
    return (first > second) + 0.5 * (first == second)


def _interval(
    wins: np.ndarray, confidence: float, resamples: int, seed: int
) -> tuple[float | None, float | None]:
    """Percentile bootstrap over the runs of either side; None if one of them has a single run."""
    _, of_x, of_y = wins.shape
    if min(of_x, of_y) < 2:
        return None, None
    rng, pairs = np.random.default_rng(seed), wins.mean(axis=0)
    drawn_x, drawn_y = (rng.integers(0, n, (resamples, n)) for n in (of_x, of_y))
    values = pairs[drawn_x[:, :, None], drawn_y[:, None, :]].mean(axis=(1, 2))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
