"""A mixed set of agents against the sum of its parts: grouped by family, it costs no more."""

from typing import Any

from benchmarks.harness.contender import Case, Contender
from benchmarks.workloads.populations import Steers

TOGETHER, APART = "one set", "its families, one after the other"
PRINCIPALS: tuple[Steers, ...] = ("scripted", "learned")
BARS: dict[int, float] = {2: 1.1, 24: 1.5}
"""Families in the set to what it may cost, in sums of its parts."""


def case_name(families: int, principal: str) -> str:
    """Name of the case of a set steered by one kind of principal."""
    return f"populations_{families}_{principal}"


def cases(quick: bool) -> list[Case]:
    """One episode with each agent of a set of two families, and of 24."""
    horizon = 50 if quick else 200
    return [_case(families, kind, horizon) for families in BARS for kind in PRINCIPALS]


def _case(families: int, principal: Steers, horizon: int) -> Case:
    sizes: dict[str, Any] = {"families": families, "agents": 5, "horizon": horizon}
    contenders = tuple(
        Contender(
            name,
            "benchmarks.workloads.populations:rollouts",
            {**sizes, "principal": principal, "together": together},
            work=families * sizes["agents"] * horizon,
            limit_s=900,
        )
        for name, together in ((TOGETHER, True), (APART, False))
    )
    return Case(
        suite="populations",
        name=case_name(families, principal),
        unit="agent-steps",
        contenders=contenders,
        sizes={**sizes, "principal": principal, "arms": 10, "features": 128},
        agree_within="statistically",
        warm_up=True,
    )
