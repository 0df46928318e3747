"""Plain numpy oracles, written from the equations; they share no code with the package."""

from typing import Any, NamedTuple, SupportsInt

import numpy as np
import scipy.stats

TIE = 1e-5
"""Values nearer than this count as tied: float32 means of some tens of rewards are that exact."""


def assert_binomial(count: SupportsInt, trials: int, probability: float) -> None:
    """`count` lies where a binomial lies with probability 0.999."""
    p_value = scipy.stats.binomtest(int(count), int(trials), float(probability)).pvalue
    assert p_value > 1e-3, f"{count} of {trials}, expected {probability * trials:.1f}"


def assert_equally_likely(counts: Any) -> None:
    """`counts` lie where a uniform multinomial lies with probability 0.999."""
    p_value = scipy.stats.chisquare(np.asarray(counts)).pvalue
    assert p_value > 1e-3, f"{np.asarray(counts)}"


def sample_means(
    actions: np.ndarray, rewards: np.ndarray, num_arms: int, initial_value: Any = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Counts and means before each step, ``[..., T, A]`` float64, from the whole past at once."""
    pulled = (actions[..., None] == np.arange(num_arms)).astype(np.float64)
    gains = pulled * np.asarray(rewards, np.float64)[..., None]
    counts = np.cumsum(pulled, axis=-2) - pulled
    sums = np.cumsum(gains, axis=-2) - gains
    start = np.broadcast_to(np.asarray(initial_value, np.float64)[..., None, None], counts.shape)
    return counts, np.where(counts > 0, sums / np.maximum(counts, 1), start)


def ucb_index(beta: Any, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    """``mean + beta * sqrt(ln t / n)``, infinite for untried arms."""
    time = np.maximum(counts.sum(-1, keepdims=True), 1)
    beta = np.asarray(beta, np.float64)
    beta = beta.reshape(beta.shape + (1,) * (counts.ndim - beta.ndim))
    width = np.sqrt(np.log(time) / np.maximum(counts, 1))
    return np.where(counts == 0, np.inf, means + beta * width)


def optimal(values: np.ndarray) -> np.ndarray:
    """Which entries along the last axis are the greatest, or tied with it."""
    best = values.max(-1, keepdims=True)
    return np.where(np.isinf(best), values == best, values >= best - TIE)


class Episode(NamedTuple):
    actions: list[int]
    unique: list[bool]


def _choose(values: list[float], recorded: int) -> tuple[int, bool]:
    """The greatest value; the recorded choice stands in only where several are tied."""
    tied = [a for a, v in enumerate(values) if v == max(values) or v >= max(values) - TIE]
    if len(tied) == 1:
        return tied[0], True
    return (recorded if recorded in tied else tied[0]), False


def ucb_episode(beta: float, rewards: np.ndarray, recorded: np.ndarray) -> Episode:
    """One UCB agent, one step after the other, on a table of rewards ``[T, A]``."""
    num_arms = rewards.shape[1]
    past: list[list[float]] = [[] for _ in range(num_arms)]
    episode = Episode([], [])
    for time, row in enumerate(rewards.astype(np.float64)):
        index = [np.mean(p) + beta * np.sqrt(np.log(time) / len(p)) if p else np.inf for p in past]
        action, unique = _choose(index, recorded[time])
        past[action].append(row[action])
        episode.actions.append(action)
        episode.unique.append(unique)
    return episode


def epsilon_greedy_episode(
    epsilon: float,
    initial_value: float,
    initial_pull: bool,
    rewards: np.ndarray,
    draws: tuple[np.ndarray, np.ndarray],
    recorded: np.ndarray,
) -> Episode:
    """One epsilon-greedy agent on a table of rewards; ``draws``: uniforms and arms, ``[T]``."""
    num_arms = rewards.shape[1]
    past: list[list[float]] = [[] for _ in range(num_arms)]
    untried = np.inf if initial_pull else initial_value
    episode = Episode([], [])
    for time, row in enumerate(rewards.astype(np.float64)):
        values = [float(np.mean(p)) if p else untried for p in past]
        action, unique = _choose(values, recorded[time])
        still_pulling = initial_pull and not all(past)
        if draws[0][time] < np.float32(epsilon) and not still_pulling:
            action, unique = int(draws[1][time]), True
        past[action].append(row[action])
        episode.actions.append(action)
        episode.unique.append(unique)
    return episode


def offer(
    kind: str, magnitudes: tuple[float, ...], intervention: int, target: int, num_arms: int
) -> tuple[list[float], float]:
    """Share of the bonus on each arm, and share of the cost."""
    bonus = [0.0] * num_arms
    if intervention == 0:
        return bonus, 0.0
    if kind == "binary":
        bonus[target] = 1.0
        return bonus, 1.0
    if kind == "arm":
        bonus[intervention - 1] = 1.0
        return bonus, 1.0
    if kind == "penalty":
        return [0.0 if arm == target else -1.0 for arm in range(num_arms)], 1.0
    assert kind == "magnitude"
    bonus[target] = magnitudes[intervention - 1]
    return bonus, magnitudes[intervention - 1]


def observation(
    config: Any, num_interventions: int, action: int, intervention: int, target: int, time: int
) -> list[float]:
    """What the principal sees after ``time`` steps, the last of which was this one."""

    def one_hot(index: int, size: int) -> list[float]:
        return [1.0 if i == index else 0.0 for i in range(size)]

    seen = one_hot(action, config.num_arms)
    if config.observe_intervention:
        seen += one_hot(intervention - 1, num_interventions - 1)
    if config.observe_target:
        seen += one_hot(target, config.num_arms)
    if config.observe_time:
        seen += [time / config.horizon]
    return seen


class Replay(NamedTuple):
    observation: np.ndarray
    reward: np.ndarray
    agent_reward: np.ndarray
    hit: np.ndarray
    bonus: np.ndarray


def replay(
    config: Any,
    economics: dict[str, float],
    mean_rewards: np.ndarray,
    target: int,
    actions: np.ndarray,
    interventions: np.ndarray,
    noise: np.ndarray,
) -> Replay:
    """One episode of the intervention game from what was done in it and the noise that fell."""
    num_interventions = {
        "binary": 2,
        "penalty": 2,
        "arm": config.num_arms + 1,
        "magnitude": len(config.magnitudes) + 1,
    }[config.kind]
    rows = []
    seen = observation(config, num_interventions, -1, 0, target, 0)
    for time, (action, intervention) in enumerate(zip(actions, interventions, strict=True)):
        bonus, size = offer(config.kind, config.magnitudes, intervention, target, config.num_arms)
        gain = (
            mean_rewards[action]
            + economics["noise"] * noise[time]
            + economics["bonus"] * bonus[action]
        )
        charged = size
        if config.cost_on == "uptake" and bonus[action] == 0:
            charged = 0.0
        hit = action == target
        earned = float(hit) - economics["cost"] * charged
        rows.append((seen, earned, gain, hit, [economics["bonus"] * b for b in bonus]))
        seen = observation(config, num_interventions, action, intervention, target, time + 1)
    return Replay(*(np.asarray(column) for column in zip(*rows, strict=True)))
