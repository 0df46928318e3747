"""Interactions of a principal with one best-responding agent, played, prolonged and asked for."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax.base import Task
from mermaide_jax.games.stackelberg import (
    StackelbergConfig,
    StackelbergState,
    add_readings,
    decode_share,
    make_stackelberg_game,
    start_state,
    summarise_state,
)
from mermaide_jax.principals.offers import OfferPrincipal, offer_principal


class Interactions(NamedTuple):
    """Interactions with one agent, one after the other.

    Attributes:
      observation: ``[T, O]`` float32, what the principal read before each.
      intervention: ``[T]``, what it did.
      reward: ``[T]`` float32, what it earned.
      states: `StackelbergState` with leading axis ``T + 1``: after 0, 1, ... T of them.
    """

    observation: jax.Array
    intervention: jax.Array
    reward: jax.Array
    states: StackelbergState


class Answer(NamedTuple):
    """What became of one intervention; float32 scalars.

    Attributes:
      reward: what the principal earned.
      bonus: what was offered on the target.
    """

    reward: jax.Array
    bonus: jax.Array


def make_principal(config: StackelbergConfig, features: int) -> OfferPrincipal:
    """The MLP of this game's sizes."""
    return offer_principal(config.observation_size, config.num_interventions, features)


def interact(
    key: chex.PRNGKey,
    config: StackelbergConfig,
    principal: OfferPrincipal,
    params: Any,
    task: Task,
    state: StackelbergState | None = None,
    length: int | None = None,
) -> Interactions:
    """Plays interactions with one agent under fixed params.

    Args:
      key: typed key, consumed.
      config: the game.
      principal: who steers.
      params: its params.
      task: who is steered.
      state: what happened before; None: nothing.
      length: how many; None: ``config.horizon``.
    """
    game = make_stackelberg_game(config)
    start = start_state(config.num_arms) if state is None else state

    def one(carry, _):
        key, state = carry
        key, key_act, key_step = jax.random.split(key, 3)
        observation = summarise_state(config, state, task)
        intervention, _, _ = principal.principal.act(key_act, params, (), observation)
        _, following, reward, _, _, _ = game.step(key_step, state, intervention, task)
        return (key, following), Interactions(observation, intervention, reward, state)

    length = config.horizon if length is None else length
    (_, final), played = jax.lax.scan(one, (key, start), length=length)
    append = lambda several, last: jnp.concatenate([several, last[None]])  # noqa: E731
    return played._replace(states=jax.tree.map(append, played.states, final))


def state_after(
    key: chex.PRNGKey, states: StackelbergState, number: jax.Array, task: Task
) -> StackelbergState:
    """The state after ``number`` interactions; beyond those played, only readings are added.

    Args:
      key: typed key, consumed.
      states: of `Interactions`, leading axis ``T + 1``.
      number: int32 scalar, at least 0.
      task: who is steered.
    """
    played = states.time.shape[0] - 1
    last = jax.tree.map(lambda x: x[jnp.minimum(number, played)], states)
    return add_readings(key, last, jnp.maximum(number - played, 0), task)


def answer(
    key: chex.PRNGKey, config: StackelbergConfig, intervention: jax.Array, task: Task
) -> Answer:
    """What an intervention earns.

    Args:
      key: typed key, consumed.
      config: the game.
      intervention: scalar.
      task: who is steered.
    """
    game = make_stackelberg_game(config)
    _, _, reward, _, _, _ = game.step(key, start_state(config.num_arms), intervention, task)
    share = decode_share(config, intervention, task.target).bonus[task.target]
    return Answer(reward, jnp.asarray(task.bonus * share))
