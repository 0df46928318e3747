"""Principals that follow a rule written by hand: never, always, at random, the first k steps."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Principal
from mermaide_jax.errors import check_at_least, check_given
from mermaide_jax.registry import Parameter, register

PayTarget = Callable[[jax.Array], jax.Array] | None


def _scripted(
    wants_to_pay: Callable[[chex.PRNGKey, Any, jax.Array], jax.Array], pay_target: PayTarget
) -> Principal:
    """Principal that counts the steps and pays the target whenever ``wants_to_pay`` says so."""
    pay = check_given("pay_target", pay_target, "one, of a game in which the target is paid")

    def init(params):
        del params
        return jnp.int32(0)

    def act(key, params, time, observation):
        wants = wants_to_pay(key, params, time)
        intervention = jnp.where(wants, pay(observation), jnp.int32(0))
        return intervention, time + 1, ()

    return Principal(init, act)


@memoize
def random(pay_target: PayTarget) -> Principal:
    """Pays the target with probability ``params`` (scalar in [0, 1]) at every step.

    ``params = 0`` is *never* and ``params = 1`` is *always*.

    Args:
      pay_target: `games.Game.pay_target`.

    Example:
      >>> always = random(lambda observation: jnp.int32(1))
      >>> int(always.act(jax.random.key(0), 1.0, always.init(1.0), jnp.zeros(7))[0])
      1
    """
    return _scripted(
        lambda key, p, time: jax.random.uniform(key, dtype=jnp.float32) < p, pay_target
    )


@memoize
def first_k(pay_target: PayTarget) -> Principal:
    """Pays the target in the first ``params`` (scalar ``k``) steps, then never again.

    Args:
      pay_target: `games.Game.pay_target`.

    Example:
      >>> principal = first_k(lambda observation: jnp.int32(1))
      >>> carry = principal.init(1.0)
      >>> for seed in range(2):  # pays in the first step alone
      ...     choice, carry, _ = principal.act(jax.random.key(seed), 1.0, carry, jnp.zeros(7))
      ...     print(int(choice))
      1
      0
    """
    return _scripted(lambda key, k, time: time < k, pay_target)


@memoize
def random_rate(num_interventions: int) -> Principal:
    """Explores: each episode has its own rate ``p ~ U[0, 1]``; any intervention is as likely.

    Under it a world model meets agents that are never, sometimes and always paid. Its params are
    ignored.

    Args:
      num_interventions: ``U``, see `games.Game`.

    Raises:
      ConfigError: fewer than two, so that there is nothing to explore.

    Example:
      >>> explores = random_rate(num_interventions=2)
      >>> choice, rate, _ = explores.act(jax.random.key(0), (), explores.init(()), jnp.zeros(7))
      >>> 0 <= float(rate) <= 1
      True
    """
    check_at_least("num_interventions", num_interventions, 2)

    def init(params):
        del params
        return jnp.float32(-1.0)  # not yet drawn: `init` has no key

    def act(key, params, rate, observation):
        del params, observation
        key_rate, key_pay, key_which = jax.random.split(key, 3)
        rate = jnp.where(rate < 0, jax.random.uniform(key_rate, dtype=jnp.float32), rate)
        which = jax.random.randint(key_which, (), 1, num_interventions, jnp.int32)
        pay = jax.random.uniform(key_pay, dtype=jnp.float32) < rate
        return jnp.where(pay, which, jnp.int32(0)), rate, ()

    return Principal(init, act)


def _rate(summary: str, rate: float | Callable[..., Any]) -> dict[str, Any]:
    """How a principal that pays at a fixed rate is registered."""
    grid = rate if callable(rate) else (rate,)
    return {"summary": summary, "parameters": (Parameter("rate", grid, high=1.0),), "attained": 0}


register(
    "principal",
    "never",
    lambda game: random(game.pay_target),
    label="Never pay",
    rank=11,
    **_rate("scripted: never pays", 0.0),
)
register(
    "principal",
    "always",
    lambda game: random(game.pay_target),
    label="Always pay",
    rank=12,
    **_rate("scripted: pays at every step", 1.0),
)
register(
    "principal",
    "random",
    lambda game: random(game.pay_target),
    label="Pay at random",
    rank=13,
    **_rate(
        "scripted: pays with a fixed probability (--evaluation.random-rate)",
        lambda game, study: (study.evaluation.random_rate,),
    ),
)
register(
    "principal",
    "first_k",
    lambda game: first_k(game.pay_target),
    label="Pay the first k",
    summary="scripted: pays in the first k steps; best k on the training agents",
    parameters=(Parameter("k", lambda game, study: range(game.horizon + 1)),),
    attained=0,
    rank=14,
)
