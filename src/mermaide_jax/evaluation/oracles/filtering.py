"""What a UCB agent's actions tell: the beliefs of an observer who knows all but the agent's mind.

The observer knows that the agent follows UCB, the law of its rewards and the prior

    mu[a] ~ U[low, high],   beta ~ U[beta_low, beta_high],   r_t = mu[a_t] + bonus_t + sigma z_t

but, like a principal, sees the actions alone (and the bonuses, which it paid). Its posterior over
the rewards that the agent has drawn gives the best prediction of the next action that can be made
from actions: what a learned world model lacks beside it is its own fault.

Every action says that the index of one arm was the greatest, so the posterior of the estimates is,
given ``beta``, a normal law cut off by linear constraints. It is followed by particles: each action
keeps the particles that foresaw it, and Gibbs moves, which leave the posterior as it is, drive
those apart again. Moves: each estimate, each arm's mean reward, ``beta``, and all estimates of an
arm together with its mean reward.

Source: Gilks and Berzuini (2001), resample-move; Geweke (1991), Gibbs draws of truncated normals.
"""

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks
from mermaide_jax.agents.ucb import ucb_width
from mermaide_jax.evaluation.oracles.filtering_moves import (
    History,
    Mind,
    UCBPrior,
    sweep,
    upper_index,
)

_MAX_RETRIES = 20
"""Sweeps in search of a particle that foresaw the action."""


def ucb_beliefs(
    key: chex.PRNGKey,
    action: jax.Array,
    bonus: jax.Array,
    num_arms: int,
    prior: UCBPrior | None = None,
    num_particles: int = 256,
    num_sweeps: int = 4,
) -> jax.Array:
    """Probability of each arm at each step, ``P(a_t = a | a_1..a_{t-1}, bonus_1..bonus_{t-1})``.

    Args:
      key: typed key, consumed.
      action: ``[T]`` int32, one episode of a UCB agent, `agents.ucb`.
      bonus: ``[T]`` float32, what the reward of the pulled arm was raised by.
      num_arms: ``A``; static.
      prior: what the observer takes for granted; `UCBPrior` with its defaults if None.
      num_particles: ``P``; static.
      num_sweeps: Gibbs sweeps after each action; static.

    Returns:
      ``[T, A]`` float32, smoothed as if half a particle more had foreseen each arm. Where no
      particle foresees an action in 20 more sweeps, the action is left out of the evidence. Memory
      ``O(P T)``, time ``O(P T^2 (T + A))`` for each sweep.

    Raises:
      ConfigError: ``num_arms`` is below 2, ``num_particles`` or ``num_sweeps`` below 1.

    Source: see the module.
    """
    _checks.check_at_least("num_arms", num_arms, 2)
    _checks.check_at_least("num_particles", num_particles, 1)
    _checks.check_at_least("num_sweeps", num_sweeps, 1)
    known = _arm_by_arm(UCBPrior() if prior is None else prior, num_arms)
    history = _history(action, bonus, num_arms)
    horizon = action.shape[0]
    key_start, key_steps = jax.random.split(key)

    def sweeps(key, minds: Mind, used: jax.Array, present: jax.Array, number) -> Mind:
        move = jax.vmap(lambda k, mind: sweep(k, mind, history, used, present, known))

        def body(i, minds):
            keys = jax.random.split(jax.random.fold_in(key, i), num_particles)
            return move(keys, minds)

        return jax.lax.fori_loop(0, number, body, minds)

    def step(carry, time):
        minds, used, key = carry
        key, key_retry, key_pick, key_draw, key_move = jax.random.split(key, 5)
        tried = jnp.all(history.counts[time] > 0)
        chosen = history.action[time]

        def foreseen(minds: Mind) -> jax.Array:
            return jnp.argmax(jax.vmap(lambda m: upper_index(m, history, time))(minds), axis=-1)

        law = jnp.where(tried, _shares(foreseen(minds), num_arms), _untried(history, time))

        def search(state):
            attempt, minds = state
            again = sweeps(jax.random.fold_in(key_retry, attempt), minds, used, time - 1, 1)
            return attempt + 1, again

        def none_yet(state):
            attempt, minds = state
            return tried & (attempt < _MAX_RETRIES) & ~jnp.any(foreseen(minds) == chosen)

        _, minds = jax.lax.while_loop(none_yet, search, (jnp.int32(0), minds))
        fit = ~tried | (foreseen(minds) == chosen)
        possible = jnp.any(fit)
        picked = _resample(key_pick, jnp.where(possible, fit, True))
        minds = jax.tree.map(lambda leaf: leaf[picked], minds)
        used = used.at[time].set(tried & possible)
        draws = jax.random.split(key_draw, num_particles)
        minds = jax.vmap(lambda k, m: _pull(k, m, history, time, known))(draws, minds)
        minds = sweeps(key_move, minds, used, time, jnp.where(tried, num_sweeps, 0))
        return (minds, used, key), law

    start = jax.vmap(lambda k: _first(k, horizon, num_arms, known))
    minds = start(jax.random.split(key_start, num_particles))
    carry = (minds, jnp.zeros((horizon,), bool), key_steps)
    return jax.lax.scan(step, carry, jnp.arange(horizon))[1]


def _arm_by_arm(prior: UCBPrior, num_arms: int) -> UCBPrior:
    """The same, with bounds of each arm's reward."""
    prior = UCBPrior(*map(jnp.float32, prior))
    low, high = (
        jnp.broadcast_to(bound, (num_arms,)) for bound in (prior.reward_low, prior.reward_high)
    )
    return prior._replace(reward_low=low, reward_high=high)


def _history(action: jax.Array, bonus: jax.Array, num_arms: int) -> History:
    horizon = action.shape[0]
    steps = jnp.arange(horizon)
    pulled = action[:, None] == jnp.arange(num_arms)
    counts = jnp.cumsum(pulled, axis=0) - pulled
    before = jnp.where(pulled, steps[:, None], -1)
    latest = jax.lax.cummax(before, axis=0)
    last = jnp.concatenate([jnp.full((1, num_arms), -1), latest[:-1]])
    same = (action[:, None] == action) & (steps > steps[:, None])
    return History(
        action=action,
        bonus=jnp.asarray(bonus, jnp.float32),
        last=jnp.maximum(last, 0),
        counts=counts,
        width=jax.vmap(ucb_width)(counts),
        previous=jnp.maximum(last[steps, action], 0),
        following=jnp.min(jnp.where(same, steps, horizon), axis=1),
    )


def _first(key: chex.PRNGKey, horizon: int, num_arms: int, prior: UCBPrior) -> Mind:
    """A draw from the prior."""
    key_rewards, key_beta = jax.random.split(key)
    uniform = jax.random.uniform(key_rewards, (num_arms,), jnp.float32)
    return Mind(
        estimates=jnp.zeros((horizon,), jnp.float32),
        rewards=prior.reward_low + (prior.reward_high - prior.reward_low) * uniform,
        beta=jax.random.uniform(
            key_beta, (), jnp.float32, minval=prior.beta_low, maxval=prior.beta_high
        ),
    )


def _shares(arms: jax.Array, num_arms: int) -> jax.Array:
    counts = jnp.sum(arms[:, None] == jnp.arange(num_arms), axis=0).astype(jnp.float32)
    return (counts + 0.5) / (arms.shape[0] + 0.5 * num_arms)


def _untried(history: History, time: jax.Array) -> jax.Array:
    untried = (history.counts[time] == 0).astype(jnp.float32)
    return untried / jnp.maximum(jnp.sum(untried), 1.0)


def _resample(key: chex.PRNGKey, fit: jax.Array) -> jax.Array:
    """Systematic resampling of the particles that fit, ``[P]`` int32."""
    number = fit.shape[0]
    heights = jnp.cumsum(fit.astype(jnp.float32))
    marks = (jnp.arange(number) + jax.random.uniform(key)) * (heights[-1] / number)
    return jnp.minimum(jnp.searchsorted(heights, marks, side="right"), number - 1)


def _pull(
    key: chex.PRNGKey, mind: Mind, history: History, time: jax.Array, prior: UCBPrior
) -> Mind:
    """The estimate that follows a pull, with a reward from the particle's own arm."""
    arm = history.action[time]
    before = history.counts[time, arm].astype(jnp.float32)
    reward = mind.rewards[arm] + history.bonus[time] + prior.noise * jax.random.normal(key)
    total = mind.estimates[history.previous[time]] * before + reward
    return mind._replace(estimates=mind.estimates.at[time].set(total / (before + 1.0)))
