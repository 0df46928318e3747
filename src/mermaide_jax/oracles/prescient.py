"""The prescient principal: an upper reference that reads the agent's state and next action."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Principal, Privileged


@memoize
def prescient(pay_target: Callable[[jax.Array], jax.Array]) -> Principal:
    """Pays only when the agent is about to take ``a*`` and leads by less than ``params``.

    The lead of the target is ``Q[a*] - max_{a != a*} Q[a]`` in the agent's own estimates ``Q``. No
    payment is ever wasted on another action, and none is made once the habit stands. It is told
    what no real principal can know, so it is an upper reference, not a competitor.

    Args:
      pay_target: `games.Game.pay_target`.
    """

    def init(params):
        del params
        return ()

    def act(key, threshold, carry, seen: Privileged):
        del key
        estimates, target = seen.preview.estimates, seen.preview.target
        on_target = jnp.arange(estimates.shape[0]) == target
        rival = jnp.max(jnp.where(on_target, -jnp.inf, estimates))
        pay = (seen.preview.action == target) & (estimates[target] - rival < threshold)
        return jnp.where(pay, pay_target(seen.observation), jnp.int32(0)), carry, ()

    return Principal(init, act, privileged=True)
