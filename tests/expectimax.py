"""Tiny games solved by brute force in plain Python, written from the rules of the game.

Every history is followed by itself: nothing is merged, and no code is shared with the package (but
for `bind`, which says what the package calls the same game).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import scipy.stats

from mermaide_jax import agents, games

TIE = 1e-9


class Spec(NamedTuple):
    """One agent and the terms of the game."""

    family: str
    coefficient: float
    mu: tuple[float, ...]
    target: int
    cost: float = 0.75
    bonus: float = 1.0
    sigma: float = 0.0


class Rules(NamedTuple):
    """The game: what `games.GameConfig` says, and the draws of the noise."""

    horizon: int
    kind: str = "binary"
    cost_on: str = "offer"
    magnitudes: tuple[float, ...] = (0.5, 1.0)
    draws: tuple[float, ...] = (0.0,)


def law(spec, past, bonus):
    """Probability of each action after ``past``, the rewards received from each arm."""
    means = [sum(p) / len(p) if p else np.inf for p in past]
    arms = range(len(past))
    if spec.family == "best_response":
        return _uniform([m + b for m, b in zip(spec.mu, bonus, strict=True)])
    if not all(past) or spec.family == "greedy":
        return _uniform(means)
    if spec.family == "thompson":
        assert len(past) == 2
        spread = spec.coefficient * np.sqrt(1 / len(past[0]) + 1 / len(past[1]))
        first = scipy.stats.norm.cdf((means[0] - means[1]) / spread)
        return [first, 1 - first]
    if spec.family == "ucb":
        time = sum(map(len, past))
        return _uniform(
            [means[a] + spec.coefficient * np.sqrt(np.log(time) / len(past[a])) for a in arms]
        )
    greedy = _uniform(means)
    return [(1 - spec.coefficient) * g + spec.coefficient / len(past) for g in greedy]


def _uniform(values):
    best = [v >= max(values) - TIE for v in values]
    return [b / sum(best) for b in best]


def num_interventions(families, num_arms):
    return {"binary": 2, "penalty": 2, "arm": num_arms + 1}.get(
        families.kind, len(families.magnitudes) + 1
    )


def outcomes(spec, families, past, intervention):
    """For each possible action: action, probability, earned, and the pasts that may follow."""
    num_arms = len(spec.mu)
    shares, size = oracles.offer(
        families.kind, families.magnitudes, intervention, spec.target, num_arms
    )
    bonus = [spec.bonus * share for share in shares]
    for action, probability in enumerate(law(spec, past, bonus)):
        if probability == 0:
            continue
        charged = 0.0 if families.cost_on == "uptake" and shares[action] == 0 else size
        earned = (action == spec.target) - spec.cost * charged
        after = [
            tuple(
                (*p, spec.mu[arm] + spec.sigma * draw + bonus[arm]) if arm == action else p
                for arm, p in enumerate(past)
            )
            for draw in families.draws
        ]
        yield action, probability, earned, after


def all_knowing(spec, families, past=None, time=0):
    """Expectimax of a principal that knows the agent and all that it received."""
    if time == families.horizon:
        return 0.0
    past = past or ((),) * len(spec.mu)
    return max(
        sum(
            probability
            * (earned + np.mean([all_knowing(spec, families, p, time + 1) for p in after]))
            for _, probability, earned, after in outcomes(spec, families, past, u)
        )
        for u in range(num_interventions(families, len(spec.mu)))
    )


def clairvoyant(spec, families, past=None, time=0):
    """The same with the coming action told; for agents that do not see the offer."""
    if time == families.horizon:
        return 0.0
    past = past or ((),) * len(spec.mu)
    best = {}
    for u in range(num_interventions(families, len(spec.mu))):
        for action, probability, earned, after in outcomes(spec, families, past, u):
            value = earned + np.mean([clairvoyant(spec, families, p, time + 1) for p in after])
            old = best.get(action, (probability, -np.inf))
            best[action] = (probability, max(old[1], value))
    return sum(probability * value for probability, value in best.values())


def start(specs, prior):
    """Particles ``(weight, spec, past)``, the belief before the first step."""
    return [(w, s, ((),) * len(s.mu)) for w, s in zip(prior, specs, strict=True)]


def observe(families, particles, u):
    """What the step earns in expectation, and the unnormalised belief after each action."""
    earned, after = 0.0, {}
    for weight, spec, past in particles:
        for action, probability, gain, following in outcomes(spec, families, past, u):
            earned += weight * probability * gain
            share = weight * probability / len(following)
            after.setdefault(action, []).extend((share, spec, p) for p in following)
    return earned, after


def belief(particles, families, time=0):
    """Expectimax over histories of a principal that sees only actions."""
    if time == families.horizon:
        return 0.0
    values = []
    for u in range(num_interventions(families, len(particles[0][1].mu))):
        earned, after = observe(families, particles, u)
        values.append(earned + sum(belief(p, families, time + 1) for p in after.values()))
    return max(values)


def follow(particles, families, choose, history=()):
    """Expected score of the policy ``choose(history of (intervention, action))``."""
    if len(history) == families.horizon:
        return 0.0
    u = choose(history)
    earned, after = observe(families, particles, u)
    return earned + sum(follow(p, families, choose, (*history, (u, a))) for a, p in after.items())


def exactly(*values):
    """The float32 neighbours of ``values``, which are what the package computes with."""
    return tuple(float(np.float32(v)) for v in values)


def bind(spec, families):
    """Agent, config and task of a brute-force game."""
    num_arms, coefficient = len(spec.mu), jnp.float32(spec.coefficient)
    mu = jnp.asarray(spec.mu, jnp.float32)
    agent, params = {
        "ucb": (agents.ucb(num_arms), agents.UCBParams(coefficient)),
        "epsilon_greedy": (
            agents.epsilon_greedy(num_arms),
            agents.EpsilonGreedyParams(coefficient, jnp.float32(0)),
        ),
        "thompson": (agents.thompson(num_arms), agents.ThompsonParams(coefficient)),
        "best_response": (agents.best_response(num_arms), agents.BestResponseParams(mu)),
    }[spec.family]
    economics = games.Economics(cost=spec.cost, bonus=spec.bonus, noise=spec.sigma)
    task = games.Task(params, games.make_bandit(mu, spec.target, economics))
    config = games.GameConfig(
        num_arms, families.horizon, families.kind, families.magnitudes, families.cost_on
    )
    return agent, config, task
