"""Where measured work lies under the machine's roof (Williams, Waterman and Patterson, 2009).

Operations are counted by hand, since XLA counts the body of a loop once:

* one step of a UCB agent with ``A`` arms: ``2A`` for the indices, ``2A`` for the greatest and its
  place, 10 for mean and ``1/sqrt(n)``, 110 for one call of threefry-2x32 with 20 rounds, 40 for a
  normal draw;
* one meta-step: its matrix products, see `workloads.meta_bound`.

Bytes are the least that must pass between memory and processor: the simulator reads mean rewards
and writes totals, once an episode; the meta-step reads parameters and optimiser state and writes
them back, three arrays of the parameters' size each way.
"""

from typing import Any, NamedTuple

from benchmarks.suites.machine import COPY, PRODUCT
from benchmarks.workloads.meta_bound import meta_step_flops
from benchmarks.workloads.meta_workload import MetaWorkload


class Point(NamedTuple):
    """One contender: operations per byte, and operations per second."""

    work: str
    name: str
    intensity: float
    flops_per_second: float


class Roofline(NamedTuple):
    """The machine's two limits on one thread, and what was measured under them."""

    bytes_per_second: float
    flops_per_second: float
    points: tuple[Point, ...]

    @property
    def ridge(self) -> float:
        """Operations per byte at which the two limits meet."""
        return self.flops_per_second / self.bytes_per_second


def make_roofline(results: dict[str, Any]) -> Roofline | None:
    """The roofline of what was measured, or None if the limits or all points are missing."""
    cases = {case["name"]: case for case in results["cases"]}
    limits = _rates(cases.get("machine_copy")), _rates(cases.get("machine_product"))
    if COPY not in limits[0] or PRODUCT not in limits[1]:
        return None
    points = [
        *_points(cases.get("simulator_10000_ucb"), "agents", _agent_step),
        *_points(cases.get("meta_step"), "meta-step", _meta_step),
    ]
    roof = Roofline(limits[0][COPY], limits[1][PRODUCT], tuple(points))
    return roof if points else None


def _rates(case: dict[str, Any] | None) -> dict[str, float]:
    entries = case["contenders"] if case else []
    return {e["name"]: e["summary"]["rate"] for e in entries if "summary" in e}


def _points(case: dict[str, Any] | None, what: str, count: Any) -> list[Point]:
    """Every contender that is drawn: ours and the nearest peers."""
    wanted = ("mermaide_jax", "C AVX-512", "NumPy arms first", "torch.func vmap", "JAX Flax cells")
    points = []
    for name, rate in _rates(case).items():
        if case is not None and name in wanted:
            operations, moved = count(case["sizes"])
            points.append(Point(what, name, operations / moved, operations * rate))
    return points


def _agent_step(sizes: dict[str, Any]) -> tuple[float, float]:
    """Operations and bytes of one step of one agent."""
    arms, horizon = sizes["arms"], sizes["horizon"]
    return 4 * arms + 160, 4 * (arms + 1) / horizon


def _meta_step(sizes: dict[str, Any]) -> tuple[float, float]:
    """Operations and bytes of one meta-step."""
    names = ("num_tasks", "episodes", "horizon", "features")
    work = MetaWorkload(**{name: sizes[name] for name in names})
    layers = 3 * work.features * (work.features * (2 * work.num_layers - 1) + 2)
    params = sum(3 * work.features * inputs + layers for inputs in work.inputs.values())
    return float(meta_step_flops(work).total), float(6 * 4 * params)
