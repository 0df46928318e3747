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

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks
from mermaide_jax.agents.ucb import ucb_width

_TAIL = 4.0
"""Standard deviations from which on a truncated normal is drawn by its tail."""

_MAX_RETRIES = 20
"""Sweeps in search of a particle that foresaw the action."""


class UCBPrior(NamedTuple):
    """What the observer takes for granted; scalars.

    Attributes:
      noise: ``sigma > 0``, standard deviation of the reward noise.
      reward_low: least base mean reward.
      reward_high: greatest base mean reward.
      beta_low: least exploration coefficient.
      beta_high: greatest exploration coefficient.
    """

    noise: jax.Array | float = 0.1
    reward_low: jax.Array | float = 0.0
    reward_high: jax.Array | float = 1.0
    beta_low: jax.Array | float = 0.1
    beta_high: jax.Array | float = 0.75


class _History(NamedTuple):
    """What all particles share; a step that has not come yet is masked where it matters."""

    action: jax.Array  # [T]
    bonus: jax.Array  # [T] what the reward of the pulled arm was raised by
    last: jax.Array  # [T, A] the last pull of each arm before each step; 0 if there is none
    counts: jax.Array  # [T, A] pulls before each step
    width: jax.Array  # [T, A] sqrt(ln t / n), the width of each confidence interval over beta
    previous: jax.Array  # [T] the pull of the same arm before; 0 if there is none
    following: jax.Array  # [T] the pull of the same arm after; T if there is none


class _Mind(NamedTuple):
    """One particle.

    Attributes:
      estimates: ``[T]``, the estimate of the pulled arm after each step.
      rewards: ``[A]`` base mean rewards.
      beta: scalar.
    """

    estimates: jax.Array
    rewards: jax.Array
    beta: jax.Array


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
    known = UCBPrior(*map(jnp.float32, UCBPrior() if prior is None else prior))
    history = _history(action, bonus, num_arms)
    horizon = action.shape[0]
    key_start, key_steps = jax.random.split(key)

    def sweeps(key, minds: _Mind, used: jax.Array, present: jax.Array, number) -> _Mind:
        move = jax.vmap(lambda k, mind: _sweep(k, mind, history, used, present, known))

        def body(i, minds):
            keys = jax.random.split(jax.random.fold_in(key, i), num_particles)
            return move(keys, minds)

        return jax.lax.fori_loop(0, number, body, minds)

    def step(carry, time):
        minds, used, key = carry
        key, key_retry, key_pick, key_draw, key_move = jax.random.split(key, 5)
        tried = jnp.all(history.counts[time] > 0)
        chosen = history.action[time]

        def foreseen(minds: _Mind) -> jax.Array:
            return jnp.argmax(jax.vmap(lambda m: _index(m, history, time))(minds), axis=-1)

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


def _history(action: jax.Array, bonus: jax.Array, num_arms: int) -> _History:
    horizon = action.shape[0]
    steps = jnp.arange(horizon)
    pulled = action[:, None] == jnp.arange(num_arms)
    counts = jnp.cumsum(pulled, axis=0) - pulled
    before = jnp.where(pulled, steps[:, None], -1)
    latest = jax.lax.cummax(before, axis=0)
    last = jnp.concatenate([jnp.full((1, num_arms), -1), latest[:-1]])
    same = (action[:, None] == action) & (steps > steps[:, None])
    return _History(
        action=action,
        bonus=jnp.asarray(bonus, jnp.float32),
        last=jnp.maximum(last, 0),
        counts=counts,
        width=jax.vmap(ucb_width)(counts),
        previous=jnp.maximum(last[steps, action], 0),
        following=jnp.min(jnp.where(same, steps, horizon), axis=1),
    )


def _first(key: chex.PRNGKey, horizon: int, num_arms: int, prior: UCBPrior) -> _Mind:
    """A draw from the prior."""
    key_rewards, key_beta = jax.random.split(key)
    uniform = jax.random.uniform(key_rewards, (num_arms,), jnp.float32)
    return _Mind(
        estimates=jnp.zeros((horizon,), jnp.float32),
        rewards=prior.reward_low + (prior.reward_high - prior.reward_low) * uniform,
        beta=jax.random.uniform(
            key_beta, (), jnp.float32, minval=prior.beta_low, maxval=prior.beta_high
        ),
    )


def _index(mind: _Mind, history: _History, time: jax.Array) -> jax.Array:
    """Upper confidence indices ``[A]`` before one step, or ``[T, A]`` if ``time`` is ``[T]``."""
    return mind.estimates[history.last[time]] + mind.beta * history.width[time]


def _shares(arms: jax.Array, num_arms: int) -> jax.Array:
    counts = jnp.sum(arms[:, None] == jnp.arange(num_arms), axis=0).astype(jnp.float32)
    return (counts + 0.5) / (arms.shape[0] + 0.5 * num_arms)


def _untried(history: _History, time: jax.Array) -> jax.Array:
    untried = (history.counts[time] == 0).astype(jnp.float32)
    return untried / jnp.maximum(jnp.sum(untried), 1.0)


def _resample(key: chex.PRNGKey, fit: jax.Array) -> jax.Array:
    """Systematic resampling of the particles that fit, ``[P]`` int32."""
    number = fit.shape[0]
    heights = jnp.cumsum(fit.astype(jnp.float32))
    marks = (jnp.arange(number) + jax.random.uniform(key)) * (heights[-1] / number)
    return jnp.minimum(jnp.searchsorted(heights, marks, side="right"), number - 1)


def _pull(
    key: chex.PRNGKey, mind: _Mind, history: _History, time: jax.Array, prior: UCBPrior
) -> _Mind:
    """The estimate that follows a pull, with a reward from the particle's own arm."""
    arm = history.action[time]
    before = history.counts[time, arm].astype(jnp.float32)
    reward = mind.rewards[arm] + history.bonus[time] + prior.noise * jax.random.normal(key)
    total = mind.estimates[history.previous[time]] * before + reward
    return mind._replace(estimates=mind.estimates.at[time].set(total / (before + 1.0)))


def _sweep(
    key: chex.PRNGKey,
    mind: _Mind,
    history: _History,
    used: jax.Array,
    present: jax.Array,
    prior: UCBPrior,
) -> _Mind:
    """One Gibbs sweep.

    Args:
      key: typed key, consumed.
      mind: the particle.
      history: what was seen.
      used: ``[T]`` bool, the steps whose action is evidence, none of them to come.
      present: the last step whose pull has been made; every arm has been pulled by then.
      prior: of the observer.
    """
    key_shift, key_estimate, key_reward, key_beta = jax.random.split(key, 4)
    horizon, num_arms = history.last.shape
    arms, steps = jnp.arange(num_arms), jnp.arange(horizon)
    chosen = history.action

    def shift(arm: jax.Array, mind: _Mind) -> _Mind:
        # All rewards of the arm move with its mean, which leaves their likelihood as it is.
        index = _index(mind, history, steps)
        others = jnp.max(jnp.where(arms == arm, -jnp.inf, index), axis=1)
        slack = others - index[:, arm]  # of the chosen arm, where that is another
        least = jnp.max(jnp.where(used & (chosen == arm), slack, -jnp.inf))
        most = jnp.min(jnp.where(used & (chosen != arm), slack, jnp.inf))
        least = jnp.maximum(least, prior.reward_low - mind.rewards[arm])
        most = jnp.minimum(most, prior.reward_high - mind.rewards[arm])
        uniform = jax.random.uniform(jax.random.fold_in(key_shift, arm))
        by = jnp.where(least < most, least + (most - least) * uniform, 0.0)
        return mind._replace(
            estimates=mind.estimates + by * (chosen == arm),
            rewards=mind.rewards + by * (arms == arm),
        )

    def estimate(time: jax.Array, mind: _Mind) -> _Mind:
        arm, after = chosen[time], jnp.minimum(history.following[time], horizon - 1)
        is_followed = history.following[time] <= present
        in_force = used & (history.last[:, arm] == time)
        lead = history.width[steps, chosen] - history.width[:, arm]
        bound = mind.estimates[history.last[steps, chosen]] + mind.beta * lead
        most = jnp.min(jnp.where(in_force & (chosen != arm), bound, jnp.inf))
        others = jnp.max(jnp.where(arms == arm, -jnp.inf, _index(mind, history, after)))
        least = others - mind.beta * history.width[after, arm]
        least = jnp.where(is_followed & used[after], least, -jnp.inf)
        number = history.counts[time, arm].astype(jnp.float32) + 1.0
        mean = mind.rewards[arm] + history.bonus
        from_before = mind.estimates[history.previous[time]] * (number - 1.0) + mean[time]
        from_after = mind.estimates[after] * (number + 1.0) - mean[after]
        total = jnp.where(is_followed, 0.5 * (from_before + from_after), from_before)
        spread = jnp.where(is_followed, jnp.sqrt(0.5), 1.0) * prior.noise / number
        drawn = _truncated_normal(
            jax.random.fold_in(key_estimate, time), total / number, spread, least, most
        )
        return mind._replace(estimates=mind.estimates.at[time].set(drawn))

    mind = jax.lax.fori_loop(0, num_arms, shift, mind)
    mind = jax.lax.fori_loop(0, present + 1, estimate, mind)

    pulls = (chosen[:, None] == arms) & (steps <= present)[:, None]
    number = jnp.sum(pulls, axis=0).astype(jnp.float32)
    latest = jnp.max(jnp.where(pulls, steps[:, None], 0), axis=0)
    total = mind.estimates[latest] * number - jnp.sum(pulls * history.bonus[:, None], axis=0)
    number = jnp.maximum(number, 1.0)
    rewards = jax.vmap(_truncated_normal, (0, 0, 0, None, None))(
        jax.random.split(key_reward, num_arms),
        total / number,
        prior.noise / jnp.sqrt(number),
        prior.reward_low,
        prior.reward_high,
    )

    # beta (width of the chosen - width of another) >= estimate of the other - of the chosen
    own = history.last[steps, chosen]
    gap = history.width[steps, chosen][:, None] - history.width
    need = mind.estimates[history.last] - mind.estimates[own][:, None]
    ratio = need / jnp.where(gap == 0, 1.0, gap)
    least = jnp.max(jnp.where(used[:, None] & (gap > 0), ratio, prior.beta_low))
    most = jnp.min(jnp.where(used[:, None] & (gap < 0), ratio, prior.beta_high))
    least, most = jnp.maximum(least, prior.beta_low), jnp.minimum(most, prior.beta_high)
    drawn = least + (most - least) * jax.random.uniform(key_beta)
    return mind._replace(rewards=rewards, beta=jnp.where(least < most, drawn, mind.beta))


def _truncated_normal(
    key: chex.PRNGKey,
    mean: jax.Array | float,
    spread: jax.Array | float,
    least: jax.Array | float,
    most: jax.Array | float,
) -> jax.Array:
    """A normal draw within ``[least, most]``, far out of its tail; the middle if that is empty."""
    low, high = (least - mean) / spread, (most - mean) / spread
    key_body, key_tail = jax.random.split(key)
    body = jax.random.truncated_normal(
        key_body, jnp.clip(low, -_TAIL - 1, _TAIL), jnp.clip(high, -_TAIL, _TAIL + 1)
    )
    above = low > 0
    near, far = jnp.where(above, low, -high), jnp.where(above, high, -low)
    rate = jnp.maximum(near, 1.0)
    uniform = jax.random.uniform(key_tail)
    reach = -jnp.expm1(-rate * (far - near))
    tail = near - jnp.log1p(-uniform * reach) / rate
    drawn = jnp.where(near > _TAIL, jnp.where(above, tail, -tail), body)
    inside = jnp.clip(mean + spread * drawn, least, most)
    return jnp.where(least < most, inside, 0.5 * (least + most))
