"""The sweep of the Stackelberg experiment: for each game, all seeds and noise levels at once.

The payoff after ``n`` interactions is that of the most likely offer made then, on agents that were
never met: an exact number for each agent, which has no noise of its own. The interactions
themselves are explored, with offers sampled from the policy, and count whatever they earn.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from mermaide_jax import errors, losses, meta
from mermaide_jax.base import Task
from mermaide_jax.games import Economics, draw_stackelberg_task
from mermaide_jax.games.equilibrium import equilibrium
from mermaide_jax.games.stackelberg import (
    decode_share,
    interact,
    payoff,
    start_state,
    state_after,
    summarise_state,
)
from mermaide_jax.studies.stackelberg.learning import LearningConfig, make_adapt, make_trainer
from mermaide_jax.training import Trainer, train

PRINCIPALS = {"meta": "meta-learned", "pretrained": "pre-trained", "fresh": "fresh"}
"""Name to label: meta-learned; the same without the inner loop; learning from one agent alone."""
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
        errors.check_distinct("noises", self.noises)
        for name in ("noises", "pretrained_rates", "fresh_rates"):
            errors.check_at_least(f"number of {name}", len(getattr(self, name)), 1)
            for value in getattr(self, name):
                errors.check_non_negative(name, value)
        errors.check_at_least("seeds", self.seeds, 1)
        errors.check_at_least("test_agents", self.test_agents, 1)
        errors.check_at_least("fresh_batch", self.fresh_batch, 2)
        errors.check_in_range("fresh_agents", self.fresh_agents, 1, self.test_agents)
        errors.check_counts("interactions", self.interactions)
        if list(self.interactions) != sorted(self.interactions):
            errors.refuse("interactions", self.interactions, "ascending numbers")
        errors.check_at_least("fresh_interactions", self.fresh_interactions, self.interactions[0])


class Offered(NamedTuple):
    """The most likely offer to an agent: what it earns, and its bonus on the target; float32."""

    payoff: jax.Array
    bonus: jax.Array


def run_sweep(config: SweepConfig, note: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Trains, chooses rates on validation agents, and tests on others.

    The members of a sweep are all noise levels of the first seed, then of the next: streams of one
    training.

    Args:
      config: what to run.
      note: called with a line at every stage.

    Returns:
      A record for each noise, seed, principal and number of interactions.
    """
    noises = jnp.tile(jnp.asarray(config.noises, jnp.float32), config.seeds)
    same = [jnp.full_like(noises, x) for x in (config.cost, config.bonus, 0.0, 1.0)]
    economics = Economics(*same[:2], noises, *same[2:])
    learning, updates = config.learning, config.learning.updates
    agents = {
        role: _draw(_keys(config, role), learning, economics, config.test_agents)
        for role in ("validation", "test")
    }
    offers = {}
    for name in ("meta", "pretrained"):
        note(f"training: {name}")
        trainer = make_trainer(learning, name == "meta")
        state, _ = train(_keys(config, "train"), trainer, economics, updates, side_by_side=None)
        params = state.learner.params
        if name == "pretrained":
            few = tuple(n for n in config.interactions if n in CHOICE_AFTER) or config.interactions
            adapted = functools.partial(jax.vmap(meta.with_inner_rate), params)
            choose = lambda r: offers_of_trained(learning, few, *agents["validation"], adapted(r))  # noqa: E731
            params = adapted(_choose(config, "inner rates", config.pretrained_rates, choose, note))
        offers[name] = offers_of_trained(learning, config.interactions, *agents["test"], params)
    note("learning from one agent alone: fresh")
    of_role = lambda role, rates: offers_of_fresh(config, *agents[role], rates)  # noqa: E731
    alone = functools.partial(of_role, "validation")
    offers["fresh"] = of_role("test", _choose(config, "rates", config.fresh_rates, alone, note))
    best = jax.vmap(jax.vmap(lambda task: equilibrium(task, learning.game)))(agents["test"][1])
    return [row for name in PRINCIPALS for row in _records(config, name, offers[name], best)]


def offer(key: chex.PRNGKey, config: LearningConfig, network: Any, state: Any, task: Task):
    """Finds the most likely offer by what is known of an agent, `Offered`; ``key`` is consumed."""
    outputs = config.principal.outputs(network, summarise_state(config.game, state, task))
    choice = config.principal.law.mode(outputs)
    share = decode_share(config.game, choice, task.env.target).bonus[task.env.target]
    return Offered(payoff(key, config.game, choice, task), jnp.asarray(task.env.bonus * share))


@functools.partial(jax.jit, static_argnums=(0, 1))
def offers_of_trained(
    config: LearningConfig, interactions: tuple[int, ...], keys: Any, tasks: Task, params: Any
) -> Offered:
    """Lets a trained principal explore ``T`` interactions and adapt on the first ``n`` of them.

    Args:
      config: interactions beyond its horizon add readings only.
      interactions: the ``C`` numbers ``n``.
      keys: ``[M]``.
      tasks: agents that it has never met, ``[M, N]``.
      params: as trained, ``[M]``; with `meta.with_inner_rate` 0 it remembers but does not adapt.

    Returns:
      Offered, ``[M, N, C]``.
    """
    adapt, numbers = make_adapt(config), jnp.asarray(interactions, jnp.int32)

    def one_agent(key: chex.PRNGKey, task: Task, params: meta.MetaSGDParams) -> Offered:
        key_play, key_after = jax.random.split(key)
        played = interact(key_play, config.game, config.principal.principal, params.params, task)

        def after(key: chex.PRNGKey, number: jax.Array) -> Offered:
            key_state, key_answer = jax.random.split(key)
            state = state_after(key_state, played.states, number, task)
            return offer(key_answer, config, adapt(params, (played, number)), state, task)

        return jax.vmap(after)(jax.random.split(key_after, len(interactions)), numbers)

    split = lambda key: jax.random.split(key, tasks.env.target.shape[1])  # noqa: E731
    every = jax.vmap(jax.vmap(one_agent, (0, 0, None)))
    return every(jax.vmap(split)(jax.random.clone(keys)), tasks, params)


def offers_of_fresh(config: SweepConfig, keys: Any, tasks: Task, rates: jax.Array) -> Offered:
    """Lets a fresh principal for each agent learn from that agent alone, by REINFORCE.

    One step of Adam after every batch of interactions, on their rewards less the mean of the
    others' (`losses.leave_one_out_baseline`).

    Args:
      config: sizes.
      keys: ``[M]``.
      tasks: agents, ``[M, N]``, of which the first ``fresh_agents`` are met.
      rates: of Adam, ``[M]``.

    Returns:
      Offered, ``[M, N, C]``, at the last step within each number of interactions.
    """
    learning, number, batch = config.learning, config.fresh_agents, config.fresh_batch
    principal, adam = learning.principal, optax.inject_hyperparams(optax.adam)(1.0)

    def init(key: chex.PRNGKey):
        network = principal.init_params(key)
        return network, adam.init(network), start_state(learning.game.num_arms)

    def update(key: chex.PRNGKey, state: Any, data: tuple[Task, jax.Array]):
        (network, optimizer, known), (task, rate) = state, data
        optimizer = optimizer._replace(hyperparams={"learning_rate": rate})
        key_play, key_offer = jax.random.split(key)
        offered = offer(key_offer, learning, network, known, task)
        played = interact(key_play, learning.game, principal.principal, network, task, known, batch)
        baseline = losses.leave_one_out_baseline(played.reward[:, None])[:, 0]

        def loss(network: Any) -> jax.Array:
            outputs = principal.outputs(network, played.observation)
            log_probs = principal.law.log_prob(outputs, played.intervention)
            return losses.reinforce_loss(log_probs, played.reward - baseline) / batch

        updates, optimizer = adam.update(jax.grad(loss)(network), optimizer)
        known = jax.tree.map(lambda x: x[-1], played.states)
        return (optax.apply_updates(network, updates), optimizer, known), offered

    tested = np.asarray([n for n in config.interactions if n <= config.fresh_interactions])
    streams = jax.vmap(lambda key: jax.random.split(key, number))(jax.random.clone(keys)).ravel()
    flat = jax.tree.map(lambda x: x[:, :number].reshape(-1, *x.shape[2:]), tasks)
    data, steps = (flat, jnp.repeat(rates, number)), tested // batch
    _, offered = train(streams, Trainer(init, update), data, int(steps[-1]) + 1, side_by_side=None)
    return Offered(*(x[:, steps].reshape(len(rates), number, -1) for x in offered))


def _keys(config: SweepConfig, role: str) -> chex.PRNGKey:
    """``[M]`` keys of a role: those of one seed are the same at all noise levels."""
    seeds = np.repeat(np.arange(config.seeds), len(config.noises))
    return jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(_ROLES[role])))(seeds)


@functools.partial(jax.jit, static_argnums=(1, 3))
def _draw(keys: Any, config: LearningConfig, economics: Economics, number: int) -> tuple[Any, Task]:
    """Keys ``[M]`` to play by, and ``[M, number]`` agents."""

    def one(key: chex.PRNGKey, economics: Economics) -> tuple[Any, Task]:
        key_agents, key_play = jax.random.split(key)
        draw = lambda k: draw_stackelberg_task(k, config.game.num_arms, economics)  # noqa: E731
        return key_play, jax.vmap(draw)(jax.random.split(key_agents, number))

    return jax.vmap(one)(keys, economics)


def _choose(
    config: SweepConfig,
    what: str,
    candidates: tuple[float, ...],
    offers_at: Callable[[jax.Array], Offered],
    note: Callable[[str], None],
) -> jax.Array:
    """The candidate with the best mean payoff of its noise level, on validation agents; ``[M]``."""
    members = config.seeds * len(config.noises)
    rates = [jnp.full((members,), rate, jnp.float32) for rate in candidates]
    payoff = np.asarray([np.mean(offers_at(rate).payoff, axis=(1, 2)) for rate in rates])
    best = np.argmax(payoff.reshape(len(rates), config.seeds, -1).mean(axis=1), axis=0)
    note(f"  {what} by noise: {[candidates[i] for i in best]}")
    return jnp.asarray(candidates, jnp.float32)[np.tile(best, config.seeds)]


def _records(config: SweepConfig, name: str, offers: Offered, best: Any) -> list[dict[str, Any]]:
    """Tidy rows of one principal: means over the agents that it met."""
    payoff, bonus = (np.asarray(x, np.float64) for x in offers)
    best = jax.tree.map(lambda x: np.asarray(x, np.float64)[:, : payoff.shape[1]], best)
    error = np.abs(bonus - best.bonus[..., None]).mean(axis=1)
    places = [(seed, noise) for seed in range(config.seeds) for noise in config.noises]
    game = config.learning.game
    return [
        {
            "kind": game.kind,
            "observe": game.observe,
            "noise": noise,
            "principal": name,
            "seed": seed,
            "interactions": number,
            "payoff": payoff[member, :, i].mean(),
            "equilibrium": best.payoff[member].mean(),
            "bonus_error": error[member, i],
        }
        for member, (seed, noise) in enumerate(places)
        for i, number in enumerate(config.interactions[: payoff.shape[2]])
    ]
