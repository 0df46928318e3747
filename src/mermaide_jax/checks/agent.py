"""What every learning rule promises, see `base.Agent`."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.base import Agent, Params
from mermaide_jax.checks import trees
from mermaide_jax.checks.functions import (
    check_carry,
    check_function,
    check_remade,
    check_shapes,
)
from mermaide_jax.checks.law import check_law
from mermaide_jax.errors import ContractError


def check_agent(
    agent: Agent,
    params: Params,
    *,
    key: chex.PRNGKey | None = None,
    remake: Callable[[], Agent] | None = None,
    num_draws: int = 2_000,
) -> None:
    """Checks that a learning rule keeps every promise of `base.Agent`.

    A few steps are played with random offers, on random rewards and on rewards that are all equal;
    before the first step, among the initial pulls and later, each function is checked by
    `check_function`, and the law of ``act`` by `check_law`:

        probabilities(params, state, offer)[a] = P(act(key, params, state, offer) = a)

    and the renaming of arms by ``order``, after the same steps by the new names:

        probabilities(permute(params, order), state', offer[order])
            = probabilities(params, state, offer)[order],   and so for the estimates

    Args:
      agent: the rule.
      params: those of one agent, best with another value for each arm.
      key: typed key, consumed; None: a fixed one.
      remake: makes the same agent anew from equal arguments, which must give an equal one.
      num_draws: how often ``act`` is drawn in each of the six states.

    Raises:
      ContractError: the first promise that is broken; see `mermaide_jax.checks`.

    Example:
      >>> check_agent(agents.ucb(3), agents.UCBParams(beta=0.3))
      >>> biased = agents.ucb(3)._replace(act=lambda key, params, state, offer: jnp.int32(0))
      >>> check_agent(biased, agents.UCBParams(beta=0.3))
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: act breaks 'law': got frequencies [1. 0. 0.], expected ...
    """
    params = jax.tree.map(jnp.asarray, params)
    key_play, key_functions, key_law, key_names = jax.random.split(
        jax.random.key(0) if key is None else key, 4
    )
    num_arms = _check_forms(agent, params)
    check_remade("the agent", agent, remake)
    met = _situations(key_play, agent, params, num_arms)
    _check_functions(key_functions, agent, met)
    _check_act(key_law, agent, met, num_draws)
    _check_permutation(key_names, agent, params, num_arms)


def _check_forms(agent: Agent, params: Params) -> int:
    """Shapes and dtypes of all functions, and what is carried; gives the number of arms."""
    form = jax.ShapeDtypeStruct
    key, action, reward = jax.random.key(0), form((), jnp.int32), form((), jnp.float32)
    state = check_shapes("init", agent.init, params)
    check_carry("init", state, state)
    estimates = check_shapes("estimates", agent.estimates, params, state)
    if not hasattr(estimates, "shape") or len(estimates.shape) != 1 or estimates.shape[0] < 2:
        raise ContractError("estimates", "shapes", trees.describe(estimates), "float32[A], A >= 2")
    arms = form(estimates.shape, jnp.float32)
    check_shapes("estimates", agent.estimates, params, state, like=arms)
    check_shapes("act", agent.act, key, params, state, arms, like=action)
    check_shapes("probabilities", agent.probabilities, params, state, arms, like=arms)
    following = check_shapes("update", agent.update, params, state, action, reward)
    check_carry("update", state, following)
    order = form(estimates.shape, jnp.int32)
    check_shapes("permute", agent.permute, params, order, like=trees.forms(params))
    return estimates.shape[0]


def _situations(key: chex.PRNGKey, agent: Agent, params: Params, num_arms: int) -> Any:
    """Params, states and offers before the first step, at the third and after the first pulls.

    Met twice: on random rewards, and on equal ones, which leave ties.
    """
    key_offers, key_rewards, key_play = jax.random.split(key, 3)
    length = 2 * num_arms + 1
    offers = jax.random.uniform(key_offers, (length, num_arms), jnp.float32)
    drawn = jax.random.normal(key_rewards, (length, num_arms), jnp.float32)

    @jax.jit
    @jax.vmap
    def states(key: chex.PRNGKey, rewards: jax.Array):
        def step(carry, seen):
            key, state = carry
            key, key_act = jax.random.split(key)
            offer, row = seen
            action = agent.act(key_act, params, state, offer)
            return (key, agent.update(params, state, action, row[action])), state

        return jax.lax.scan(step, (key, agent.init(params)), (offers, rewards))[1]

    met = states(jax.random.split(key_play), jnp.stack([drawn, jnp.zeros_like(drawn)]))
    moments = np.array([0, 2, length - 1])
    at = lambda leaf: jnp.concatenate(leaf[:, moments])  # noqa: E731
    both = jnp.concatenate([offers[moments]] * 2)
    return trees.repeat(params, both.shape[0]), jax.tree.map(at, met), both


def _check_functions(key: chex.PRNGKey, agent: Agent, met: Any) -> None:
    """Purity, keys, jit, vmap and traces of each function."""
    params, states, offers = met
    number, num_arms = offers.shape
    key_act, key_order = jax.random.split(key)
    actions = check_function("act", agent.act, jax.random.split(key_act, number), *met)
    check_function("init", agent.init, params)
    check_function("update", agent.update, params, states, actions, offers[:, 0])
    check_function("estimates", agent.estimates, params, states)
    check_function("probabilities", agent.probabilities, *met)
    names = jnp.arange(num_arms, dtype=jnp.int32)
    shuffle = lambda k: jax.random.permutation(k, names)  # noqa: E731
    orders = jax.vmap(shuffle)(jax.random.split(key_order, number))
    check_function("permute", agent.permute, params, orders)


def _check_act(key: chex.PRNGKey, agent: Agent, met: Any, num_draws: int) -> None:
    """That actions are arms, drawn by the law that the agent tells."""

    @jax.jit
    @jax.vmap
    def draw(key: chex.PRNGKey, params: Params, state: Any, offer: jax.Array):
        one = lambda k: agent.act(k, params, state, offer)  # noqa: E731
        law = agent.probabilities(params, state, offer)
        return law, jax.vmap(one)(jax.random.split(key, num_draws))

    number = met[-1].shape[0]
    for law, actions in zip(*draw(jax.random.split(key, number), *met), strict=True):
        check_law("act", law, actions)


def _check_permutation(key: chex.PRNGKey, agent: Agent, params: Params, num_arms: int) -> None:
    """That an agent with its arms renamed does the same by the new names."""
    keys = jax.random.split(key, 3)
    length = 2 * num_arms + 1
    actions = jax.random.randint(keys[0], (length,), 0, num_arms, jnp.int32)
    rewards = jax.random.normal(keys[1], (length,), jnp.float32)
    offers = jax.random.uniform(keys[2], (length, num_arms), jnp.float32)
    # A turn by one is its own inverse for no A but 2: it tells an order from its inverse.
    order = jnp.roll(jnp.arange(num_arms, dtype=jnp.int32), -1)

    @jax.jit
    def follow(params: Params, actions: jax.Array, offers: jax.Array):
        def step(state: Any, seen: Any):
            action, reward, offer = seen
            told = agent.estimates(params, state), agent.probabilities(params, state, offer)
            return agent.update(params, state, action, reward), told

        return jax.lax.scan(step, agent.init(params), (actions, rewards, offers))[1]

    renamed = follow(agent.permute(params, order), jnp.argsort(order)[actions], offers[:, order])
    expected = [told[:, order] for told in follow(params, actions, offers)]
    for name, got, same in zip(("estimates", "probabilities"), renamed, expected, strict=True):
        if (found := trees.difference(got, same)) is not None:
            shown = "the same by the new names after permute"
            raise ContractError(name, "permutation", found, shown)
    back = agent.permute(agent.permute(params, order), jnp.argsort(order))
    if (found := trees.difference(back, params)) is not None:
        shown = "the former params after the inverse order"
        raise ContractError("permute", "permutation", found, shown)
