"""A family of all-knowing principals with two numbers, and the best member for each agent."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Game, Principal, Privileged, Task
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.oracles.prescient import LEADS, prescient
from mermaide_jax.principals.scripted import PayTarget

_QUIET_SHARES = (0.02, 0.04, 0.08, 0.16, 0.32)


class Guide(NamedTuple):
    """Which member of the family.

    Attributes:
      lead: float32 scalar, in units of the agent's reward: the target is paid for only while it
        leads by less than this; ``-inf`` never pays.
      quiet: float32 scalar, the last steps of the episode in which nothing is paid.
    """

    lead: chex.Numeric
    quiet: chex.Numeric


@memoize
def guided(pay_target: PayTarget, horizon: int) -> Principal:
    """Makes the prescient principal with a quiet end.

    It pays at step ``t`` (from 0) if and only if the agent is about to take the target,
    ``Q[a*] - max_{a != a*} Q[a] < lead``, and ``T - t > quiet``: late payments buy a habit of which
    little use is left. Its params are a `Guide`; ``quiet = 0`` is `principals.prescient`.

    Args:
      pay_target: `games.Game.pay_target`.
      horizon: ``T``.

    Example:
      >>> guided(lambda observation: jnp.int32(1), horizon=10).privileged
      True
    """
    plain = prescient(pay_target)

    def init(params: Guide) -> jax.Array:
        del params
        return jnp.int32(0)

    def act(key, params: Guide, time: jax.Array, seen: Privileged):
        wanted, _, _ = plain.act(key, params.lead, (), seen)
        pays = (horizon - time).astype(jnp.float32) > params.quiet
        return jnp.where(pays, wanted, jnp.int32(0)), time + 1, ()

    return Principal(init, act, privileged=True)


def guide_grid(horizon: int, bonus: chex.Numeric = 1.0) -> Guide:
    """Lists the members that are tried: every lead without a quiet end, every second with each.

    Leads are those of `leads`; quiet ends are 2, 4, 8, 16 and 32 percent of the episode.

    Args:
      horizon: ``T``.
      bonus: scalar ``delta``.

    Returns:
      Guide with leading axis ``[C]``, float32, ``C = 78``.

    Example:
      >>> guide_grid(horizon=100).lead.shape
      (78,)
    """
    members = [(lead, 0.0) for lead in LEADS]
    members += [(lead, share * horizon) for share in _QUIET_SHARES for lead in LEADS[1:-1:2]]
    lead, quiet = np.asarray(members, np.float32).T
    return Guide(lead=jnp.asarray(bonus, jnp.float32) * lead, quiet=jnp.asarray(quiet))


def tune_each(
    key: chex.PRNGKey,
    game: Game,
    principal: Principal,
    candidates: Any,
    tasks: Task,
    num_episodes: int,
) -> Any:
    """Finds for each agent the candidate with the best mean score on it, tried with the same keys.

    Unlike `evaluation.tuning.tune` this may see the agents that are reported; give it keys other
    than those of the reported episodes, and the scores of the choice are not flattered by it.

    Args:
      key: typed key, consumed.
      game: the game.
      principal: a principal with params like a member of ``candidates``.
      candidates: params with leading axis ``[C]``.
      tasks: ``N`` agents.
      num_episodes: episodes with each agent for each candidate.

    Returns:
      params with leading axis ``[N]``, for `games.collect` with ``params_axis=0``; the first of
      equals.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> dear = games.Economics(cost=100.0)
      >>> tasks = games.finite_tasks(jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, dear)
      >>> game = games.make_intervention_game(agent, config)
      >>> first_k = principals.first_k(game.pay_target)
      >>> tune_each(jax.random.key(1), game, first_k, jnp.arange(5), tasks, 3).tolist()
      [0, 0]
    """

    def scores(candidate: Any) -> jax.Array:
        again = jax.random.clone(key)
        return evaluate(again, game, principal, candidate, tasks, num_episodes).score

    best = jnp.argmax(jax.lax.map(scores, candidates), axis=0)
    return jax.tree.map(lambda leaf: leaf[best], candidates)
