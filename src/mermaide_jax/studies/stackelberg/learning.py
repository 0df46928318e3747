"""Training the principals of the Stackelberg experiment: with the inner loop, and without.

Both see the same agents, the same number of interactions and the same objective,

    w L_before(theta) + (1 - w) E_n[ L_query(theta'; s_n) ]    theta' = inner loop on n of them

each term by REINFORCE with a leave-one-out baseline; the pre-trained principal has theta' = theta.
Nothing but what the principal could know of an agent enters: its own offers and what they earned.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import errors, losses, meta
from mermaide_jax.base import Task
from mermaide_jax.games import Economics, StackelbergConfig, draw_stackelberg_task
from mermaide_jax.games.stackelberg import (
    Interactions,
    StackelbergState,
    interact,
    payoff,
    state_after,
    summarise_state,
)
from mermaide_jax.principals import OfferPrincipal, offer_principal
from mermaide_jax.training import Trainer

ENTROPY_UNTIL = 0.7
"""Share of the updates after which the entropy bonus, which falls linearly, is gone."""
LONG_GRADIENT = 10.0
"""Inner gradients beyond this length make the inner step hardly longer (`meta.sgd_with_rates`)."""


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """The static side of training and testing in one game; equal configs share one program."""

    game: StackelbergConfig = dataclasses.field(default_factory=StackelbergConfig)
    """The game."""
    features: int = 64
    """Hidden units of the principal's one layer."""
    updates: int = 1500
    """Outer updates, for the meta-learned and for the pre-trained principal alike."""
    agents: int = 32
    """Agents drawn afresh for each update."""
    episodes: int = 2
    """Episodes with each agent in each update."""
    queries: int = 6
    """Offers after each episode, which tell how good the principal has become."""
    most_interactions: int = 100_000
    """Offers are asked for after up to so many interactions; how many is drawn log-uniformly."""
    inner_steps: int = 1
    """SGD steps of the inner loop, on the interactions played one by one."""
    inner_learning_rate: float = 1e-4
    """Rate of the inner step before training; it is learned along."""
    outer_learning_rate: float = 5e-3
    """Rate of the outer Adam at the first update; it falls linearly to a hundredth."""
    entropy: float = 0.05
    """Weight of the entropy bonus at the first update: a policy that narrows too soon gives up the
    agents that are dear."""
    before_weight: float = 0.3
    """Share of the outer objective that is earned in the episode itself, before adaptation."""
    credit: float = 0.0
    """Discount of later rewards in the episode: what an offer earns by what it teaches. Offers
    teach nothing where the principal reads rewards only."""

    def __post_init__(self) -> None:
        for name in ("features", "updates", "agents", "most_interactions", "inner_steps"):
            errors.check_at_least(name, getattr(self, name), 1)
        for name in ("episodes", "queries"):
            errors.check_at_least(name, getattr(self, name), 2)
        errors.check_positive("inner_learning_rate", self.inner_learning_rate)
        errors.check_positive("outer_learning_rate", self.outer_learning_rate)
        errors.check_non_negative("entropy", self.entropy)
        errors.check_in_range("before_weight", self.before_weight, 0.0, 1.0)
        errors.check_in_range("credit", self.credit, 0.0, 1.0)

    @property
    def principal(self) -> OfferPrincipal:
        """The MLP of this game's sizes."""
        sizes = (self.game.observation_size, self.game.num_interventions)
        return offer_principal(*sizes, self.features)


class OfferState(NamedTuple):
    """What is learned: updates done, the network and its inner rates, the state of Adam."""

    update: jax.Array
    params: meta.MetaSGDParams
    optimizer: Any


def make_adapt(config: LearningConfig) -> meta.Adapt:
    """Makes ``adapt(params, (played, n)) -> network params``: REINFORCE, summed over interactions.

    It learns from the first ``n`` of those played. The baseline of an interaction is the mean
    reward of the others; alone, it has none.
    """
    principal = config.principal

    def loss(network: Any, support: tuple[Interactions, jax.Array]) -> jax.Array:
        played, number = support
        used = (jnp.arange(played.reward.shape[0]) < number).astype(jnp.float32)
        outputs = principal.outputs(network, played.observation)
        log_probs = principal.law.natural(outputs, played.intervention)
        rewards = played.reward * used
        others = (jnp.sum(rewards) - rewards) / jnp.maximum(jnp.sum(used) - 1.0, 1.0)
        return losses.reinforce_loss(log_probs, (rewards - others) * used)

    return meta.meta_sgd(loss, config.inner_steps, longest_gradient=LONG_GRADIENT)


def make_trainer(config: LearningConfig, is_meta: bool) -> Trainer:
    """Binds a config into training; its data are the `Economics` of the agents that are drawn.

    Args:
      config: static.
      is_meta: with the inner loop, or without.
    """
    rate = config.outer_learning_rate
    schedule = optax.linear_schedule(rate, 0.01 * rate, config.updates)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))

    def init(key: chex.PRNGKey) -> OfferState:
        network = config.principal.init_params(key)
        params = meta.init_meta_sgd(network, config.inner_learning_rate)
        return OfferState(jnp.int32(0), params, optimizer.init(params))

    def update(key: chex.PRNGKey, state: OfferState, economics: Economics):
        share = state.update / max(config.updates - 1, 1)
        entropy = config.entropy * jnp.maximum(1.0 - share / ENTROPY_UNTIL, 0.0)
        grads, reward = outer_gradient(key, config, state.params, economics, is_meta, entropy)
        updates, following = optimizer.update(grads, state.optimizer, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        return OfferState(state.update + 1, params, following), {"query_reward": reward}

    return Trainer(init, update)


def outer_gradient(
    key: chex.PRNGKey,
    config: LearningConfig,
    params: meta.MetaSGDParams,
    economics: Economics,
    is_meta: bool,
    entropy: chex.Numeric = 0.0,
) -> tuple[meta.MetaSGDParams, jax.Array]:
    """Estimates the gradient of the outer objective, and the mean reward of the queries.

    The inner rates serve the second term alone; their part of the gradient is not weighted by
    ``1 - w``.

    Args:
      key: typed key, consumed.
      config: sizes.
      params: the network and its inner rates.
      economics: of the agents that are drawn.
      is_meta: whether queries are made after the inner loop; static.
      entropy: weight of the entropy bonus.
    """
    key_tasks, key_play, key_number, key_state, key_query = jax.random.split(key, 5)
    total, principal = config.agents * config.episodes, config.principal
    split = lambda k: jax.random.split(k, total)  # noqa: E731
    draw = lambda k: draw_stackelberg_task(k, config.game.num_arms, economics)  # noqa: E731
    agents = jax.vmap(draw)(jax.random.split(key_tasks, config.agents))
    tasks = jax.tree.map(lambda x: jnp.repeat(x, config.episodes, axis=0), agents)
    play = lambda k, t: interact(k, config.game, principal.principal, params.params, t)  # noqa: E731
    played = jax.vmap(play)(split(key_play), tasks)
    # log(1 + n) is uniform.
    span = jnp.log1p(jnp.float32(config.most_interactions))
    number = jnp.expm1(jax.random.uniform(key_number, (total,), jnp.float32) * span)
    number = number.astype(jnp.int32)
    states = jax.vmap(state_after)(split(key_state), played.states, number, tasks)
    _, after, queries = meta.maml_gradient(
        make_adapt(config) if is_meta else (lambda params, support: params.params),
        functools.partial(_query_loss, config, entropy),
        jax.vmap(functools.partial(_query, config)),
        _centred,
        params,
        (played, number),
        (split(key_query), tasks, states),
    )
    before = jax.grad(lambda n: _before_loss(config, entropy, n, played))(params.params)
    mix = lambda a, b: (1.0 - config.before_weight) * a + config.before_weight * b  # noqa: E731
    grads = after._replace(params=jax.tree.map(mix, after.params, before))
    return grads, jnp.mean(queries[2])


def _query(config: LearningConfig, network: Any, setting: tuple[Any, Task, StackelbergState]):
    """Offers to one agent after the inner loop, and what they earn."""
    key, task, state = setting
    observation = summarise_state(config.game, state, task)

    def one(key: chex.PRNGKey):
        key_act, key_answer = jax.random.split(key)
        act = config.principal.principal.act
        intervention, _, _ = act(key_act, network, (), observation)
        return intervention, payoff(key_answer, config.game, intervention, task)

    return observation, *jax.vmap(one)(jax.random.split(key, config.queries))


def _centred(data: Any) -> Any:
    observation, interventions, rewards = data
    baseline = jax.vmap(losses.leave_one_out_baseline)(rewards)
    return observation, interventions, rewards - baseline


def _query_loss(config: LearningConfig, entropy: chex.Numeric, network: Any, query: Any):
    observation, interventions, advantages = query
    outputs = config.principal.outputs(network, observation)
    every = jnp.broadcast_to(outputs, (config.queries, *outputs.shape))
    log_probs = config.principal.law.log_prob(every, interventions)
    bonus = entropy * config.principal.law.entropy(outputs)
    return losses.reinforce_loss(log_probs, advantages) / config.queries - bonus


def _before_loss(
    config: LearningConfig, entropy: chex.Numeric, network: Any, played: Interactions
) -> jax.Array:
    """REINFORCE on the episodes themselves, per interaction, ``config.credit`` for what follows."""
    to_go = jax.vmap(losses.rewards_to_go, (0, None))(played.reward, config.credit)
    grouped = to_go.reshape(config.agents, config.episodes, -1)
    baseline = jax.vmap(losses.leave_one_out_baseline)(grouped).reshape(to_go.shape)
    outputs = config.principal.outputs(network, played.observation)
    log_probs = config.principal.law.log_prob(outputs, played.intervention)
    loss = jnp.mean(jax.vmap(losses.reinforce_loss)(log_probs, to_go - baseline))
    return loss / to_go.shape[1] - entropy * jnp.mean(config.principal.law.entropy(outputs))
