"""How the cost of a unit of work grows with the sizes."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites import names
from benchmarks.suites.simulator import ARMS, ARMS_FIRST, HORIZON, OURS, simulating

AXES: dict[str, str] = {
    "scaling_agents": "agents N",
    "scaling_horizon": "steps T",
    "scaling_arms": "arms A",
    "scaling_tasks": "tasks",
    "scaling_features": "hidden units H",
    "scaling_episode_length": "steps T",
}
"""Case to the axis that it varies."""


def at(name: str, size: int) -> str:
    """Name of a contender at one size."""
    return f"{name} @ {size}"


def cases(quick: bool) -> list[Case]:
    """The simulator over N and A; unless quick, over T too, and the meta-step over tasks, H, T."""
    return [
        _simulator("scaling_agents", "agents", (1000, 10_000, 1_000_000) if quick
                   else (1, 10, 100, 1000, 10_000, 100_000, 1_000_000), quick),
        _simulator("scaling_arms", "arms", (2, 50) if quick else (2, 10, 30, 100), quick),
        *([] if quick else [
            _simulator("scaling_horizon", "horizon", (50, 200, 800, 3200), quick),
            _meta("scaling_tasks", "num_tasks", (1, 5, 15, 60)),
            _meta("scaling_features", "features", (32, 64, 128, 256)),
            _meta("scaling_episode_length", "horizon", (50, 100, 200, 400)),
        ]),
    ]  # fmt: skip


def _simulator(case: str, axis: str, sizes: Iterable[int], quick: bool) -> Case:
    contenders = []
    for name in (OURS, ARMS_FIRST):
        for size in sizes:
            if name == ARMS_FIRST and (quick or size == 1_000_000):
                continue
            options = {"agents": 10_000, axis: size}
            agents = options.pop("agents")
            one = simulating(name, "ucb", agents, at(name, size), **options)
            contenders.append(dataclasses.replace(one, series=name, at=size))
    fixed = {"agents": 10_000, "horizon": HORIZON, "arms": ARMS, "family": "ucb"}
    del fixed[axis]
    return Case("scaling", case, "agent-steps", tuple(contenders), fixed)


def _meta(case: str, axis: str, sizes: Iterable[int]) -> Case:
    fixed: dict[str, Any] = {"num_tasks": 15, "episodes": 1, "features": 128, "horizon": 200}
    del fixed[axis]
    series = (
        (names.OURS, names.WORKLOADS + "meta_step"),
        (names.JAX, names.PEERS + "meta_flax:flax_cells"),
    )
    contenders = []
    for name, factory in series:
        for size in sizes:
            options = {**fixed, axis: size}
            contenders.append(
                Contender(
                    at(name, size),
                    factory,
                    options,
                    work=options["num_tasks"] * options["horizon"],
                    limit_s=300,
                    max_repeats=5,
                    series=name,
                    at=size,
                )
            )
    return Case("scaling", case, "task-steps", tuple(contenders), fixed)
