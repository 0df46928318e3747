"""The suites, a module each: name to a function that gives its cases, full or quick."""

from collections.abc import Callable

from benchmarks.harness.contender import Case
from benchmarks.suites import (
    compilation,
    devices,
    machine,
    memory,
    meta_step,
    network,
    populations,
    scaling,
    simulator,
    start,
    training,
)

SUITES: dict[str, Callable[[bool], list[Case]]] = {
    "machine": machine.cases,
    "simulator": simulator.cases,
    "network": network.cases,
    "meta_step": meta_step.cases,
    "training": training.cases,
    "populations": populations.cases,
    "compile": compilation.cases,
    "memory": memory.cases,
    "scaling": scaling.cases,
    "devices": devices.cases,
    "start": start.cases,
}
"""Suite name to ``cases(quick)``, in the order in which they run."""
