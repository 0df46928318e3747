"""Speed under two Pythons, and so two releases of JAX, side by side.

    PYTHONPATH=src python -m benchmarks.versions PYTHON PYTHON --out benchmarks/results/versions

Each Python compiles every program once in a process of its own; then the two take turns, so that
what else the machine does meets both. Counted is the time of the processor, of one thread.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRESETS = ("smoke", "quick")
FAMILIES = ("ucb", "epsilon_greedy", "thompson")
AGENTS, ARMS, STEPS, UPDATES = 50_000, 10, 200, 10


def updates_of(preset: str) -> Callable[[], Any]:
    """Returns a call that trains the principal of a preset for some updates, as studies do."""
    import jax
    import jax.numpy as jnp

    from mermaide_jax import registry
    from mermaide_jax.studies.mermaide.learned import build_trainer
    from mermaide_jax.studies.mermaide.setting import make_setting
    from mermaide_jax.training.loop import init_streams, make_chunk

    config = dataclasses.replace(registry.get("preset", preset).value, seeds=1)
    setting = make_setting(config)
    trainer, _ = build_trainer("mermaide", config, setting)
    first = lambda tree: jax.tree.map(lambda x: x[:1], tree)  # noqa: E731
    keys, data = first(setting.keys), first((setting.index, setting.train))
    chunk = make_chunk(trainer.update, num_streams=1, max_length=UPDATES)
    states = init_streams(trainer, keys)

    def call() -> Any:
        nonlocal states
        states, metrics = chunk(keys, states, data, jnp.array([UPDATES]))
        return metrics

    return call


def simulator_of(family: str) -> Callable[[], Any]:
    """Returns a call that simulates agents of a family alone."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from mermaide_jax import agents
    from mermaide_jax.simulation import Bandits, simulate

    means = jnp.asarray(np.random.default_rng(0).uniform(size=(AGENTS, ARMS)), jnp.float32)
    agent, params = agents.make_agent(family, ARMS), agents.make_params(family, 0.3)
    bandits = Bandits(means, np.float32(0.1), np.int32(0))
    return lambda: simulate(jax.random.key(0), agent, params, bandits, STEPS)


def measure() -> None:
    """Compiles all programs, then times each once for every line that is read."""
    import jax

    begun, calls = time.process_time(), {}
    for preset in PRESETS:
        calls[f"{UPDATES} updates, {preset}"] = updates_of(preset)
    for family in FAMILIES:
        calls[f"simulator, {family}"] = simulator_of(family)
    for call in calls.values():
        jax.block_until_ready(call())
    versions = {"python": sys.version.split()[0], "jax": jax.__version__}
    print(json.dumps(versions | {"compiling_s": time.process_time() - begun}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({name: _cpu_seconds(call) for name, call in calls.items()}), flush=True)


def _cpu_seconds(call: Callable[[], Any]) -> float:
    import jax

    begun = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - begun


def compare(pythons: list[str], repeats: int) -> dict[str, Any]:
    """Alternates between the Pythons; the ratios are of the second to the first.

    Returns:
      JSON-able: versions, medians in CPU milliseconds, and of each program the median ratio.
    """
    flags = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = ["-m", "benchmarks.versions", "--measure"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children: list[Any] = [
        subprocess.Popen([p, *command], env=environment, **pipes) for p in pythons
    ]
    about = [json.loads(child.stdout.readline()) for child in children]
    rounds = [[_ask(child) for child in children] for _ in range(repeats)]
    for child in children:
        child.stdin.close()
        child.wait()
    programs = {}
    for name in rounds[0][0]:
        first, second = ([1e3 * turn[place][name] for turn in rounds] for place in (0, 1))
        programs[name] = {
            "cpu_ms": [statistics.median(first), statistics.median(second)],
            "ratio": statistics.median(b / a for a, b in zip(first, second, strict=True)),
        }
    return {"versions": about, "repeats": repeats, "programs": programs}


def _ask(child: Any) -> dict[str, float]:
    child.stdin.write("\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def main() -> None:
    """Compares, prints and writes."""
    parser = argparse.ArgumentParser(description="Speed under two Pythons side by side.")
    parser.add_argument("pythons", nargs="*", help="two interpreters, the former release first")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, help="directory of versions.json")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure()
        return
    found = compare(arguments.pythons, arguments.repeats)
    text = json.dumps(found, indent=1)
    print(text)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "versions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
