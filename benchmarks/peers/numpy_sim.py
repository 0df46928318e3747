"""Agents in NumPy: the way one would write it first, tuned, and as fast as we can make it.

The two tuned ones exploit what a careful author would: only the pulled arm changes, so the
sample mean and ``1/sqrt(n)`` are updated incrementally; float32; the SFC64 generator; blocks of
agents that fit the cache; every buffer reused. Each agent's arms are put in a random order at the
start, so that the initial pulls are in random order and the first of tied arms is a random one.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.workloads import problem

_F32 = np.float32


def textbook(family: problem.Family, agents: int, arms: int = 10, horizon: int = 200):
    """Vectorised over agents, written as the formulas are."""
    means = problem.mean_rewards(agents, arms)
    seeds, rows, coefficient = problem.seeds(), np.arange(agents), problem.COEFFICIENTS[family]

    def run() -> float:
        rng = np.random.default_rng(next(seeds))
        counts, sums, total = np.zeros((agents, arms)), np.zeros((agents, arms)), 0.0
        for step in range(horizon):
            with np.errstate(divide="ignore", invalid="ignore"):
                index = sums / counts
                if family == "ucb":
                    index = index + coefficient * np.sqrt(np.log(max(step, 1)) / counts)
            index = np.where(counts == 0, np.inf, index)
            tied = index == index.max(axis=1, keepdims=True)
            action = np.argmax(tied * rng.random((agents, arms)), axis=1)
            if family == "epsilon_greedy" and step >= arms:
                explore = rng.random(agents) < coefficient
                action = np.where(explore, rng.integers(0, arms, agents), action)
            reward = means[rows, action] + problem.NOISE * rng.standard_normal(agents)
            counts[rows, action] += 1
            sums[rows, action] += reward
            total += reward.sum()
        return total / (agents * horizon)

    return run


def tuned(
    family: problem.Family, agents: int, arms: int = 10, horizon: int = 200, block: int = 2000
):
    """Agents along rows, the greatest index by ``argmax``: the usual layout, tuned."""
    return _in_blocks(_row_block, family, agents, arms, horizon, block)


def arms_first(
    family: problem.Family, agents: int, arms: int = 10, horizon: int = 200, block: int = 5000
):
    """Arms along rows, so that every operation runs along the agents; our fastest.

    NumPy's ``argmax`` takes 25 ns for ten arms; a maximum over rows, a comparison and the maximum
    of a byte that names the arm take 3. Normal draws by Box and Muller's formula, vectorised, take
    less than half of ``standard_normal``.
    """
    return _in_blocks(_column_block, family, agents, arms, horizon, block)


def _in_blocks(
    simulate: Callable[..., float],
    family: problem.Family,
    agents: int,
    arms: int,
    horizon: int,
    block,
) -> Callable[[], float]:
    means = problem.mean_rewards(agents, arms)
    seeds = problem.seeds()

    def run() -> float:
        rng = problem.generator(next(seeds))
        starts = range(0, agents, block)
        total = sum(simulate(rng, means[i : i + block], horizon, family) for i in starts)
        return total / (agents * horizon)

    return run


def _row_block(rng: np.random.Generator, means: np.ndarray, horizon: int, family: str) -> float:
    """Sum of the rewards of one block, ``means [N, A]``."""
    agents, arms = means.shape
    means = rng.permuted(means, axis=1)
    noise, reward, mean, scale, root, uniform = np.empty((6, agents), _F32)
    estimate = means + _F32(problem.NOISE) * rng.standard_normal((agents, arms), _F32)
    total = float(estimate.sum(dtype=np.float64))
    inverse, index = np.ones((agents, arms), _F32), np.empty((agents, arms), _F32)
    row, pulled = np.arange(agents) * arms, np.empty(agents, np.intp)
    flat_means, flat_estimate, flat_inverse = means.ravel(), estimate.ravel(), inverse.ravel()
    widths = problem.widths(horizon)
    for step in range(arms, horizon):
        if family == "ucb":
            np.multiply(inverse, _F32(widths[step]), out=index)
            np.add(index, estimate, out=index)
            np.argmax(index, axis=1, out=pulled)
        else:
            np.argmax(estimate, axis=1, out=pulled)
            rng.random(out=uniform, dtype=_F32)
            explore = np.flatnonzero(uniform < problem.EPSILON)
            pulled[explore] = uniform[explore] * _F32(arms / problem.EPSILON)
        np.add(pulled, row, out=pulled)
        flat_means.take(pulled, out=reward, mode="clip")
        flat_estimate.take(pulled, out=mean, mode="clip")
        flat_inverse.take(pulled, out=scale, mode="clip")
        rng.standard_normal(out=noise, dtype=_F32)
        np.multiply(noise, _F32(problem.NOISE), out=noise)
        np.add(reward, noise, out=reward)
        total += float(reward.sum())
        _learn(flat_estimate, flat_inverse, pulled, reward, mean, scale, root)
    return total


def _column_block(rng: np.random.Generator, means: np.ndarray, horizon: int, family: str) -> float:
    """Sum of the rewards of one block, ``means [N, A]``."""
    agents, arms = means.shape
    means = np.ascontiguousarray(rng.permuted(means, axis=1).T)
    reward, mean, scale, root, best, uniform = np.empty((6, agents), _F32)
    estimate = means + _F32(problem.NOISE) * rng.standard_normal((arms, agents), _F32)
    total = float(estimate.sum(dtype=np.float64))
    inverse, index = np.ones((arms, agents), _F32), np.empty((arms, agents), _F32)
    greatest = np.empty((arms, agents), bool)
    named, name = greatest.view(np.int8), np.empty(agents, np.int8)
    names = np.arange(arms, 0, -1, dtype=np.int8)[:, None]  # the first of tied arms wins
    column, pulled = arms * agents + np.arange(agents), np.empty(agents, np.intp)
    flat_means, flat_estimate, flat_inverse = means.ravel(), estimate.ravel(), inverse.ravel()
    widths, noise = problem.widths(horizon), np.empty((16, agents), _F32)
    for step in range(arms, horizon):
        if (step - arms) % len(noise) == 0:
            _box_muller(rng, noise)
        values = estimate
        if family == "ucb":
            np.multiply(inverse, _F32(widths[step]), out=index)
            values = np.add(index, estimate, out=index)
        np.maximum.reduce(values, axis=0, out=best)
        np.equal(values, best, out=greatest)
        np.multiply(named, names, out=named)
        np.maximum.reduce(named, axis=0, out=name)
        np.multiply(name, -agents, out=pulled, dtype=np.intp)
        np.add(pulled, column, out=pulled)
        if family == "epsilon_greedy":
            rng.random(out=uniform, dtype=_F32)
            explore = np.flatnonzero(uniform < problem.EPSILON)
            arm = (uniform[explore] * _F32(arms / problem.EPSILON)).astype(np.intp)
            pulled[explore] = arm * agents + explore
        flat_means.take(pulled, out=reward, mode="clip")
        flat_estimate.take(pulled, out=mean, mode="clip")
        flat_inverse.take(pulled, out=scale, mode="clip")
        np.add(reward, noise[(step - arms) % len(noise)], out=reward)
        total += float(reward.sum())
        _learn(flat_estimate, flat_inverse, pulled, reward, mean, scale, root)
    return total


def _learn(flat_estimate, flat_inverse, pulled, reward, mean, scale, root) -> None:
    """Of the pulled arms, ``c <- c / sqrt(1 + c^2)``, ``m <- m + (r - m) c^2``; c is 1/sqrt(n)."""
    np.multiply(scale, scale, out=root)
    np.add(root, _F32(1), out=root)
    np.sqrt(root, out=root)
    np.divide(scale, root, out=scale)
    flat_inverse[pulled] = scale
    np.multiply(scale, scale, out=scale)
    np.subtract(reward, mean, out=reward)
    np.multiply(reward, scale, out=reward)
    np.add(reward, mean, out=reward)
    flat_estimate[pulled] = reward


def _box_muller(rng: np.random.Generator, noise: np.ndarray) -> None:
    """Fills ``noise`` (an even number of rows) with normal draws of the bandits' deviation."""
    half = noise.size // 2
    bits = rng.integers(0, 2**64, half, dtype=np.uint64).view(np.uint32).reshape(2, half)
    np.right_shift(bits, np.uint32(8), out=bits)
    radius, angle = bits.astype(_F32)
    radius += _F32(0.5)
    radius *= _F32(2**-24)
    np.log(radius, out=radius)
    radius *= _F32(-2 * problem.NOISE**2)
    np.sqrt(radius, out=radius)
    angle *= _F32(2 * np.pi * 2**-24)
    pairs = noise.reshape(2, half)
    np.cos(angle, out=pairs[0])
    np.sin(angle, out=pairs[1])
    pairs *= radius
