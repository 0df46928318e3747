"""Agents in Numba: one scalar loop over agents, steps and arms, compiled by LLVM."""

import importlib
import math

import numpy as np

from benchmarks.workloads import problem
from mermaide_jax.throughput.timing import Run


def scalar_loop(family: problem.Family, agents: int, arms: int = 10, horizon: int = 200) -> Run:
    """Incremental mean and ``1/sqrt(n)``, arms in a random order for each agent, one thread."""
    numba: object = importlib.import_module("numba")
    simulate = numba.njit(fastmath=False, nogil=True)(_simulate)  # pyright: ignore[reportAttributeAccessIssue]
    means = problem.mean_rewards(agents, arms)
    widths = np.asarray(problem.widths(horizon), np.float32)
    seeds = problem.seeds()
    ucb = family == "ucb"

    def run() -> float:
        return simulate(next(seeds), means, widths, horizon, ucb) / (agents * horizon)

    simulate(0, means[:1], widths, horizon, ucb)
    return Run(run)


def _simulate(seed, means, widths, horizon, ucb):
    np.random.seed(seed)  # noqa: NPY002  (the generator that Numba compiles to scalar code)
    agents, arms = means.shape
    mu, mean, inverse = (
        np.empty(arms, np.float32),
        np.empty(arms, np.float32),
        np.empty(arms, np.float32),
    )
    noise, epsilon = np.float32(problem.NOISE), problem.EPSILON
    total = 0.0
    for agent in range(agents):
        mu[:] = means[agent]
        for last in range(arms - 1, 0, -1):
            other = int(np.random.random() * (last + 1))  # noqa: NPY002
            mu[last], mu[other] = mu[other], mu[last]
        for step in range(horizon):
            width = widths[step]
            if step < arms:
                pulled = step
                mean[pulled] = 0.0
                scale = np.float32(1.0)
            else:
                explore = np.float32(1.0) if ucb else np.float32(np.random.random())  # noqa: NPY002
                if explore < epsilon:
                    pulled = int(explore * (arms / epsilon))
                else:
                    pulled = 0
                    best = mean[0] + width * inverse[0] if ucb else mean[0]
                    for arm in range(1, arms):
                        value = mean[arm] + width * inverse[arm] if ucb else mean[arm]
                        if value > best:
                            best, pulled = value, arm
                before = inverse[pulled]
                scale = before / np.float32(math.sqrt(np.float32(1.0) + before * before))
            inverse[pulled] = scale
            reward = mu[pulled] + noise * np.float32(np.random.standard_normal())  # noqa: NPY002
            mean[pulled] += (reward - mean[pulled]) * scale * scale
            total += reward
    return total
