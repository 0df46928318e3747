"""The sweep of the Stackelberg experiment: for each game, all seeds and noise levels at once."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import errors
from mermaide_jax.games.tasks import Economics
from mermaide_jax.studies.stackelberg.config import LearningConfig
from mermaide_jax.studies.stackelberg.learning import Params, train
from mermaide_jax.studies.stackelberg.testing import (
    Curve,
    curve_of_fresh,
    curve_of_trained,
    draw_agents,
    with_inner_rate,
)

PRINCIPALS = ("meta", "pretrained", "fresh")
"""Meta-learned; trained on the same without the inner loop; learning from one agent alone."""

CHOICE_AFTER = (1, 10, 100)
"""Interactions after which the pre-trained principal's inner rates are compared."""

# Every role draws from keys of its own: test agents are seen by nothing that is trained or chosen.
_ROLES = {"train": 0, "validation": 1, "test": 2}


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """What is run in one game."""

    learning: LearningConfig = dataclasses.field(default_factory=LearningConfig)
    """Training."""
    cost: float = 0.75
    """Cost per unit of bonus; the target is worth 1."""
    bonus: float = 1.0
    """Greatest bonus."""
    noises: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0)
    """Standard deviations of the readings."""
    seeds: int = 10
    """Independent trainings, each with its own agents."""
    test_agents: int = 64
    """Agents of each seed to test on, and as many on which test-time learning rates are chosen."""
    fresh_agents: int = 12
    """The first of them, from each of which a fresh principal learns."""
    interactions: tuple[int, ...] = (
        *(0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
        *(1000, 1500, 2000, 3000, 5000, 7000, 10_000, 20_000, 30_000, 50_000, 70_000, 100_000),
    )
    """Numbers of interactions after which principals are tested, ascending."""
    fresh_interactions: int = 10_000
    """Most interactions of a fresh principal, which learns one by one; later tests are left out."""
    fresh_batch: int = 10
    """Interactions between two steps of a fresh principal."""
    pretrained_rates: tuple[float, ...] = (0.0, 1e-3, 1e-2, 0.1)
    """Inner rates to choose from for the pre-trained principal; 0 keeps it as it is."""
    fresh_rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2)
    """Rates of Adam to choose from for the fresh principal."""

    def __post_init__(self) -> None:
        errors.check_non_negative("cost", self.cost)
        errors.check_positive("bonus", self.bonus)
        errors.check_at_least("number of noises", len(self.noises), 1)
        for noise in self.noises:
            errors.check_non_negative("noises", noise)
        errors.check_distinct("noises", self.noises)
        for name in ("pretrained_rates", "fresh_rates"):
            rates = getattr(self, name)
            errors.check_at_least(f"number of {name}", len(rates), 1)
            for rate in rates:
                errors.check_non_negative(name, rate)
        errors.check_at_least("seeds", self.seeds, 1)
        errors.check_at_least("test_agents", self.test_agents, 1)
        errors.check_at_least("fresh_batch", self.fresh_batch, 2)
        errors.check_in_range("fresh_agents", self.fresh_agents, 1, self.test_agents)
        errors.check_counts("interactions", self.interactions)
        if list(self.interactions) != sorted(self.interactions):
            errors.refuse("interactions", self.interactions, "ascending numbers")
        errors.check_at_least("fresh_interactions", self.fresh_interactions, self.interactions[0])


def run_sweep(config: SweepConfig, note: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Trains, chooses rates on validation agents, and tests on others.

    Args:
      config: what to run.
      note: is told of every stage.

    Returns:
      A record for each noise, seed, principal and number of interactions.
    """
    keys = {role: _member_keys(config, number) for role, number in _ROLES.items()}
    economics = _member_economics(config)
    curves = {}
    for name in ("meta", "pretrained"):
        note(f"training: {name}")
        params = _train(jax.random.clone(keys["train"]), config.learning, economics, name == "meta")
        if name == "pretrained":
            params = _choose_rates(keys["validation"], config, economics, params, note)
        curves[name] = _trained(
            jax.random.clone(keys["test"]), config, config.interactions, economics, params
        )
    note("learning from one agent alone: fresh")
    rates = _choose_fresh(jax.random.clone(keys["validation"]), config, economics, note)
    every = _fresh(keys["test"], config, rates, economics)
    curves["fresh"] = _at_interactions(config, every)
    note("tested")
    return [row for name in PRINCIPALS for row in _records(config, name, curves[name])]


def _member_economics(config: SweepConfig) -> Economics:
    """Terms of the members: all noise levels of the first seed, then of the next; ``[M]``."""
    noises = jnp.tile(jnp.asarray(config.noises, jnp.float32), config.seeds)
    fill = lambda x: jnp.full_like(noises, x)  # noqa: E731
    return Economics(fill(config.cost), fill(config.bonus), noises, fill(0.0), fill(1.0))


def _member_keys(config: SweepConfig, role: int) -> chex.PRNGKey:
    """``[M]`` keys of a role: those of one seed are the same at all noise levels."""
    seeds = np.repeat(np.arange(config.seeds), len(config.noises))
    base = jax.random.key(role)
    return jax.vmap(lambda seed: jax.random.fold_in(base, seed))(seeds)


@functools.partial(jax.jit, static_argnums=(1, 3))
def _train(keys: Any, config: LearningConfig, economics: Economics, is_meta: bool) -> Params:
    return jax.vmap(lambda key, term: train(key, config, term, is_meta)[0])(keys, economics)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _trained(
    keys: Any,
    config: SweepConfig,
    interactions: tuple[int, ...],
    economics: Economics,
    params: Params,
) -> Curve:
    """Curves of trained members, leading axis ``M``."""

    def one(key: chex.PRNGKey, term: Economics, params: Params) -> Curve:
        key_agents, key_play = jax.random.split(key)
        tasks = draw_agents(key_agents, config.learning, term, config.test_agents)
        return curve_of_trained(key_play, config.learning, params, tasks, interactions)

    return jax.vmap(one)(keys, economics, params)


def _choose_rates(
    keys: Any,
    config: SweepConfig,
    economics: Economics,
    params: Params,
    note: Callable[[str], None],
) -> Params:
    """The pre-trained params with the inner rate that is best for its noise level."""
    scores, candidates = [], []
    few = tuple(n for n in config.interactions if n in CHOICE_AFTER) or config.interactions
    for rate in config.pretrained_rates:
        rates = jnp.full_like(economics.noise, rate)
        candidates.append(jax.vmap(with_inner_rate)(params, rates))
        again = jax.random.clone(keys)
        curves = _trained(again, config, few, economics, candidates[-1])
        scores.append(_by_noise(config, curves))
    best = np.argmax(scores, axis=0)
    note(f"  inner rates by noise: {[config.pretrained_rates[i] for i in best]}")
    members = np.tile(best, config.seeds)
    choose = lambda *leaves: jnp.stack(leaves)[members, np.arange(members.size)]  # noqa: E731
    return jax.tree.map(choose, *candidates)


def _by_noise(config: SweepConfig, curves: Curve) -> np.ndarray:
    """Mean payoff over seeds and numbers of interactions, for each noise level."""
    payoff = np.asarray(curves.payoff).mean(axis=-1)
    return payoff.reshape(config.seeds, -1).mean(axis=0)


@functools.partial(jax.jit, static_argnums=1)
def _fresh(keys: Any, config: SweepConfig, rates: jax.Array, economics: Economics) -> Curve:
    """Curves of fresh members after every step, leading axis ``M``."""
    updates = -(-_fresh_interactions(config)[-1] // config.fresh_batch)

    def one(key: chex.PRNGKey, rate: jax.Array, term: Economics) -> Curve:
        key_agents, key_play = jax.random.split(key)
        tasks = draw_agents(key_agents, config.learning, term, config.test_agents)
        tasks = jax.tree.map(lambda x: x[: config.fresh_agents], tasks)
        batch = config.fresh_batch
        return curve_of_fresh(key_play, config.learning, tasks, rate, updates, batch)

    return jax.vmap(one)(keys, rates, economics)


def _choose_fresh(
    keys: Any, config: SweepConfig, economics: Economics, note: Callable[[str], None]
) -> jax.Array:
    """The rate of Adam that is best for its noise level, ``[M]``; on validation agents."""
    scores = []
    for rate in config.fresh_rates:
        rates = jnp.full_like(economics.noise, rate)
        curves = _fresh(jax.random.clone(keys), config, rates, economics)
        scores.append(_by_noise(config, _at_interactions(config, curves)))
    best = np.argmax(scores, axis=0)
    note(f"  rates by noise: {[config.fresh_rates[i] for i in best]}")
    return jnp.asarray(config.fresh_rates, jnp.float32)[np.tile(best, config.seeds)]


def _fresh_interactions(config: SweepConfig) -> list[int]:
    """After how many interactions a fresh principal is tested."""
    return [n for n in config.interactions if n <= config.fresh_interactions]


def _at_interactions(config: SweepConfig, curves: Curve) -> Curve:
    """Curves after every step, at the last step within each number of interactions."""
    steps = np.asarray(_fresh_interactions(config)) // config.fresh_batch
    return curves._replace(payoff=curves.payoff[:, steps], bonus_error=curves.bonus_error[:, steps])


def _records(config: SweepConfig, name: str, curves: Curve) -> list[dict[str, Any]]:
    """Tidy rows of one principal."""
    game = config.learning.game
    payoff, error, best = (np.asarray(x, np.float64) for x in curves)
    places: Sequence[tuple[int, float]] = [
        (seed, noise) for seed in range(config.seeds) for noise in config.noises
    ]
    return [
        {
            "kind": game.kind,
            "observe": game.observe,
            "noise": noise,
            "principal": name,
            "seed": seed,
            "interactions": number,
            "payoff": payoff[member, i],
            "equilibrium": best[member],
            "bonus_error": error[member, i],
        }
        for member, (seed, noise) in enumerate(places)
        for i, number in enumerate(config.interactions[: payoff.shape[1]])
    ]
