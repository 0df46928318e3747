"""Agents of MABWiser (Strong, Kleynhans and Kadioglu, 2019): one agent at a time, step by step."""

import importlib

import numpy as np

from benchmarks.workloads import problem


def predict_and_fit(family: problem.Family, agents: int, arms: int = 10, horizon: int = 200):
    """Every arm pulled once and given to ``fit``, then ``predict`` and ``partial_fit`` each step.

    Its UCB1 has our law with ``alpha = beta / sqrt(2)``, its EpsilonGreedy has ours too.
    """
    mab = importlib.import_module("mabwiser.mab")
    means, seeds = problem.mean_rewards(agents, arms), problem.seeds()
    learning = (
        mab.LearningPolicy.UCB1(alpha=problem.BETA / np.sqrt(2.0))
        if family == "ucb"
        else mab.LearningPolicy.EpsilonGreedy(epsilon=problem.EPSILON)
    )

    def run() -> float:
        seed = next(seeds)
        rng, total = problem.generator(seed), 0.0
        for agent in range(agents):
            noise = problem.NOISE * rng.standard_normal(horizon)
            learner = mab.MAB(list(range(arms)), learning, seed=seed + agent)
            first = means[agent] + noise[:arms]
            learner.fit(list(range(arms)), first)
            total += float(first.sum())
            for step in range(arms, horizon):
                choice = learner.predict()
                reward = float(means[agent, choice] + noise[step])
                learner.partial_fit([choice], [reward])
                total += reward
        return total / (agents * horizon)

    return run
