"""The rows of the table that speed is judged by: what is divided by what, and the bar."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from benchmarks.harness import statistics
from benchmarks.suites import devices, meta_step, populations, scaling, simulator, start
from benchmarks.suites.names import BLOCKED, FIRST_ORDER, JAX, OURS
from benchmarks.suites.simulator import case_name
from benchmarks.workloads.problem import COEFFICIENTS

Quantity = Literal["time", "temp_bytes"]


@dataclasses.dataclass(frozen=True)
class Row:
    """``ratio = cost of over / cost of under``, per unit of work.

    For "how many times faster" the peer stands over us; for "how much of" we stand over it.
    """

    key: str
    title: str
    case: str
    over: str | tuple[str, ...]
    """Contender, or several of which the cheapest counts."""
    under: str
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None
    quantity: Quantity = "time"

    def passes(self, ratio: float) -> bool | None:
        """Whether the bar is met; None if there is no bar."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.at_most is None else ratio <= self.at_most


def _speed_rows() -> list[Row]:
    """Of the simulator, for both rules."""
    rows = []
    for family in COEFFICIENTS:
        ucb = family == "ucb"
        many, few, one = (case_name(family, agents) for agents in (10_000, 100, 1))
        ours = simulator.OURS

        def row(key, title, case, over, bars=(None, None), under=ours, family=family):
            at_least, aim = bars
            name = {"ucb": "UCB", "epsilon_greedy": "eps-greedy"}[family]
            rows.append(
                Row(f"{key}_{family}", f"{title}, {name}", case, over, under, at_least, aim=aim)
            )

        # SMPyBandits' epsilon-greedy is twice as fast as its UCB and has another law: no bar.
        row(
            "simulator_vs_smpybandits_10k",
            "simulator against SMPyBandits, N=10k",
            many,
            simulator.SMPY,
            (2000, 3000) if ucb else (None, None),
        )
        row(
            "simulator_vs_numpy_10k",
            "against tuned NumPy, N=10k",
            many,
            simulator.TUNED,
            (5.5, 8) if ucb else (4, 6),
        )
        row(
            "simulator_vs_numpy_arms_first_10k",
            "against our fastest NumPy, N=10k",
            many,
            simulator.ARMS_FIRST,
        )
        row("simulator_vs_mabwiser_10k", "against MABWiser, N=10k", many, simulator.MABWISER)
        row("simulator_vs_numba_10k", "against Numba, N=10k", many, simulator.NUMBA)
        row(
            "simulator_vs_jax_vmap_scan_10k",
            "against JAX vmap(scan), N=10k",
            many,
            simulator.JAX,
            (4.5, 8) if ucb else (7, 10),
        )
        row(
            "simulator_vs_c_avx512",
            "share of the C AVX-512 kernel, N=10k",
            many,
            simulator.C,
            (0.55, 0.8),
        )
        row("simulator_n1_vs_numpy", "N=1 against tuned NumPy", one, simulator.TUNED, (10, 15))
        row("simulator_n100_vs_numpy", "N=100 against tuned NumPy", few, simulator.TUNED, (5, 8))
    return rows  # fmt: skip


_STEP = "meta_step"
_LARGE, _SMALL = (scaling.at(simulator.OURS, size) for size in (1_000_000, 1000))

ROWS: tuple[Row, ...] = (
    *_speed_rows(),
    Row("meta_step_vs_torch_func", "meta-step against torch.func vmap", _STEP,
        meta_step.TORCH_FUNC, OURS, at_least=12, aim=18),
    Row("meta_step_vs_torch_func_first_written", "against torch.func vmap as first written", _STEP,
        meta_step.TORCH_PLAIN, OURS),
    Row("meta_step_vs_jax", "meta-step against straightforward JAX", _STEP, JAX, OURS,
        at_least=4, aim=6),
    Row("meta_step_an_update_a_call_vs_jax", "the same, an update a call", _STEP,
        meta_step.JAX_ONE_A_CALL, meta_step.ONE_A_CALL),
    Row("meta_step_16_episodes_vs_jax", "meta-step with 16 episodes a task against JAX",
        "meta_step_16_episodes", JAX, OURS, at_least=2, aim=4),
    Row("meta_step_memory_vs_jax", "temp memory, an agent at a time, share of straightforward JAX",
        _STEP, BLOCKED, JAX, at_most=1 / 7, aim=1 / 15, quantity="temp_bytes"),
    Row("meta_step_an_agent_at_a_time_vs_jax", "meta-step, an agent at a time, against JAX", _STEP,
        JAX, BLOCKED),
    Row("meta_step_memory_all_at_once_vs_jax", "temp memory, all agents at once, share of JAX",
        _STEP, OURS, JAX, quantity="temp_bytes"),
    Row("meta_step_loops_of_xla", "meta-step, loops of XLA over loops in C", _STEP,
        meta_step.XLA_LOOPS, OURS),
    Row("meta_step_share_of_bound", "share of the matrix-product bound", _STEP,
        tuple(meta_step.BOUNDS), OURS, at_least=0.5, aim=0.75),
    Row("second_over_first_order", "second order over first order", _STEP, OURS,
        FIRST_ORDER, at_most=2.0, aim=1.7),
    *(
        Row(f"{families}_families_{kind}", f"{families} families over the sum of them, {kind}",
            populations.case_name(families, kind), populations.TOGETHER, populations.APART,
            at_most=bar)
        for families, bar in populations.BARS.items() for kind in populations.PRINCIPALS
    ),
    Row("two_devices_wall", "two virtual devices against one, training, wall",
        "devices_training", devices.ONE_DEVICE, devices.TWO_DEVICES, at_least=1.7, aim=1.9),
    Row("two_devices_wall_all_cores", "against one that may use both cores",
        "devices_training", devices.ONE_DEVICE_ALL_CORES, devices.TWO_DEVICES),
    Row("two_devices_wall_simulator", "the same, simulator", "devices_simulator",
        devices.ONE_DEVICE, devices.TWO_DEVICES),
    Row("growth_1k_to_1m", "cost per agent-step, N=1M over N=1k", "scaling_agents", _LARGE,
        _SMALL, at_most=1.3, aim=1.0),
    Row("cold_start_compile_cache", "smoke run, warm compile cache over none, wall",
        "start_smoke", start.WARM, start.COLD, at_most=1 / 3, aim=1 / 5),
)  # fmt: skip
"""In the order of the table."""


def judge(row: Row, cases: Mapping[str, dict[str, Any]], general: dict[str, Any]) -> dict[str, Any]:
    """The entry of ``ratios`` for one row.

    Args:
      row: what is divided by what.
      cases: records of `runner.measure_case` by name.
      general: conditions that all rows share.

    Returns:
      ``ratio``, ``low``, ``high`` (None, with a ``reason``, if it was not measured), ``title``,
      ``at_least`` or ``at_most``, ``aim``, ``passed`` (None without a bar), ``conditions``.
    """
    entry: dict[str, Any] = {"title": row.title, "ratio": None, "low": None, "high": None}
    bars = {"at_least": row.at_least, "at_most": row.at_most, "aim": row.aim}
    entry |= {name: bar for name, bar in bars.items() if bar is not None}
    entry["passed"] = None
    case = cases.get(row.case)
    if case is None:
        return {**entry, "reason": "its suite was not run", "conditions": general}
    names = (_cheapest(case, row.over), row.under)
    sides = [side for side in (_find(case, name) for name in names) if side is not None]
    entry["conditions"] = _conditions(case, row, sides, general)
    for name in names:
        side = _find(case, name)
        if side is None or side["status"] != "measured":
            return {**entry, "reason": f"{name}: {side['reason'] if side else 'left out'}"}
        if name in case["checksums_agree"]["disagree"]:
            return {**entry, "reason": f"{name}: its checksum differs: not the same work"}
    over, under = (_costs(side, case["clock"], row.quantity) for side in sides)
    if not over or not under:
        return {**entry, "reason": f"{row.quantity} is not known"}
    ratio = statistics.ratio(over, under)
    return {**entry, **ratio._asdict(), "passed": row.passes(ratio.ratio)}


def _find(case: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((entry for entry in case["contenders"] if entry["name"] == name), None)


def _cheapest(case: dict[str, Any], names: str | tuple[str, ...]) -> str:
    """The contender with the greatest rate of those named."""
    if isinstance(names, str):
        return names
    rates = {e["name"]: e["summary"]["rate"] for e in case["contenders"] if "summary" in e}
    return max(names, key=lambda name: rates.get(name, 0.0))


def _costs(entry: dict[str, Any], clock: str, quantity: Quantity) -> list[float]:
    """Cost per unit of work, block by block (memory: of the one program)."""
    if quantity == "temp_bytes":
        found = entry["facts"].get("temp_bytes")
        return [] if found is None else [float(found)]
    return [seconds / entry["calls"] / entry["work"] for seconds in entry[f"{clock}_s"]]


def _conditions(
    case: dict[str, Any], row: Row, sides: list[dict[str, Any]], general: dict[str, Any]
) -> dict[str, Any]:
    return {
        **general,
        "quantity": f"{case['clock']} time" if row.quantity == "time" else row.quantity,
        "case": row.case,
        "sizes": case["sizes"],
        "blocks": min((len(side["wall_s"]) for side in sides), default=0),
        "cores": max((side["cores"] for side in sides), default=None),
        "unit": case["unit"],
        "units_in_one_call": {side["name"]: side["work"] for side in sides},
    }
