"""Gibbs moves of what may go on in a UCB agent's mind, given its actions.

A particle holds the estimate after each step, each arm's mean reward and ``beta``. Its posterior
is, but for the prior, normal, and cut off by one linear constraint for each action and other arm:
the index of the chosen one was the greatest. The moves draw each part given the others, which
leaves that posterior as it is.

Source: Geweke (1991), Gibbs draws of truncated normals.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

_TAIL = 4.0
"""Standard deviations from which on a truncated normal is drawn by its tail."""


class UCBPrior(NamedTuple):
    """What the observer takes for granted; what it is told lies between two equal bounds.

    Attributes:
      noise: scalar ``sigma > 0``, standard deviation of the reward noise.
      reward_low: least base mean reward, scalar or one for each arm, ``[A]``.
      reward_high: greatest base mean reward, likewise.
      beta_low: least exploration coefficient, scalar.
      beta_high: greatest exploration coefficient, scalar.
    """

    noise: jax.Array | float = 0.1
    reward_low: jax.Array | float = 0.0
    reward_high: jax.Array | float = 1.0
    beta_low: jax.Array | float = 0.1
    beta_high: jax.Array | float = 0.75


class History(NamedTuple):
    """What all particles share; a step that has not come yet is masked where it matters."""

    action: jax.Array  # [T]
    bonus: jax.Array  # [T] what the reward of the pulled arm was raised by
    last: jax.Array  # [T, A] the last pull of each arm before each step; 0 if there is none
    counts: jax.Array  # [T, A] pulls before each step
    width: jax.Array  # [T, A] sqrt(ln t / n), the width of each confidence interval over beta
    previous: jax.Array  # [T] the pull of the same arm before; 0 if there is none
    following: jax.Array  # [T] the pull of the same arm after; T if there is none


class Particle(NamedTuple):
    """One particle.

    Attributes:
      estimates: ``[T]``, the estimate of the pulled arm after each step.
      rewards: ``[A]`` base mean rewards.
      beta: scalar.
    """

    estimates: jax.Array
    rewards: jax.Array
    beta: jax.Array


def upper_index(particle: Particle, history: History, time: jax.Array) -> jax.Array:
    """Computes upper indices ``[A]`` before one step, or ``[T, A]`` if ``time`` is ``[T]``.

    Example:
      >>> particle = Particle(estimates=jnp.array([0.25, 0.5]), rewards=jnp.zeros(2), beta=0.5)
      >>> history = History(*[jnp.zeros(2)] * 7)._replace(width=jnp.ones((2, 2)))
      >>> history = history._replace(last=jnp.array([[0, 0], [0, 1]]))
      >>> upper_index(particle, history, 1).tolist()
      [0.75, 1.0]
    """
    return particle.estimates[history.last[time]] + particle.beta * history.width[time]


def sweep(
    key: chex.PRNGKey,
    particle: Particle,
    history: History,
    used: jax.Array,
    present: jax.Array,
    prior: UCBPrior,
) -> Particle:
    """Makes one Gibbs sweep: every arm as a whole, every estimate, all mean rewards, ``beta``.

    Args:
      key: typed key, consumed.
      particle: the particle.
      history: what was seen.
      used: ``[T]`` bool, the steps whose action is evidence, none of them to come.
      present: the last step whose pull has been made; every arm has been pulled by then.
      prior: of the observer, bounds of rewards arm by arm.

    Example:
      >>> arm, after, last = *jnp.int32([[0, 1, 1], [3, 2, 3]]), jnp.int32([[0, 0], [0, 0], [0, 1]])
      >>> seen = History(arm, 0 * arm, last, jnp.tri(3, 2, -1), jnp.ones((3, 2)), last[:, 1], after)
      >>> was, known = Particle(arm / 1, jnp.ones(2), 0.5), UCBPrior(0.1, jnp.zeros(2), jnp.ones(2))
      >>> now = jax.jit(sweep)(jax.random.key(0), was, seen, last[:, 1] > 0, 2, known)
      >>> int(upper_index(now, seen, 2).argmax())  # still what was done
      1
    """
    key_shift, key_estimate, key_reward, key_beta = jax.random.split(key, 4)

    def shift(arm: jax.Array, particle: Particle) -> Particle:
        return _shift_arm(jax.random.fold_in(key_shift, arm), particle, history, used, arm, prior)

    def estimate(time: jax.Array, particle: Particle) -> Particle:
        drawn = jax.random.fold_in(key_estimate, time)
        return _redraw_estimate(drawn, particle, history, used, time, present, prior)

    particle = jax.lax.fori_loop(0, history.last.shape[1], shift, particle)
    particle = jax.lax.fori_loop(0, present + 1, estimate, particle)
    rewards = _redraw_rewards(key_reward, particle, history, present, prior)
    beta = _redraw_beta(key_beta, particle, history, used, prior)
    return particle._replace(rewards=rewards, beta=beta)


def _shift_arm(
    key: chex.PRNGKey,
    particle: Particle,
    history: History,
    used: jax.Array,
    arm: jax.Array,
    prior: UCBPrior,
) -> Particle:
    """Moves an arm's estimates with its mean reward, which leaves their likelihood as it is."""
    arms, steps = jnp.arange(history.last.shape[1]), jnp.arange(history.last.shape[0])
    chosen = history.action
    index = upper_index(particle, history, steps)
    others = jnp.max(jnp.where(arms == arm, -jnp.inf, index), axis=1)
    slack = others - index[:, arm]  # of the chosen arm, where that is another
    least = jnp.max(jnp.where(used & (chosen == arm), slack, -jnp.inf))
    most = jnp.min(jnp.where(used & (chosen != arm), slack, jnp.inf))
    lowest, highest = jnp.asarray(prior.reward_low)[arm], jnp.asarray(prior.reward_high)[arm]
    least = jnp.maximum(least, lowest - particle.rewards[arm])
    most = jnp.minimum(most, highest - particle.rewards[arm])
    uniform = jax.random.uniform(key, dtype=jnp.float32)
    by = jnp.where(least < most, least + (most - least) * uniform, 0.0)
    return particle._replace(
        estimates=particle.estimates + by * (chosen == arm),
        rewards=particle.rewards + by * (arms == arm),
    )


def _redraw_estimate(
    key: chex.PRNGKey,
    particle: Particle,
    history: History,
    used: jax.Array,
    time: jax.Array,
    present: jax.Array,
    prior: UCBPrior,
) -> Particle:
    """Draws the estimate that followed one pull, given those of the pulls before and after."""
    horizon, num_arms = history.last.shape
    arms, steps, chosen = jnp.arange(num_arms), jnp.arange(horizon), history.action
    arm, after = chosen[time], jnp.minimum(history.following[time], horizon - 1)
    is_followed = history.following[time] <= present
    in_force = used & (history.last[:, arm] == time)
    lead = history.width[steps, chosen] - history.width[:, arm]
    bound = particle.estimates[history.last[steps, chosen]] + particle.beta * lead
    most = jnp.min(jnp.where(in_force & (chosen != arm), bound, jnp.inf))
    others = jnp.max(jnp.where(arms == arm, -jnp.inf, upper_index(particle, history, after)))
    least = others - particle.beta * history.width[after, arm]
    least = jnp.where(is_followed & used[after], least, -jnp.inf)
    number = history.counts[time, arm].astype(jnp.float32) + 1.0
    mean = particle.rewards[arm] + history.bonus
    from_before = particle.estimates[history.previous[time]] * (number - 1.0) + mean[time]
    from_after = particle.estimates[after] * (number + 1.0) - mean[after]
    total = jnp.where(is_followed, 0.5 * (from_before + from_after), from_before)
    spread = jnp.where(is_followed, jnp.sqrt(0.5), 1.0) * prior.noise / number
    drawn = truncated_normal(key, total / number, spread, least, most)
    return particle._replace(estimates=particle.estimates.at[time].set(drawn))


def _redraw_rewards(
    key: chex.PRNGKey, particle: Particle, history: History, present: jax.Array, prior: UCBPrior
) -> jax.Array:
    """Draws the mean rewards ``[A]``, given the rewards that the estimates stand for."""
    horizon, num_arms = history.last.shape
    steps = jnp.arange(horizon)
    pulls = (history.action[:, None] == jnp.arange(num_arms)) & (steps <= present)[:, None]
    number = jnp.sum(pulls, axis=0).astype(jnp.float32)
    latest = jnp.max(jnp.where(pulls, steps[:, None], 0), axis=0)
    total = particle.estimates[latest] * number - jnp.sum(pulls * history.bonus[:, None], axis=0)
    number = jnp.maximum(number, 1.0)
    return jax.vmap(truncated_normal)(
        jax.random.split(key, num_arms),
        total / number,
        prior.noise / jnp.sqrt(number),
        prior.reward_low,
        prior.reward_high,
    )


def _redraw_beta(
    key: chex.PRNGKey, particle: Particle, history: History, used: jax.Array, prior: UCBPrior
) -> jax.Array:
    """Draws the coefficient: uniform where every action of the evidence is the one it calls for."""
    steps, chosen = jnp.arange(history.last.shape[0]), history.action
    # beta (width of the chosen - width of another) >= estimate of the other - of the chosen
    own = history.last[steps, chosen]
    gap = history.width[steps, chosen][:, None] - history.width
    need = particle.estimates[history.last] - particle.estimates[own][:, None]
    ratio = need / jnp.where(gap == 0, 1.0, gap)
    least = jnp.max(jnp.where(used[:, None] & (gap > 0), ratio, prior.beta_low))
    most = jnp.min(jnp.where(used[:, None] & (gap < 0), ratio, prior.beta_high))
    least, most = jnp.maximum(least, prior.beta_low), jnp.minimum(most, prior.beta_high)
    drawn = least + (most - least) * jax.random.uniform(key, dtype=jnp.float32)
    return jnp.where(least < most, drawn, particle.beta)


def truncated_normal(
    key: chex.PRNGKey,
    mean: jax.Array | float,
    spread: jax.Array | float,
    least: jax.Array | float,
    most: jax.Array | float,
) -> jax.Array:
    """Draws a normal within ``[least, most]``, far out of its tail; the middle if that is empty.

    Example:
      >>> draw = truncated_normal(jax.random.key(0), 0.0, 1.0, 5.0, 6.0)
      >>> 5.0 <= float(draw) <= 6.0
      True
    """
    low, high = (least - mean) / spread, (most - mean) / spread
    key_body, key_tail = jax.random.split(key)
    body = jax.random.truncated_normal(
        key_body,
        jnp.clip(low, -_TAIL - 1, _TAIL),
        jnp.clip(high, -_TAIL, _TAIL + 1),
        dtype=jnp.float32,
    )
    above = low > 0
    near, far = jnp.where(above, low, -high), jnp.where(above, high, -low)
    rate = jnp.maximum(near, 1.0)
    uniform = jax.random.uniform(key_tail, dtype=jnp.float32)
    reach = -jnp.expm1(-rate * (far - near))
    tail = near - jnp.log1p(-uniform * reach) / rate
    drawn = jnp.where(near > _TAIL, jnp.where(above, tail, -tail), body)
    inside = jnp.clip(mean + spread * drawn, least, most)
    return jnp.where(least < most, inside, 0.5 * (least + most))
