"""Testing principals on agents they never met: payoff against the number of interactions.

The payoff after ``n`` interactions is that of the most likely offer made then, an exact number for
each agent: the agent has no noise of its own. The interactions themselves are explored, with offers
sampled from the policy, and count whatever they earn.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

from mermaide_jax import losses
from mermaide_jax.base import Task
from mermaide_jax.games.equilibrium import equilibrium
from mermaide_jax.games.stackelberg import (
    StackelbergState,
    draw_stackelberg_task,
    start_state,
    summarise_state,
)
from mermaide_jax.games.tasks import Economics
from mermaide_jax.principals.offers import OfferPrincipal
from mermaide_jax.studies.stackelberg.config import LearningConfig
from mermaide_jax.studies.stackelberg.learning import (
    RATE_SCALE,
    Params,
    make_adapt,
    to_support,
)
from mermaide_jax.studies.stackelberg.play import (
    Answer,
    answer,
    interact,
    make_principal,
    state_after,
)


class Curve(NamedTuple):
    """Means over the test agents, against the number of interactions.

    Attributes:
      payoff: ``[C]`` float32, of the most likely offer.
      bonus_error: ``[C]`` float32, distance of the bonus on the target to the equilibrium's.
      equilibrium: float32 scalar, payoff of the equilibrium.
    """

    payoff: jax.Array
    bonus_error: jax.Array
    equilibrium: jax.Array


def _curve(config: LearningConfig, answers: Answer, tasks: Task) -> Curve:
    """`Curve` of the answers ``[N, C]`` of ``N`` agents."""
    best = jax.vmap(lambda task: equilibrium(task, config.game))(tasks)
    error = jnp.abs(answers.bonus - best.bonus[:, None])
    return Curve(jnp.mean(answers.reward, 0), jnp.mean(error, 0), jnp.mean(best.payoff))


def draw_agents(
    key: chex.PRNGKey, config: LearningConfig, economics: Economics, num_agents: int
) -> Task:
    """``N`` agents of the endless distribution, leading axis ``N``; ``key`` is consumed."""
    draw = lambda k: draw_stackelberg_task(k, config.game.num_arms, economics)  # noqa: E731
    return jax.vmap(draw)(jax.random.split(key, num_agents))


def _greedy(
    key: chex.PRNGKey,
    config: LearningConfig,
    principal: OfferPrincipal,
    network: Any,
    state: StackelbergState,
    task: Task,
) -> Answer:
    """The most likely offer, and what it earns."""
    observation = summarise_state(config.game, state, task)
    return answer(key, config.game, principal.greedy(network, observation), task)


def curve_of_trained(
    key: chex.PRNGKey,
    config: LearningConfig,
    params: Params,
    tasks: Task,
    interactions: Sequence[int],
) -> Curve:
    """A trained principal: it explores ``T`` interactions, adapts on the first ``n`` of them.

    Args:
      key: typed key, consumed.
      config: static; interactions beyond its horizon add readings only.
      params: as of `init_params`; with `with_inner_rate` 0 it remembers but does not adapt.
      tasks: ``N`` agents it has never met.
      interactions: the ``C`` numbers ``n``.
    """
    principal = make_principal(config.game, config.features)
    adapt = make_adapt(principal, config.inner_steps)
    numbers = jnp.asarray(interactions, jnp.int32)

    def one_agent(key: chex.PRNGKey, task: Task) -> Answer:
        key_play, key_after = jax.random.split(key)
        played = interact(key_play, config.game, principal, params["network"], task)

        def after(key: chex.PRNGKey, number: jax.Array) -> Answer:
            key_state, key_answer = jax.random.split(key)
            state = state_after(key_state, played.states, number, task)
            network = adapt(params, to_support(played, number))
            return _greedy(key_answer, config, principal, network, state, task)

        return jax.vmap(after)(jax.random.split(key_after, len(interactions)), numbers)

    answers = jax.vmap(one_agent)(jax.random.split(key, tasks.target.shape[0]), tasks)
    return _curve(config, answers, tasks)


def with_inner_rate(params: Params, rate: chex.Numeric) -> Params:
    """The params with one inner rate for all weights; 0 does not adapt.

    Args:
      params: as of `init_params`.
      rate: float scalar, at least 0.
    """
    log_rate = jnp.log(jnp.asarray(rate, jnp.float32)) / RATE_SCALE
    log_rates = jax.tree.map(lambda x: jnp.full_like(x, log_rate), params["log_rates"])
    return {**params, "log_rates": log_rates}


def curve_of_fresh(
    key: chex.PRNGKey,
    config: LearningConfig,
    tasks: Task,
    rate: jax.Array | float,
    updates: int,
    batch: int,
) -> Curve:
    """A fresh principal for each agent, which learns from that agent alone by REINFORCE.

    One step of Adam after every ``batch`` interactions, on their rewards less the mean of the
    others' (`losses.leave_one_out_baseline`).

    Args:
      key: typed key, consumed.
      config: static.
      tasks: ``N`` agents.
      rate: learning rate of Adam.
      updates: number of steps, ``C - 1``.
      batch: interactions between them, at least 2.

    Returns:
      Curve after ``0, batch, 2 batch, ...`` interactions, ``C = updates + 1``.
    """
    principal = make_principal(config.game, config.features)
    optimizer = optax.adam(rate)

    def one_agent(key: chex.PRNGKey, task: Task) -> Answer:
        key_init, key_first, key = jax.random.split(key, 3)
        network = principal.init_params(key_init)
        state = start_state(config.game.num_arms)
        first = _greedy(key_first, config, principal, network, state, task)

        def update(carry, _):
            key, network, opt_state, state = carry
            key, key_play, key_greedy = jax.random.split(key, 3)
            played = interact(key_play, config.game, principal, network, task, state, batch)
            baseline = losses.leave_one_out_baseline(played.reward[:, None])[:, 0]

            def loss(network):
                log_probs = principal.log_prob(network, played.observation, played.intervention)
                return losses.reinforce_loss(log_probs, played.reward - baseline) / batch

            updates, opt_state = optimizer.update(jax.grad(loss)(network), opt_state)
            network = optax.apply_updates(network, updates)
            state = jax.tree.map(lambda x: x[-1], played.states)
            after = _greedy(key_greedy, config, principal, network, state, task)
            return (key, network, opt_state, state), after

        carry = (key, network, optimizer.init(network), state)
        _, later = jax.lax.scan(update, carry, length=updates)
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)

    answers = jax.vmap(one_agent)(jax.random.split(key, tasks.target.shape[0]), tasks)
    return _curve(config, answers, tasks)
