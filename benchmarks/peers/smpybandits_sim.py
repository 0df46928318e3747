"""Agents of SMPyBandits (Besson, 2018), in the loop of its Evaluator: one agent at a time."""

import importlib
import importlib.util
import random
import sys
import types
from pathlib import Path

import numpy as np

from benchmarks.workloads import problem


def evaluator_loop(family: problem.Family, agents: int, arms: int = 10, horizon: int = 200):
    """``choice``, draw, ``getReward``, store: what its Evaluator does, without its bookkeeping.

    Its UCBalpha has our law with ``alpha = 2 beta^2``. Its EpsilonGreedy exploits the *sum* of the
    rewards and explores all arms but the last: another law, the same amount of work.
    """
    policies = _load("Policies", "UCBalpha" if family == "ucb" else "EpsilonGreedy")
    kinds = _load("Arms", "Gaussian")
    means, seeds = problem.mean_rewards(agents, arms), problem.seeds()

    def policy():
        if family == "ucb":
            return policies.UCBalpha(arms, alpha=2 * problem.BETA**2)
        return policies.EpsilonGreedy(arms, epsilon=problem.EPSILON)

    def run() -> float:
        seed = next(seeds)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (what its policies draw from)
        rewards = np.zeros((agents, horizon))
        for agent in range(agents):
            bandit = [kinds.UnboundedGaussian(mu, problem.NOISE) for mu in means[agent].tolist()]
            learner = policy()
            learner.startGame()
            for step in range(horizon):
                choice = learner.choice()
                reward = bandit[choice].draw(step)
                learner.getReward(choice, reward)
                rewards[agent, step] = reward
        return float(rewards.mean())

    return run


def _load(package: str, module: str) -> types.ModuleType:
    """One module of SMPyBandits, without the whole of it.

    Its packages import every policy they have, and some of these need functions that SciPy has
    removed since; so the packages are only made known here, for this process.
    """
    found = importlib.util.find_spec("SMPyBandits") if "SMPyBandits" not in sys.modules else None
    if found is not None and found.submodule_search_locations:
        root = Path(found.submodule_search_locations[0])
        for name in ("SMPyBandits", "SMPyBandits.Policies", "SMPyBandits.Arms"):
            empty = types.ModuleType(name)
            empty.__path__ = [str(root.parent.joinpath(*name.split(".")))]
            sys.modules[name] = empty
    return importlib.import_module(f"SMPyBandits.{package}.{module}")
