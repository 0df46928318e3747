"""Training the principals of the Stackelberg experiment: with the inner loop, and without.

Both see the same agents, the same number of interactions and the same objective,

    w L_before(theta) + (1 - w) E_n[ L_query(theta'; s_n) ]    theta' = inner loop on n of them

each term by REINFORCE with a leave-one-out baseline; the pre-trained principal has theta' = theta.
Nothing but what the principal could know of an agent enters: its own offers and what they earned.
"""

import math
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import losses, meta
from mermaide_jax.base import Task
from mermaide_jax.games.stackelberg import StackelbergState, draw_stackelberg_task, summarise_state
from mermaide_jax.games.tasks import Economics
from mermaide_jax.principals.offers import OfferPrincipal
from mermaide_jax.studies.stackelberg.config import LearningConfig
from mermaide_jax.studies.stackelberg.play import (
    Interactions,
    answer,
    interact,
    make_principal,
    state_after,
)

Params = dict[str, Any]

RATE_SCALE = 5.0
"""Inner rates are ``exp(5 x)``, so that Adam moves them five times as fast as weights."""
ENTROPY_UNTIL = 0.7
"""Share of the updates after which the entropy bonus, which falls linearly, is gone."""
_LONG_GRADIENT = 10.0


class Support(NamedTuple):
    """What the inner loop learns from: the first ``n`` of the interactions with one agent.

    Attributes:
      observation: ``[T, O]`` float32.
      intervention: ``[T]``.
      reward: ``[T]`` float32.
      used: ``[T]`` float32, 1 for the first ``n``, else 0.
    """

    observation: jax.Array
    intervention: jax.Array
    reward: jax.Array
    used: jax.Array


def to_support(played: Interactions, number: jax.Array) -> Support:
    """The first ``number`` interactions, as the inner loop takes them."""
    used = (jnp.arange(played.reward.shape[0]) < number).astype(jnp.float32)
    return Support(played.observation, played.intervention, played.reward, used)


def bounded_sgd(log_rates: Any) -> optax.GradientTransformation:
    """SGD with a rate for each leaf and a bounded step: ``-rate_l g_l / sqrt(1 + |g|^2 / G^2)``.

    Beyond ``G = 10`` a longer gradient makes the step hardly longer. The bound is smooth, also at a
    zero gradient, so that the meta-gradient passes.

    Args:
      log_rates: logarithms, a float32 scalar in the place of each leaf; may be traced.
    """

    def update(updates: Any, params: Any) -> Any:
        del params
        squares = sum(jnp.sum(g**2) for g in jax.tree.leaves(updates))
        bound = jax.lax.rsqrt(1.0 + squares / _LONG_GRADIENT**2)
        return jax.tree.map(lambda log_rate, g: -jnp.exp(log_rate) * bound * g, log_rates, updates)

    return optax.stateless(update)


def make_adapt(principal: OfferPrincipal, num_steps: int) -> meta.Adapt:
    """Returns ``adapt(params, support) -> network params``: REINFORCE, summed over interactions.

    The baseline of an interaction is the mean reward of the others; alone, it has none.

    Args:
      principal: who adapts.
      num_steps: SGD steps.

    Returns:
      ``adapt`` for params as of `init_params` and a `Support`.
    """

    def loss(network: Any, support: Support) -> jax.Array:
        log_probs = principal.natural(network, support.observation, support.intervention)
        rewards, number = support.reward * support.used, jnp.sum(support.used)
        others = (jnp.sum(rewards) - rewards) / jnp.maximum(number - 1.0, 1.0)
        return losses.reinforce_loss(log_probs, (rewards - others) * support.used)

    def adapt(params: Params, support: Support) -> Any:
        log_rates = jax.tree.map(lambda x: RATE_SCALE * x, params["log_rates"])
        adapt_network = meta.inner_loop(loss, bounded_sgd(log_rates), num_steps)
        return adapt_network(params["network"], support)

    return adapt


def init_params(key: chex.PRNGKey, config: LearningConfig) -> Params:
    """A fresh principal ``network`` and ``log_rates``: logarithms of its inner rates, over 5."""
    network = make_principal(config.game, config.features).init_params(key)
    log_rate = math.log(config.inner_learning_rate) / RATE_SCALE
    return {
        "network": network,
        "log_rates": jax.tree.map(lambda _: jnp.float32(log_rate), network),
    }


class _Setting(NamedTuple):
    """What the queries after one episode need.

    Attributes:
      key: typed key.
      task: the agent.
      state: what the principal knows by then.
    """

    key: chex.PRNGKey
    task: Task
    state: StackelbergState


def outer_gradient(
    key: chex.PRNGKey,
    config: LearningConfig,
    params: Params,
    economics: Economics,
    is_meta: bool,
    entropy: chex.Numeric = 0.0,
) -> tuple[Params, jax.Array]:
    """One estimate of the gradient of the outer objective, and the mean reward of the queries.

    The inner rates serve the second term alone; their part of the gradient is not weighted by
    ``1 - w``.

    Args:
      key: typed key, consumed.
      config: sizes.
      params: as of `init_params`.
      economics: of the agents that are drawn.
      is_meta: whether queries are made after the inner loop; static.
      entropy: weight of the entropy bonus.
    """
    principal = make_principal(config.game, config.features)
    key_tasks, key_play, key_number, key_state, key_query = jax.random.split(key, 5)
    tasks = _draw_tasks(key_tasks, config, economics)
    total = config.agents * config.episodes
    network = params["network"]
    played = jax.vmap(lambda k, t: interact(k, config.game, principal, network, t))(
        jax.random.split(key_play, total), tasks
    )
    number = _draw_numbers(key_number, config, total)
    states = jax.vmap(state_after)(jax.random.split(key_state, total), played.states, number, tasks)
    settings = _Setting(jax.random.split(key_query, total), tasks, states)
    support = jax.vmap(to_support)(played, number)
    inner = make_adapt(principal, config.inner_steps)
    adapt = inner if is_meta else (lambda params, support: params["network"])
    _, after, queries = meta.maml_gradient(
        adapt, *_queries(config, principal, entropy), params, support, settings
    )
    before = jax.grad(lambda n: _before_loss(config, principal, n, played, entropy))(network)
    weight = config.before_weight
    grads = {
        "network": jax.tree.map(
            lambda a, b: (1.0 - weight) * a + weight * b, after["network"], before
        ),
        "log_rates": after["log_rates"],
    }
    return grads, jnp.mean(queries[2])


def _draw_tasks(key: chex.PRNGKey, config: LearningConfig, economics: Economics) -> Task:
    """``[agents * episodes]`` tasks: each agent once for each of its episodes."""
    draw = lambda k: draw_stackelberg_task(k, config.game.num_arms, economics)  # noqa: E731
    tasks = jax.vmap(draw)(jax.random.split(key, config.agents))
    return jax.tree.map(lambda x: jnp.repeat(x, config.episodes, axis=0), tasks)


def _draw_numbers(key: chex.PRNGKey, config: LearningConfig, total: int) -> jax.Array:
    """Interactions before the queries: ``log(1 + n)`` is uniform; ``[total]`` int32."""
    span = jnp.log1p(jnp.float32(config.most_interactions))
    uniform = jax.random.uniform(key, (total,), jnp.float32)
    return jnp.expm1(uniform * span).astype(jnp.int32)


def _queries(
    config: LearningConfig, principal: OfferPrincipal, entropy: chex.Numeric
) -> tuple[Any, Any, Any]:
    """Outer loss, play and prepare, as `meta.maml_gradient` takes them."""

    def outer_loss(network, observation, interventions, advantages):
        observations = jnp.broadcast_to(observation, (config.queries, *observation.shape))
        log_probs = principal.log_prob(network, observations, interventions)
        bonus = entropy * principal.entropy(network, observation)
        return losses.reinforce_loss(log_probs, advantages) / config.queries - bonus

    def query(network, setting: _Setting):
        observation = summarise_state(config.game, setting.state, setting.task)

        def one(key):
            key_act, key_answer = jax.random.split(key)
            intervention, _, _ = principal.principal.act(key_act, network, (), observation)
            return intervention, answer(key_answer, config.game, intervention, setting.task).reward

        return observation, *jax.vmap(one)(jax.random.split(setting.key, config.queries))

    def prepare(data):
        observation, interventions, rewards = data
        baseline = jax.vmap(losses.leave_one_out_baseline)(rewards)
        return observation, interventions, rewards - baseline

    return outer_loss, jax.vmap(query), prepare


def _before_loss(
    config: LearningConfig,
    principal: OfferPrincipal,
    network: Any,
    played: Interactions,
    entropy: chex.Numeric,
) -> jax.Array:
    """REINFORCE on the episodes themselves, per interaction, ``config.credit`` for what follows."""
    to_go = jax.vmap(losses.rewards_to_go, (0, None))(played.reward, config.credit)
    grouped = to_go.reshape(config.agents, config.episodes, -1)
    baseline = jax.vmap(losses.leave_one_out_baseline)(grouped).reshape(to_go.shape)
    log_probs = principal.log_prob(network, played.observation, played.intervention)
    loss = jnp.mean(jax.vmap(losses.reinforce_loss)(log_probs, to_go - baseline))
    bonus = entropy * jnp.mean(principal.entropy(network, played.observation))
    return loss / to_go.shape[1] - bonus


def train(
    key: chex.PRNGKey, config: LearningConfig, economics: Economics, is_meta: bool
) -> tuple[Params, jax.Array]:
    """Trains one principal; batch over seeds and terms with ``vmap``.

    Args:
      key: typed key, consumed.
      config: static.
      economics: of the training agents, leaves may be swept.
      is_meta: with the inner loop, or without; static.

    Returns:
      its params, and the mean reward of the queries in each update, ``[updates]`` float32.
    """
    optimizer = _optimizer(config)
    key_init, key = jax.random.split(key)
    params = init_params(key_init, config)

    def update(carry, entropy):
        key, params, state = carry
        key, key_update = jax.random.split(key)
        grads, reward = outer_gradient(key_update, config, params, economics, is_meta, entropy)
        updates, state = optimizer.update(grads, state, params)
        following: Any = optax.apply_updates(params, updates)
        return (key, following, state), reward

    carry = (key, params, optimizer.init(params))
    share = jnp.linspace(0.0, 1.0, config.updates, dtype=jnp.float32)
    entropies = config.entropy * jnp.maximum(1.0 - share / ENTROPY_UNTIL, 0.0)
    (_, params, _), rewards = jax.lax.scan(update, carry, entropies)
    return params, rewards


def _optimizer(config: LearningConfig) -> optax.GradientTransformation:
    """Adam with a clipped gradient and a rate that falls linearly to a hundredth."""
    rate = config.outer_learning_rate
    schedule = optax.linear_schedule(rate, 0.01 * rate, config.updates)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
