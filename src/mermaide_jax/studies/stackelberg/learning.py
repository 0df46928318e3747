"""Training the principals of the Stackelberg experiment: with the inner loop, and without.

Both see the same agents, the same number of interactions and the same objective,

    w L_before(theta) + (1 - w) E_n[ L_query(theta'; s_n) ]    theta' = inner loop on n of them

each term by REINFORCE with a leave-one-out baseline; the pre-trained principal has theta' = theta.
Nothing but what the principal could know of an agent enters: its own offers and what they earned.
"""

import dataclasses
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import errors, losses, meta
from mermaide_jax.games import Economics, StackelbergConfig, stackelberg
from mermaide_jax.principals import OfferPrincipal, offer_principal
from mermaide_jax.training import Trainer, descend

ENTROPY_UNTIL = 0.7  # share of the updates after which the entropy bonus, falling linearly, is gone
LONG_GRADIENT = 10.0  # longer inner gradients make hardly longer steps (`meta.sgd_with_rates`)


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """The static side of training and testing in one game; equal configs share one program."""

    game: StackelbergConfig = dataclasses.field(default_factory=StackelbergConfig)
    features: int = 64  # hidden units of the principal's one layer
    updates: int = 1500  # outer updates, for both principals alike
    agents: int = 32  # drawn afresh for each update
    episodes: int = 2  # with each agent in each update
    queries: int = 6  # offers after each episode: how good has the principal become?
    most_interactions: int = 100_000  # before the queries; how many is drawn log-uniformly
    inner_steps: int = 1  # SGD steps of the inner loop, on the interactions played one by one
    inner_learning_rate: float = 1e-4  # before training; it is learned along
    outer_learning_rate: float = 5e-3  # of Adam at first; it falls linearly to a hundredth
    entropy: float = 0.05  # bonus at first: narrowed too soon, it gives up agents that are dear
    before_weight: float = 0.3  # share of the objective that the episode itself earns
    credit: float = 0.0  # discount of later rewards; offers teach nothing if rewards are read

    def __post_init__(self) -> None:
        for name in ("features", "updates", "agents", "most_interactions", "inner_steps"):
            errors.check_at_least(name, getattr(self, name), 1)
        for name in ("episodes", "queries"):
            errors.check_at_least(name, getattr(self, name), 2)
        for name in ("inner_learning_rate", "outer_learning_rate"):
            errors.check_positive(name, getattr(self, name))
        errors.check_non_negative("entropy", self.entropy)
        for name in ("before_weight", "credit"):
            errors.check_in_range(name, getattr(self, name), 0.0, 1.0)

    @property
    def principal(self) -> OfferPrincipal:
        """The MLP of this game's sizes."""
        sizes = (self.game.observation_size, self.game.num_interventions)
        return offer_principal(*sizes, self.features)


def make_adapt(config: LearningConfig) -> meta.Adapt:
    """Makes ``adapt(params, (played, n)) -> network params``: REINFORCE, summed over interactions.

    It learns from the first ``n`` of those played. The baseline of an interaction is the mean
    reward of the others; alone, it has none.

    Example:
      >>> config = LearningConfig(game=StackelbergConfig(kind="binary", horizon=4), features=3)
      >>> params = meta.init_meta_sgd(config.principal.init_params(jax.random.key(0)), 0.1)
      >>> seen, offers = jnp.ones((4, config.game.observation_size)), jnp.asarray([0, 1, 0, 1])
      >>> played = stackelberg.Interactions(seen, offers, offers.astype(jnp.float32), None)
      >>> less, more = jax.jit(make_adapt(config))(params, (played, 4))["head"]["bias"]
      >>> bool(less < 0 < more)  # what earned more is offered more often
      True
    """

    def loss(network: Any, support: tuple[stackelberg.Interactions, jax.Array]) -> jax.Array:
        played, number = support
        used = (jnp.arange(played.reward.shape[0]) < number).astype(jnp.float32)
        outputs = config.principal.outputs(network, played.observation)
        log_probs = config.principal.law.natural(outputs, played.intervention)
        rewards = played.reward * used
        others = (jnp.sum(rewards) - rewards) / jnp.maximum(jnp.sum(used) - 1.0, 1.0)
        return losses.reinforce_loss(log_probs, (rewards - others) * used)

    return meta.meta_sgd(loss, config.inner_steps, longest_gradient=LONG_GRADIENT)


def make_trainer(config: LearningConfig, is_meta: bool) -> Trainer:
    """Makes the trainer, with the inner loop or without.

    Its data are the `Economics` of the agents that are drawn.

    Example:
      >>> trainer = make_trainer(LearningConfig(features=3, agents=2), True)
      >>> state = trainer.init(jax.random.key(0))
      >>> _, metrics = jax.eval_shape(trainer.update, jax.random.key(1), state, Economics())
      >>> "query_reward" in metrics
      True
    """
    rate = config.outer_learning_rate
    schedule = optax.linear_schedule(rate, 0.01 * rate, config.updates)

    def init(key: chex.PRNGKey) -> meta.MetaSGDParams:
        return meta.init_meta_sgd(config.principal.init_params(key), config.inner_learning_rate)

    def gradient(key: chex.PRNGKey, params: Any, update: jax.Array, economics: Economics):
        share = update / max(config.updates - 1, 1)
        entropy = config.entropy * jnp.maximum(1.0 - share / ENTROPY_UNTIL, 0.0)
        grads, reward = outer_gradient(key, config, params, economics, is_meta, entropy)
        return grads, {"query_reward": reward}

    return descend(
        init, gradient, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    )


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
    ``1 - w``. ``is_meta`` (static): whether queries are made after the inner loop; ``entropy`` is
    the weight of the bonus.

    Example:
      >>> config = LearningConfig(game=StackelbergConfig(kind="binary"), features=3, agents=2)
      >>> params = meta.init_meta_sgd(config.principal.init_params(jax.random.key(0)), 0.1)
      >>> gradient = lambda key: outer_gradient(key, config, params, Economics(), True)
      >>> grads, reward = jax.eval_shape(gradient, jax.random.key(1))
      >>> jax.tree.structure(grads) == jax.tree.structure(params), reward.shape
      (True, ())
    """
    key_tasks, key_play, key_number, key_state, key_query = jax.random.split(key, 5)
    total, own = config.agents * config.episodes, (config.game, config.principal.principal)
    split = lambda k: jax.random.split(k, total)  # noqa: E731
    draw = lambda k: stackelberg.draw_stackelberg_task(k, config.game.num_arms, economics)  # noqa: E731
    agents = jax.vmap(draw)(jax.random.split(key_tasks, config.agents))
    tasks = jax.tree.map(lambda x: jnp.repeat(x, config.episodes, axis=0), agents)
    play = lambda k, task: stackelberg.interact(k, *own, params.params, task)  # noqa: E731
    played = jax.vmap(play)(split(key_play), tasks)
    # log(1 + n) is uniform.
    span = jnp.log1p(jnp.float32(config.most_interactions))
    number = jnp.expm1(jax.random.uniform(key_number, (total,), jnp.float32) * span)
    number = number.astype(jnp.int32)
    after = jax.vmap(stackelberg.state_after)(split(key_state), played.states, number, tasks)
    _, grads, queries = meta.maml_gradient(
        make_adapt(config) if is_meta else (lambda params, support: params.params),
        functools.partial(_query_loss, config, entropy),
        jax.vmap(functools.partial(_query, config)),
        _centred,
        params,
        (played, number),
        (split(key_query), tasks, after),
    )
    before = jax.grad(lambda n: _before_loss(config, entropy, n, played))(params.params)
    mix = lambda a, b: (1.0 - config.before_weight) * a + config.before_weight * b  # noqa: E731
    return grads._replace(params=jax.tree.map(mix, grads.params, before)), jnp.mean(queries[2])


def _query(config: LearningConfig, network: Any, setting: Any):
    """Offers to one agent after the inner loop, and what they earn."""
    key, task, state = setting
    observation = stackelberg.summarise_state(config.game, state, task)

    def one(key: chex.PRNGKey):
        key_act, key_answer = jax.random.split(key)
        offer, _, _ = config.principal.principal.act(key_act, network, (), observation)
        return offer, stackelberg.payoff(key_answer, config.game, offer, task)

    return observation, *jax.vmap(one)(jax.random.split(key, config.queries))


def _centred(data: Any) -> Any:
    observation, offers, rewards = data
    return observation, offers, rewards - jax.vmap(losses.leave_one_out_baseline)(rewards)


def _query_loss(config: LearningConfig, entropy: chex.Numeric, network: Any, query: Any):
    observation, offers, advantages = query
    outputs, law = config.principal.outputs(network, observation), config.principal.law
    every = jnp.broadcast_to(outputs, (config.queries, *outputs.shape))
    loss = losses.reinforce_loss(law.log_prob(every, offers), advantages)
    return loss / config.queries - entropy * law.entropy(outputs)


def _before_loss(config: LearningConfig, entropy: chex.Numeric, network: Any, played: Any):
    """REINFORCE on the episodes themselves, per interaction, ``config.credit`` for what follows."""
    to_go = jax.vmap(losses.rewards_to_go, (0, None))(played.reward, config.credit)
    grouped = to_go.reshape(config.agents, config.episodes, -1)
    baseline = jax.vmap(losses.leave_one_out_baseline)(grouped).reshape(to_go.shape)
    outputs, law = config.principal.outputs(network, played.observation), config.principal.law
    log_probs = law.log_prob(outputs, played.intervention)
    loss = jnp.mean(jax.vmap(losses.reinforce_loss)(log_probs, to_go - baseline))
    return loss / to_go.shape[1] - entropy * jnp.mean(law.entropy(outputs))
