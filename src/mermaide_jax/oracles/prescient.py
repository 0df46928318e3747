"""The prescient principal: an upper reference that reads the agent's state and next action."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Principal, Privileged
from mermaide_jax.errors import check_given
from mermaide_jax.principals.scripted import PayTarget
from mermaide_jax.registry import Parameter, register

LEADS = (-np.inf, *np.round(np.linspace(0.0, 1.0, 21), 2).tolist(), np.inf)
"""Leads that are tried, in units of the bonus: never pays, 0 to 1, always pays."""


@memoize
def prescient(pay_target: PayTarget) -> Principal:
    """Makes a principal that pays only when the agent is about to take ``a*`` and hardly leads.

    The lead of the target is ``Q[a*] - max_{a != a*} Q[a]`` in the agent's own estimates ``Q``. No
    payment is ever wasted on another action, and none is made once the habit stands. It is told
    what no real principal can know, so it is an upper reference, not a competitor.

    Args:
      pay_target: `games.Game.pay_target`.

    Example:
      >>> prescient(lambda observation: jnp.int32(1)).privileged
      True
    """
    pay = check_given("pay_target", pay_target, "one, of a game in which the target is paid")

    def init(params):
        del params
        return ()

    def act(key, threshold, carry, seen: Privileged):
        del key
        estimates, target = seen.preview.estimates, seen.preview.target
        on_target = jnp.arange(estimates.shape[0]) == target
        rival = jnp.max(jnp.where(on_target, -jnp.inf, estimates))
        wants = (seen.preview.action == target) & (estimates[target] - rival < threshold)
        return jnp.where(wants, pay(seen.observation), jnp.int32(0)), carry, ()

    return Principal(init, act, privileged=True)


def leads(bonus: chex.Numeric = 1.0) -> jax.Array:
    """Lists the leads that are tried: ``-inf`` (never pays), 0 to 1 in steps of 0.05, ``inf``.

    Args:
      bonus: scalar ``delta``, their unit.

    Returns:
      ``[23]`` float32, ascending.

    Example:
      >>> leads(bonus=2.0)[:3].tolist()
      [-inf, 0.0, 0.1...]
    """
    return jnp.asarray(bonus, jnp.float32) * np.asarray(LEADS, np.float32)


register(
    "principal",
    "prescient",
    lambda game: prescient(game.pay_target),
    label="Prescient (reads the agent; upper reference)",
    summary="reads the agent's state, pays when it is about to take the target: a reference",
    parameters=(Parameter("lead", lambda game, study: leads(study.game.bonus)),),
    role="reference",
    note="Prescient reads the agent's own state: an upper reference, not a contender.",
    rank=21,
)
