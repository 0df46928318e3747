"""Whole updates as `training.train` makes them."""

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites.names import FIRST_ORDER, OURS, WORKLOADS


def cases(quick: bool) -> list[Case]:
    """Whole updates as `training.train` makes them: of small GRUs, and of the preset ``default``.

    None when time is short: they take longest to compile, and `devices` has some.
    """
    if quick:
        return []
    sizes = {"updates": 5, "num_tasks": 15, "episodes": 8, "horizon": 50}
    names = {"second": OURS, "first": FIRST_ORDER, "none": f"{OURS}, no meta-learning"}
    return [
        Case(
            suite="training",
            name="training_updates",
            unit="updates",
            contenders=tuple(
                Contender(
                    name,
                    WORKLOADS + "training_chunk",
                    {**sizes, "features": 32, "order": order},
                    work=sizes["updates"],
                    limit_s=300,
                )
                for order, name in names.items()
            ),
            sizes={**sizes, "features": 32, "streams": 1},
        ),
        Case(
            suite="training",
            name="training_default",
            unit="updates",
            contenders=tuple(
                Contender(
                    name,
                    "mermaide_jax.throughput.factories:preset_updates",
                    {"preset": "default", "principal": principal, "number": 5},
                    work=5,
                    limit_s=300,
                )
                for name, principal in (
                    (OURS, "mermaide"),
                    (f"{OURS}, no meta-learning", "world_model_without_meta"),
                )
            ),
            sizes={"preset": "default", "updates": 5},
            warm_up=True,
        ),
    ]
