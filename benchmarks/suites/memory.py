"""Temporary memory, as XLA plans it."""

from typing import Any

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites.names import BLOCKED, JAX, OURS, PEERS, WORKLOADS


def cases(quick: bool) -> list[Case]:
    """Temporary memory as XLA plans it: of the networks' gradient, and of the meta-step."""
    gradients = [
        _planned(
            f"memory_gru_{batch}_sequences",
            {"part": "gradient", "batch": batch, "horizon": 200, "features": 128},
            [(OURS, WORKLOADS + "gru", {}), (JAX, PEERS + "gru_jax:flax_cells", {})],
        )
        for batch in ((240,) if quick else (15, 240))
    ]
    if quick:
        return gradients
    steps = [
        (OURS, WORKLOADS + "meta_step", {}),
        (BLOCKED, WORKLOADS + "meta_step", {"agents_per_block": 1}),
        (JAX, PEERS + "meta_flax:flax_cells", {}),
    ]
    return gradients + [
        _planned(
            f"memory_{number}_tasks",
            {"num_tasks": number, "episodes": 1, "horizon": 200, "features": 128},
            steps,
        )
        for number in (15, 60, 240)
    ]


def _planned(
    name: str, sizes: dict[str, Any], programs: list[tuple[str, str, dict[str, Any]]]
) -> Case:
    """Compiled and not run: contenders, their factories, and options beside the sizes."""
    contenders = tuple(
        Contender(contender, factory, {**sizes, **options}, limit_s=300)
        for contender, factory, options in programs
    )
    return Case("memory", name, "programs", contenders, sizes, repeats=0)
