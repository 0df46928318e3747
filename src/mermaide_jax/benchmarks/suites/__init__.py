"""The suites: name to a function that gives its cases, full or quick."""

from collections.abc import Callable

from mermaide_jax.benchmarks.contender import Case
from mermaide_jax.benchmarks.suites import learning, scaling, setup, simulator

SUITES: dict[str, Callable[[bool], list[Case]]] = {
    "machine": setup.limits,
    "simulator": simulator.cases,
    "network": learning.network,
    "meta_step": learning.meta_step,
    "training": learning.whole_training,
    "compile": setup.compilation,
    "memory": setup.memory,
    "scaling": scaling.cases,
    "devices": learning.devices,
    "start": setup.start,
}
"""Suite name to ``cases(quick)``, in the order in which they run."""
