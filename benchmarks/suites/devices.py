"""Two devices instead of one."""

from typing import Any

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites.names import WORKLOADS

ONE_DEVICE, TWO_DEVICES = "one device", "two devices"
ONE_DEVICE_ALL_CORES = "one device, free to use both cores"

_ONE = {"NPROC": "1"}
"""XLA takes this for the number of its threads."""
_TWO = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_force_host_platform_device_count=2"}


def cases(quick: bool) -> list[Case]:
    """Two virtual devices against one, a thread each, on two cores: wall clock.

    Several updates are one program, as in `meta_step` and for the same reason. XLA lets one device
    compute independent parts of a program on all cores, so that case is measured beside.
    """
    agents = 20_000 if quick else 100_000
    sizes = {
        "updates": 1 if quick else 4, "streams": 2, "num_tasks": 5 if quick else 15, "episodes": 2,
        "horizon": 50 if quick else 200, "features": 128, "order": "none" if quick else "second",
    }  # fmt: skip
    simulated = {"family": "ucb", "agents": agents, "horizon": 200, "arms": 10}

    def on_devices(
        name: str, factory: str, options: dict[str, Any], work: float, environment: dict[str, str]
    ) -> Contender:
        return Contender(
            name, WORKLOADS + factory, options, work, cores=2, environment=environment, limit_s=300
        )

    def training(name: str, environment: dict[str, str]) -> Contender:
        return on_devices(name, "training_chunk", sizes, 2 * sizes["updates"], environment)

    def simulation(name: str, environment: dict[str, str], count: int) -> Contender:
        options = {**simulated, "devices": count}
        return on_devices(name, "simulator", options, agents * 200, environment)

    trained = [training(ONE_DEVICE, _ONE), training(TWO_DEVICES, _TWO)]
    if not quick:
        trained.append(training(ONE_DEVICE_ALL_CORES, {}))
    return [
        Case(
            suite="devices",
            name="devices_training",
            unit="updates",
            contenders=tuple(trained),
            sizes=sizes,
            clock="wall",
            repeats=None if quick else 10,
            warm_up=True,
        ),
        Case(
            suite="devices",
            name="devices_simulator",
            unit="agent-steps",
            contenders=(simulation(ONE_DEVICE, _ONE, 1), simulation(TWO_DEVICES, _TWO, 2)),
            sizes=simulated,
            clock="wall",
            agree_within="statistically",
        ),
    ]
