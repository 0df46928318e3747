"""A learned principal that plans through its world model: what follows, with and without paying?

The policy says what is usually done. Before each step the principal also plays on in its mind, with
its own world model for the agent and its own policy for itself, and departs from its policy where
that earns surely more: a step of policy improvement by the model that it has learned (a rollout
algorithm). Nothing is trained, and nothing is seen but what the principal sees anyway.

Source: Tesauro and Galperin (1997); Bertsekas, Tsitsiklis and Wu (1997).
"""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax._jax.distributions import Categorical
from mermaide_jax.base import Principal
from mermaide_jax.games import GameConfig, num_interventions, observed_target, respond
from mermaide_jax.networks.world_model_policy import Params
from mermaide_jax.principals import LearnedPrincipal


class Planner(NamedTuple):
    """Params of `planning`.

    Attributes:
      base: params of the learned principal, adapted or not.
      cost: scalar ``c`` of the game.
    """

    base: Params
    cost: chex.Numeric


def surely_better(worth: jax.Array, usual: jax.Array, margin: chex.Numeric = 1.0) -> jax.Array:
    """Chooses what to do, if each intervention was imagined ``M`` times by the same draws.

    The usual one, unless another is worth more by more than some standard errors of the difference:
    else the noise of the imagined would cost more than planning gains.

    The error is that of the imagined episodes as they are, ``std / sqrt(M)`` without the ``M - 1``
    of an estimate from a sample, as in all results on record. So with few episodes it is too small
    (for ``M = 2`` by a factor of 0.7, for ``M = 16`` of 0.97) and more passes as sure than should;
    with a single one, which callers refuse, any gain would.

    Args:
      worth: ``[U, M]`` float32, ``M >= 2``, what was earned.
      usual: int32 scalar, what is done if nothing is surely better.
      margin: scalar, how many.

    Returns:
      int32 scalar.

    Example:
      >>> worth = jnp.array([[1.0, 1.0], [2.0, 2.1]])
      >>> int(surely_better(worth, usual=jnp.int32(0)))
      1
    """
    gain = worth - worth[usual]
    error = jnp.std(gain, axis=-1) / math.sqrt(worth.shape[-1])
    # The usual choice gains nothing, by any error; another one must gain more than its error.
    sure = jnp.mean(gain, axis=-1) - margin * error
    return jnp.argmax(sure.at[usual].set(0.0)).astype(jnp.int32)


@memoize
def planning(
    config: GameConfig, learned: LearnedPrincipal, num_rollouts: int, margin: float = 1.5
) -> Principal:
    """Does what the policy does, unless the other choice is `surely_better` in imagined episodes.

    A payment changes nothing unless the agent takes the target, which it does with the probability
    ``p`` of the world model whether it is paid for or not. So the worth of paying is

        w_m = p (V_m(paid) - V_m(not paid)) - c,    V_m = what is earned after that, by draws m

    and only what follows a hit is imagined: ``M`` episodes for each choice by the same draws, the
    agent's actions drawn from the world model, the principal's from the policy.

    Args:
      config: the game; interventions are binary, their cost on offer, and targets observed.
      learned: a principal with a world model.
      num_rollouts: ``M``, at least 2.
      margin: how many standard errors are sure enough.

    Returns:
      Principal with params `Planner`; it tells what ``learned`` tells. One decision costs ``M T``
      steps of the networks, on average.

    Raises:
      ConfigError: another game, a principal without a world model, ``num_rollouts`` below 2 or
        ``margin`` below 0.

    Example:
      >>> config = games.GameConfig(num_arms=3, horizon=4)
      >>> networks_of = networks.NetworkConfig(architecture="mlp", features=4)
      >>> learned = principals.learned_principal(networks_of, 7, 3, 2)
      >>> planner = planning(config, learned, num_rollouts=2)
      >>> params = Planner(learned.init_params(jax.random.key(0)), cost=0.75)
      >>> choice, _, _ = planner.act(jax.random.key(1), params, planner.init(params), jnp.zeros(7))
      >>> int(choice) in (0, 1)
      True
    """
    for name, needed in (("kind", "binary"), ("cost_on", "offer"), ("observe_target", True)):
        if getattr(config, name) != needed:
            errors.refuse(name, getattr(config, name), repr(needed))
    if not learned.config.world_model:
        errors.refuse("world_model", False, "True")
    errors.check_at_least("num_rollouts", num_rollouts, 2)
    errors.check_non_negative("margin", margin)
    base, horizon = learned.principal, config.horizon

    def play_on(key, params: Planner, carry, observation, time) -> jax.Array:
        """What is earned in the rest of an episode, the world model in the agent's place."""
        target = observed_target(config, observation)

        def body(time, loop):
            key, carry, observation, earned = loop
            key, key_policy, key_agent = jax.random.split(key, 3)
            choice, carry, said = base.act(key_policy, params.base, carry, observation)
            action = Categorical(logits=said.prediction).sample(seed=key_agent).astype(jnp.int32)
            after = respond(config, action, choice, target, params.cost, time + 1)
            return key, carry, after[0], earned + after[1]

        return jax.lax.fori_loop(time, horizon, body, (key, carry, observation, jnp.float32(0)))[-1]

    def init(params: Planner):
        return base.init(params.base), jnp.int32(0)

    def act(key: chex.PRNGKey, params: Planner, carry, observation: jax.Array):
        inner, time = carry
        key_base, key_imagine = jax.random.split(key)
        usual, inner, said = base.act(key_base, params.base, inner, observation)
        target = observed_target(config, observation)

        def after_hit(choice: jax.Array) -> jax.Array:
            """``[M]``, what is earned after a hit that was paid for, or was not."""
            seen, _ = respond(config, target, choice, target, params.cost, time + 1)
            keys = jax.random.split(key_imagine, num_rollouts)
            return jax.vmap(lambda k: play_on(k, params, inner, seen, time + 1))(keys)

        unpaid, paid = jax.vmap(after_hit)(jnp.arange(num_interventions(config), dtype=jnp.int32))
        worth = jnp.exp(said.prediction[target]) * (paid - unpaid) - params.cost
        choice = surely_better(jnp.stack([jnp.zeros_like(worth), worth]), usual, margin)
        return choice, (inner, time + 1), said

    return Principal(init, act)
