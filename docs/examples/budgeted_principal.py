"""A principal of one's own: it pays every other step until its budget is spent.

mermaide --load docs/examples/budgeted_principal.py reproduce --preset smoke --out results/thrifty
"""

import functools

import jax.numpy as jnp

from mermaide_jax.base import Principal
from mermaide_jax.registry import Parameter, register


@functools.cache  # one principal a game, so that it is compiled once
def budgeted(game):
    """Its params are the budget, scalar: how many payments it may make in an episode."""

    def init(budget):
        return jnp.int32(0), jnp.asarray(budget, jnp.float32)  # time, what is left

    def act(key, budget, carry, observation):
        time, left = carry
        pays = (time % 2 == 0) & (left >= 1)
        intervention = jnp.where(pays, game.pay_target(observation), 0)
        return intervention, (time + 1, jnp.where(pays, left - 1, left)), ()

    return Principal(init, act)


register(
    "principal",
    "budgeted",
    budgeted,
    label="Budget, every other step",
    summary="scripted: pays every other step within a budget; best budget on the training agents",
    parameters=(Parameter("budget", lambda game, study: range(1, 1 + game.horizon // 2)),),
)
