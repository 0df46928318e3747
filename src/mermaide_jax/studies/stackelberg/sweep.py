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

from mermaide_jax import errors, meta
from mermaide_jax.base import Task
from mermaide_jax.games import Economics, stackelberg
from mermaide_jax.games.equilibrium import equilibrium
from mermaide_jax.results.records import Record
from mermaide_jax.studies.stackelberg.learning import LearningConfig, make_adapt, make_trainer
from mermaide_jax.studies.sweep import Sweep
from mermaide_jax.training import train
from mermaide_jax.training.alone import learn_alone, train_alone

PRINCIPALS = {"meta": "meta-learned", "pretrained": "pre-trained", "fresh": "fresh"}
"""Name to label: meta-learned; the same without the inner loop; learning from one agent alone."""
CHOICE_AFTER = (1, 10, 100)  # interactions, after which the pre-trained one's rates are compared
# Every role draws from keys of its own: test agents are seen by nothing that is trained or chosen.
_ROLES = {"train": 0, "validation": 1, "test": 2}


@dataclasses.dataclass(frozen=True)
class SweepConfig:
    """What is run in one game."""

    learning: LearningConfig = dataclasses.field(default_factory=LearningConfig)
    cost: float = 0.75  # per unit of bonus; the target is worth 1
    bonus: float = 1.0  # the greatest
    noises: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 1.0)  # standard deviations of the readings
    seeds: int = 10  # independent trainings, each with its own agents
    test_agents: int = 64  # of each seed, and as many on which test-time learning rates are chosen
    fresh_agents: int = 12  # the first of them, from each of which a fresh principal learns
    interactions: tuple[int, ...] = (  # after which principals are tested, ascending
        *(0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
        *(1000, 1500, 2000, 3000, 5000, 7000, 10_000, 20_000, 30_000, 50_000, 70_000, 100_000),
    )
    fresh_interactions: int = 10_000  # most of a fresh principal; later tests are left out
    fresh_batch: int = 10  # interactions between two steps of a fresh principal
    pretrained_rates: tuple[float, ...] = (0.0, 1e-3, 1e-2, 0.1)  # inner rates; 0 keeps it as it is
    fresh_rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2)  # of Adam, to choose from

    def __post_init__(self) -> None:
        errors.check_non_negative("cost", self.cost)
        errors.check_positive("bonus", self.bonus)
        for name in ("noises", "pretrained_rates", "fresh_rates"):
            errors.check_at_least(f"number of {name}", len(getattr(self, name)), 1)
            errors.check_distinct(name, getattr(self, name))
            for value in getattr(self, name):
                errors.check_non_negative(name, value)
        for name, least in (("seeds", 1), ("test_agents", 1), ("fresh_batch", 2)):
            errors.check_at_least(name, getattr(self, name), least)
        errors.check_in_range("fresh_agents", self.fresh_agents, 1, self.test_agents)
        errors.check_counts("interactions", self.interactions)
        if list(self.interactions) != sorted(self.interactions):
            errors.refuse("interactions", self.interactions, "ascending numbers")
        errors.check_at_least("fresh_interactions", self.fresh_interactions, self.interactions[0])

    @property
    def sweep(self) -> Sweep:
        """All seeds at all noise levels."""
        return Sweep(self.seeds, self.noises)


class Offered(NamedTuple):
    """The most likely offer to an agent: what it earns, and its bonus on the target; float32."""

    payoff: jax.Array
    bonus: jax.Array


def run_sweep(config: SweepConfig, note: Callable[[str], None] = print) -> list[Record]:
    """Trains, chooses rates on validation agents, and tests on others; tells ``note`` every stage.

    Returns:
      A record for each seed, noise, principal and number of interactions.
    """
    learning, sweep = config.learning, config.sweep
    same = (config.cost, config.bonus, 0.0, 1.0)
    cost, bonus, low, high = (jnp.full((sweep.members,), x) for x in same)
    economics = Economics(cost, bonus, sweep.at_levels(), low, high)
    draw = lambda k, terms: stackelberg.draw_stackelberg_task(k, learning.game.num_arms, terms)  # noqa: E731
    validation, test = (
        sweep.draw(_ROLES[role], config.test_agents, draw, economics)
        for role in ("validation", "test")
    )
    offers = {}
    for name in ("meta", "pretrained"):
        note(f"training: {name}")
        trainer, keys = make_trainer(learning, name == "meta"), sweep.keys(_ROLES["train"])
        state, _ = train(keys, trainer, economics, learning.updates, side_by_side=None)
        params = state.learner.params
        if name == "pretrained":
            params = _choose_inner_rates(config, params, validation, note)
        offers[name] = offers_of_trained(learning, config.interactions, *test, params)
    note("learning from one agent alone: fresh")
    score = lambda rates: _score(offers_of_fresh(config, *validation, rates))  # noqa: E731
    rates = sweep.choose(config.fresh_rates, score)
    note(f"  rates by noise: {list(rates)}")
    offers["fresh"] = offers_of_fresh(config, *test, sweep.at_levels(rates))
    best = jax.vmap(jax.vmap(lambda task: equilibrium(task, learning.game)))(test[1])
    return [row for name in PRINCIPALS for row in _records(config, name, offers[name], best)]


def _choose_inner_rates(config: SweepConfig, params: Any, agents: Any, note: Any) -> Any:
    """The same params with the inner rate that is best for the noise level."""
    few = tuple(n for n in config.interactions if n in CHOICE_AFTER) or config.interactions
    at_rates = functools.partial(jax.vmap(meta.with_inner_rate), params)
    test = functools.partial(offers_of_trained, config.learning, few, *agents)
    rates = config.sweep.choose(config.pretrained_rates, lambda r: _score(test(at_rates(r))))
    note(f"  inner rates by noise: {list(rates)}")
    return at_rates(config.sweep.at_levels(rates))


def _score(offers: Offered) -> jax.Array:
    return jnp.mean(offers.payoff, axis=(1, 2))


def offer(key: chex.PRNGKey, config: LearningConfig, network: Any, state: Any, task: Task):
    """Finds the most likely offer by what is known of an agent, `Offered`; ``key`` is consumed.

    Example:
      >>> config = LearningConfig(features=3)
      >>> network = config.principal.init_params(jax.random.key(0))
      >>> task = stackelberg.draw_stackelberg_task(jax.random.key(1), 5, Economics(bonus=0.5))
      >>> known = stackelberg.start_state(5)
      >>> bool(0.0 <= offer(jax.random.key(2), config, network, known, task).bonus <= 0.5)
      True
    """
    seen, target = stackelberg.summarise_state(config.game, state, task), task.env.target
    choice = config.principal.law.mode(config.principal.outputs(network, seen))
    share = stackelberg.decode_share(config.game, choice, target).bonus[target]
    earned = stackelberg.payoff(key, config.game, choice, task)
    return Offered(earned, jnp.asarray(task.env.bonus * share))


@functools.partial(jax.jit, static_argnums=(0, 1))
def offers_of_trained(
    config: LearningConfig, interactions: tuple[int, ...], keys: Any, tasks: Task, params: Any
) -> Offered:
    """Lets a trained principal explore, adapt on the first ``n`` interactions, and make an offer.

    Those beyond its horizon add readings only. Trained as ``params [M]``, with the inner rates of
    `meta.with_inner_rate`, by ``keys [M]`` it meets ``tasks [M, N]``; the ``C`` numbers ``n`` are
    `interactions`. Returns Offered, ``[M, N, C]``.
    """
    adapt, numbers = make_adapt(config), jnp.asarray(interactions, jnp.int32)
    own = (config.game, config.principal.principal)

    def one_agent(key: chex.PRNGKey, task: Task, params: meta.MetaSGDParams) -> Offered:
        key_play, key_after = jax.random.split(key)
        played = stackelberg.interact(key_play, *own, params.params, task)

        def after(key: chex.PRNGKey, number: jax.Array) -> Offered:
            key_state, key_answer = jax.random.split(key)
            state = stackelberg.state_after(key_state, played.states, number, task)
            return offer(key_answer, config, adapt(params, (played, number)), state, task)

        return jax.vmap(after)(jax.random.split(key_after, len(interactions)), numbers)

    split = lambda key: jax.random.split(key, tasks.env.target.shape[1])  # noqa: E731
    every = jax.vmap(jax.vmap(one_agent, (0, 0, None)))
    return every(jax.vmap(split)(jax.random.clone(keys)), tasks, params)


def offers_of_fresh(config: SweepConfig, keys: Any, tasks: Task, rates: jax.Array) -> Offered:
    """Lets a fresh principal for each agent learn from that agent alone, and make offers.

    By ``keys [M]`` it meets the first agents of ``tasks [M, N]``; ``rates [M]`` are those of Adam
    (`training.alone`). Returns Offered, ``[M, N, C]``, at the last step within each number.
    """
    learning, number, batch = config.learning, config.fresh_agents, config.fresh_batch
    game, principal = learning.game, learning.principal

    def play(key: chex.PRNGKey, network: Any, known: Any, task: Task):
        played = stackelberg.interact(key, game, principal.principal, network, task, known, batch)
        return played, played.reward, jax.tree.map(lambda x: x[-1], played.states)

    def log_probs(network: Any, played: stackelberg.Interactions) -> jax.Array:
        outputs = principal.outputs(network, played.observation)
        return principal.law.log_prob(outputs, played.intervention)

    init = lambda key: (principal.init_params(key), stackelberg.start_state(game.num_arms))  # noqa: E731
    look = lambda key, *known: offer(key, learning, *known)  # noqa: E731
    trainer = learn_alone(init, play, log_probs, look)
    tested = np.asarray([n for n in config.interactions if n <= config.fresh_interactions])
    steps, met = tested // batch, jax.tree.map(lambda x: x[:, :number], tasks)
    offered = train_alone(jax.random.clone(keys), trainer, met, rates, int(steps[-1]) + 1)
    return Offered(*(x[:, :, steps] for x in offered))


def _records(config: SweepConfig, name: str, offers: Offered, best: Any) -> list[Record]:
    """Tidy rows of one principal: means over the agents that it met."""
    payoff, bonus = (np.asarray(x, np.float64) for x in offers)  # [M, N, C]
    best = jax.tree.map(lambda x: np.asarray(x, np.float64)[:, : payoff.shape[1]], best)
    earned = np.moveaxis(payoff, 1, -1).copy().mean(axis=-1)
    measures = {
        "payoff": earned,
        "equilibrium": np.broadcast_to(best.payoff.mean(axis=-1)[:, None], earned.shape),
        "bonus_error": np.abs(bonus - best.bonus[..., None]).mean(axis=1),
    }
    times = {"interactions": config.interactions[: payoff.shape[2]]}
    game, rows = config.learning.game, config.sweep.records("noise", times, **measures)
    about = {"kind": game.kind, "observe": game.observe, "principal": name}
    return [about | row for row in rows]
