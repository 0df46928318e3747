"""Synthetic results that look like a study's: made by plain numpy, never by the package."""

from collections.abc import Callable

import numpy as np
import pytest

from mermaide_jax.results.results import Results

HORIZON, ARMS = 50, 10
COEFFICIENTS = {"ucb": (0.27, 0.5), "epsilon_greedy": (0.2, 0.4)}
# principal: score, interventions, success at 0-shot, and the score's gain at 1-shot
LEVELS = {
    "mermaide": (13.2, 14.5, 0.0),
    "maml_without_world_model": (9.8, 16.0, 0.8),
    "world_model_without_meta": (12.9, 14.0, -0.6),
    "reinforce": (9.1, 17.0, -1.1),
    "never": (3.1, 0.0, 0.0),
    "always": (-1.8, 50.0, 0.0),
    "random": (0.6, 25.0, 0.0),
    "first_k": (5.8, 25.0, 0.0),
    "prescient": (19.5, 13.0, 0.0),
    "all_knowing": (21.5, 12.5, 0.0),
    "clairvoyant": (23.0, 12.0, 0.0),
}
LEARNED = ("mermaide", "maml_without_world_model", "world_model_without_meta", "reinforce")
WORLD_MODEL = ("mermaide", "world_model_without_meta")


def single(value) -> float:
    """The number in single precision, in which networks and agents compute."""
    return float(np.float32(value))


def make_rows(seeds: int = 3, agents: int = 10, seed: int = 0) -> list[dict]:
    """One row per principal, family, K, seed and agent."""
    rng = np.random.default_rng(seed)
    rows = []
    for family, coefficients in COEFFICIENTS.items():
        hardness = {"ucb": 0.0, "epsilon_greedy": 2.5}[family]
        offsets = rng.normal(scale=1.6, size=agents)
        for principal, (score, paid, gain) in LEVELS.items():
            if family == "epsilon_greedy" and principal == "always":
                score = -17.5
            drift = rng.normal(scale=0.5, size=seeds)
            for k_shot in (0, 1):
                for s in range(seeds):
                    for agent in range(agents):
                        final = score - hardness + gain * k_shot + offsets[agent]
                        if principal in LEARNED:
                            final += drift[s]
                        final += rng.normal(scale=0.3)
                        has_model = principal in WORLD_MODEL
                        interventions = paid if paid in (0.0, 50.0) else paid + rng.normal()
                        rows.append(
                            {
                                "principal": principal,
                                "family": family,
                                "coefficient": coefficients[agent % len(coefficients)],
                                "split": "unseen_coefficients",
                                "k_shot": k_shot,
                                "seed": s,
                                "agent": agent,
                                "score": float(final),
                                "success_rate": float((final + 0.75 * interventions) / HORIZON),
                                "interventions": float(interventions),
                                "world_model_log_likelihood": float(rng.normal(-0.95, 0.05))
                                if has_model
                                else None,
                                "world_model_accuracy": float(rng.normal(0.62, 0.02))
                                if has_model
                                else None,
                                "horizon": HORIZON,
                                "episodes": 64,
                            }
                        )
    return rows


def make_curves(seeds: int = 3, seed: int = 0) -> list[dict]:
    """Pre-training for those with a world model, then joint training that rises and flattens."""
    rng = np.random.default_rng(seed)
    curves = []
    for family in COEFFICIENTS:
        for principal in LEARNED:
            score, paid, _ = LEVELS[principal]
            has_model = principal in WORLD_MODEL
            alone = 100 if has_model else 0
            for s in range(seeds):
                drift = rng.normal(scale=0.8)
                for update in range(0, alone + 600, 5):
                    joint = max(update - alone, 0)
                    rise = 1 - np.exp(-joint / 180)
                    value = 0.6 + (score + drift - 0.6) * rise + rng.normal(scale=0.5)
                    pulls = 25 + (paid - 25) * rise + rng.normal(scale=0.6)
                    fit = -0.95 - 1.35 * np.exp(-update / 60) + rng.normal(scale=0.02)
                    curves.append(
                        {
                            "principal": principal,
                            "family": family,
                            "seed": s,
                            "update": update,
                            "phase": "world_model" if update < alone else "joint",
                            "score": single(value),
                            "success_rate": single((value + 0.75 * pulls) / HORIZON),
                            "interventions": single(pulls),
                            "world_model_log_likelihood": single(fit) if has_model else None,
                            "entropy": single(0.69 - 0.5 * rise),
                        }
                    )
    return curves


def make_episode(family: str = "ucb", principal: str = "mermaide", seed: int = 2) -> dict:
    """One simulated episode: a bandit agent, and a principal that pays while a* lags behind."""
    rng = np.random.default_rng(seed)
    mu = rng.uniform(size=ARMS)
    target = int(np.argsort(mu)[4])
    coefficient = COEFFICIENTS[family][0]
    counts, sums = np.zeros(ARMS), np.zeros(ARMS)
    log: dict[str, list] = {
        name: []
        for name in (
            "action",
            "intervention",
            "predicted_target_probability",
            "policy_probability",
            "agent_estimates",
            "reward",
        )
    }
    for t in range(HORIZON):
        mean = sums / np.maximum(counts, 1)
        index = mean.copy()
        if family == "ucb":
            index = mean + coefficient * np.sqrt(np.log(t + 1) / np.maximum(counts, 1))
        index = np.where(counts == 0, 1e3 + rng.uniform(size=ARMS), index)
        action = int(np.argmax(index))
        if family == "epsilon_greedy" and rng.uniform() < coefficient:
            action = int(rng.integers(ARMS))
        tried = counts[target] > 0
        believed = 0.1 if t < ARMS else 1 / (1 + np.exp(-9 * (index[target] - index.max() + 0.1)))
        believed = single(np.clip(believed + rng.normal(scale=0.04), 0.01, 0.99))
        lead = mean[target] - np.max(np.delete(mean, target)) if tried else 0.0
        probability = single(np.clip(0.1 + 1.1 * believed * (lead < 0.12), 0.02, 0.98))
        paid = float(rng.uniform() < probability)
        reward = mu[action] + paid * (action == target)
        log["action"].append(action)
        log["intervention"].append(paid)
        log["predicted_target_probability"].append(believed)
        log["policy_probability"].append(probability)
        log["agent_estimates"].append([single(x) for x in mean])
        log["reward"].append(single(reward))
        counts[action] += 1
        sums[action] += reward
    pulls = float(np.sum(np.array(log["action"]) == target))
    record = {
        "principal": principal,
        "family": family,
        "coefficient": coefficient,
        "seed": 0,
        "k_shot": 0,
        "agent": 3,
        "target": target,
        "mean_rewards": [single(x) for x in mu],
        "score": pulls - 0.75 * float(np.sum(log["intervention"])),
        **log,
    }
    if principal not in WORLD_MODEL:
        record["predicted_target_probability"] = None
    return record


def make_results(**changes: object) -> Results:
    """A whole study: two families, ten principals, three seeds."""
    fields: dict = {
        "config": {"preset": "quick", "game": {"horizon": HORIZON, "cost": 0.75}},
        "versions": {"python": "3.11.9", "jax": "0.10.2"},
        "device": "cpu: 2 devices",
        "wall_time_s": 412.5,
        "revision": "v0.1.0-3-gabcdef012345",
        "rows": make_rows(),
        "curves": make_curves(),
        "episodes": [make_episode("ucb"), make_episode("epsilon_greedy")],
        "command": "mermaide reproduce --preset quick",
    }
    return Results(**{**fields, **changes})


@pytest.fixture
def results() -> Results:
    """A whole synthetic study."""
    return make_results()


@pytest.fixture
def results_with() -> Callable[..., Results]:
    """A function that makes the synthetic study with some fields changed."""
    return make_results


@pytest.fixture
def episode() -> Callable[..., dict]:
    """A function that simulates one recorded episode."""
    return make_episode


@pytest.fixture
def rows() -> Callable[..., list[dict]]:
    """A function that makes synthetic rows."""
    return make_rows
