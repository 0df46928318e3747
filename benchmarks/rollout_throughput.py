"""Agent-steps per second of the batched rollout against a plain NumPy simulator, in one run.

    python benchmarks/rollout_throughput.py --agents 1000

Both play the intervention game with UCB agents that nobody pays. Blocked repeats are interleaved;
the table gives the median of each, their ratio, and the compile time apart. CPU time, not wall
time, so that a busy machine matters less.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from mermaide_jax.agents import RULES, standard_population
from mermaide_jax.games import GameConfig, TaskTerms, draw_task, make_intervention_game, rollout
from mermaide_jax.principals import random


@dataclasses.dataclass(frozen=True)
class Bench:
    """What is measured."""

    agents: int = 1000
    """Agents in the batch."""
    horizon: int = 200
    """Steps of an episode."""
    repeats: int = 10
    """Blocked repeats of each."""


def numpy_rollout(rng: np.random.Generator, means: np.ndarray, beta: float, horizon: int) -> float:
    """Vectorised UCB in plain NumPy; returns the mean reward, so that no work can be skipped."""
    num_agents, num_arms = means.shape
    counts, sums = np.zeros_like(means), np.zeros_like(means)
    rows, total = np.arange(num_agents), 0.0
    for step in range(horizon):
        with np.errstate(divide="ignore", invalid="ignore"):
            index = sums / counts + beta * np.sqrt(np.log(max(step, 1)) / counts)
        index = np.where(counts == 0, np.inf, index)
        ties = index == index.max(axis=1, keepdims=True)
        action = np.argmax(ties * rng.random((num_agents, num_arms), np.float32), axis=1)
        reward = means[rows, action] + 0.1 * rng.standard_normal(num_agents, np.float32)
        counts[rows, action] += 1
        sums[rows, action] += reward
        total += reward.mean()
    return total / horizon


def cpu_seconds(function: Callable[[], object]) -> float:
    """CPU time of one call, all threads of this process together."""
    start = time.process_time()
    jax.block_until_ready(function())
    return time.process_time() - start


def main() -> None:
    """Measures and prints."""
    bench = tyro.cli(Bench, description=__doc__)
    game = make_intervention_game(standard_population(10), GameConfig(horizon=bench.horizon))
    never, rule = random(game.pay_target), RULES.index("ucb")
    keys = jax.random.split(jax.random.key(0), bench.agents)
    draw = lambda key: draw_task(key, rule, jnp.asarray([0.42]), 10, TaskTerms())  # noqa: E731
    tasks = jax.jit(jax.vmap(draw))(keys)

    def play(keys, tasks):
        one = lambda key, task: rollout(key, game, never, 0.0, task).step.agent_reward  # noqa: E731
        return jnp.mean(jax.vmap(one)(keys, tasks))

    start = time.perf_counter()
    compiled = jax.jit(play).lower(keys, tasks).compile()
    compile_seconds = time.perf_counter() - start
    means, rng = np.asarray(tasks.mean_rewards), np.random.default_rng(0)
    runs = {
        "mermaide_jax": lambda: compiled(keys, tasks),
        "numpy": lambda: numpy_rollout(rng, means, 0.42, bench.horizon),
    }
    for run in runs.values():
        jax.block_until_ready(run())
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(bench.repeats):
        for name, run in runs.items():
            times[name].append(cpu_seconds(run))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        rate = bench.agents * bench.horizon / seconds / 1e6
        print(f"{name:14s} {rate:8.2f} M agent-steps per CPU second")
    ratios = [n / m for n, m in zip(times["numpy"], times["mermaide_jax"], strict=True)]
    quartiles = statistics.quantiles(ratios, n=4)
    print(
        f"ratio          {statistics.median(ratios):8.2f} "
        f"(quartiles {quartiles[0]:.2f} to {quartiles[2]:.2f}, {bench.repeats} repeats); "
        f"compile {compile_seconds:.1f} s apart; {jax.devices()[0].device_kind}, "
        f"jax {jax.__version__}"
    )


if __name__ == "__main__":
    main()
