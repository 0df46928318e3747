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

from mermaide_jax import errors
from mermaide_jax.agents.sample_means import SampleMeans
from mermaide_jax.agents.ucb import ucb_width
from mermaide_jax.oracles.filtering_moves import (
    History,
    Particle,
    UCBPrior,
    sweep,
    upper_index,
)

_MAX_RETRIES = 20
"""Sweeps in search of a particle that foresaw the action."""


class Beliefs(NamedTuple):
    """What an observer of one episode thinks possible; ``P`` particles.

    Attributes:
      particles: `Particle` with leading axis ``[P]``.
      action: ``[T]`` int32, the actions seen; -1 for those to come.
      bonus: ``[T]`` float32, what the reward of the pulled arm was raised by.
      used: ``[T]`` bool, the steps whose action is evidence.
      time: int32 scalar, steps seen.
    """

    particles: Particle
    action: jax.Array
    bonus: jax.Array
    used: jax.Array
    time: jax.Array

    @property
    def num_arms(self) -> int:
        """``A``."""
        return self.particles.rewards.shape[-1]


def ucb_beliefs(
    key: chex.PRNGKey,
    action: jax.Array,
    bonus: jax.Array,
    num_arms: int,
    prior: UCBPrior | None = None,
    num_particles: int = 256,
    num_sweeps: int = 4,
) -> jax.Array:
    """Computes how likely each arm is at each step, given the actions and bonuses before it.

    Args:
      key: typed key, consumed. What is said of a longer episode begins with that of the shorter.
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

    Example:
      >>> actions, bonus = jnp.array([0, 1, 2]), jnp.zeros(3)
      >>> beliefs = ucb_beliefs(jax.random.key(0), actions, bonus, num_arms=3, num_particles=8)
      >>> print(np.asarray(beliefs[0]).round(2))  # nothing is known before the first pull
      [0.33 0.33 0.33]
    """
    errors.check_at_least("num_sweeps", num_sweeps, 1)
    prior = UCBPrior() if prior is None else prior
    key_start, key_steps = jax.random.split(key)

    def step(carry, seen):
        beliefs, key = carry
        key, key_observe = jax.random.split(key)
        law = predict(beliefs)
        action, bonus = seen
        return (observe(key_observe, beliefs, action, bonus, prior, num_sweeps), key), law

    start = first_beliefs(key_start, action.shape[0], num_arms, prior, num_particles)
    return jax.lax.scan(step, (start, key_steps), (action, bonus))[1]


def first_beliefs(
    key: chex.PRNGKey, horizon: int, num_arms: int, prior: UCBPrior, num_particles: int
) -> Beliefs:
    """Draws the beliefs before the first step from the prior.

    Args:
      key: typed key, consumed.
      horizon: ``T``; static.
      num_arms: ``A``; static.
      prior: what the observer takes for granted.
      num_particles: ``P``; static.

    Raises:
      ConfigError: ``num_arms`` is below 2 or ``num_particles`` below 1.

    Example:
      >>> prior = UCBPrior()
      >>> first_beliefs(jax.random.key(0), 4, 3, prior, num_particles=8).particles.beta.shape
      (8,)
    """
    errors.check_at_least("num_arms", num_arms, 2)
    errors.check_at_least("num_particles", num_particles, 1)
    known = _arm_by_arm(prior, num_arms)
    draw = jax.vmap(lambda k: _first(k, horizon, num_arms, known))
    return Beliefs(
        particles=draw(jax.random.split(key, num_particles)),
        action=jnp.full((horizon,), -1, jnp.int32),
        bonus=jnp.zeros((horizon,), jnp.float32),
        used=jnp.zeros((horizon,), bool),
        time=jnp.int32(0),
    )


def predict(beliefs: Beliefs) -> jax.Array:
    """Computes how likely each arm is at the coming step, ``[A]``; see `ucb_beliefs`.

    Example:
      >>> prior = UCBPrior()
      >>> beliefs = first_beliefs(jax.random.key(0), 4, 3, prior, num_particles=8)
      >>> print(np.asarray(predict(beliefs)).round(2))
      [0.33 0.33 0.33]
    """
    history = _history(beliefs.action, beliefs.bonus, beliefs.num_arms)
    tried = jnp.all(history.counts[beliefs.time] > 0)
    foreseen = _foreseen(beliefs.particles, history, beliefs.time)
    law = _shares(foreseen, beliefs.num_arms)
    return jnp.where(tried, law, _untried(history, beliefs.time))


def observe(
    key: chex.PRNGKey,
    beliefs: Beliefs,
    action: jax.Array,
    bonus: chex.Numeric,
    prior: UCBPrior,
    num_sweeps: int = 4,
) -> Beliefs:
    """Updates beliefs by one more action: resampling, the pull's reward, and Gibbs moves.

    Args:
      key: typed key, consumed.
      beliefs: before it, of fewer than ``T`` steps.
      action: int32 scalar, what the agent did.
      bonus: scalar, what the reward of that arm was raised by.
      prior: as in `first_beliefs`.
      num_sweeps: Gibbs sweeps.

    Example:
      >>> prior = UCBPrior()
      >>> beliefs = first_beliefs(jax.random.key(0), 4, 3, prior, num_particles=8)
      >>> beliefs = observe(jax.random.key(1), beliefs, jnp.int32(0), 0.0, prior)
      >>> int(beliefs.time)
      1
    """
    known = _arm_by_arm(prior, beliefs.num_arms)
    particles, used, time = beliefs.particles, beliefs.used, beliefs.time
    actions = beliefs.action.at[time].set(action)
    bonuses = beliefs.bonus.at[time].set(jnp.asarray(bonus, jnp.float32))
    history = _history(actions, bonuses, beliefs.num_arms)
    key_retry, key_pick, key_draw, key_move = jax.random.split(key, 4)
    tried = jnp.all(history.counts[time] > 0)

    def sweeps(key, particles: Particle, used: jax.Array, present: jax.Array, number) -> Particle:
        move = jax.vmap(lambda k, particle: sweep(k, particle, history, used, present, known))

        def body(i, particles):
            keys = jax.random.split(jax.random.fold_in(key, i), particles.beta.shape[0])
            return move(keys, particles)

        return jax.lax.fori_loop(0, number, body, particles)

    def search(state):
        attempt, particles = state
        again = sweeps(jax.random.fold_in(key_retry, attempt), particles, used, time - 1, 1)
        return attempt + 1, again

    def none_yet(state):
        attempt, particles = state
        return (
            tried
            & (attempt < _MAX_RETRIES)
            & ~jnp.any(_foreseen(particles, history, time) == action)
        )

    _, particles = jax.lax.while_loop(none_yet, search, (jnp.int32(0), particles))
    fit = ~tried | (_foreseen(particles, history, time) == action)
    possible = jnp.any(fit)
    picked = _resample(key_pick, jnp.where(possible, fit, True))
    particles = jax.tree.map(lambda leaf: leaf[picked], particles)
    used = used.at[time].set(tried & possible)
    draws = jax.random.split(key_draw, fit.shape[0])
    particles = jax.vmap(lambda k, m: _pull(k, m, history, time, known))(draws, particles)
    particles = sweeps(key_move, particles, used, time, jnp.where(tried, num_sweeps, 0))
    return Beliefs(particles, actions, bonuses, used, time + 1)


def agent_states(beliefs: Beliefs) -> SampleMeans:
    """Gives the state of the agent in each particle, leaves ``[P, A]``; that of `agents.ucb`.

    Example:
      >>> prior = UCBPrior()
      >>> beliefs = first_beliefs(jax.random.key(0), 4, 3, prior, num_particles=8)
      >>> agent_states(beliefs).counts.shape
      (8, 3)
    """
    pulled = beliefs.action[:, None] == jnp.arange(beliefs.num_arms)
    counts = jnp.sum(pulled, axis=0).astype(jnp.float32)
    steps = jnp.arange(beliefs.action.shape[0])[:, None]
    latest = jnp.max(jnp.where(pulled, steps, 0), axis=0)
    means = jnp.where(counts > 0, beliefs.particles.estimates[:, latest], 0.0)
    return SampleMeans(jnp.broadcast_to(counts, means.shape), means)


def _foreseen(particles: Particle, history: History, time: jax.Array) -> jax.Array:
    """The arm that each particle takes next, ``[P]``."""
    return jnp.argmax(jax.vmap(lambda m: upper_index(m, history, time))(particles), axis=-1)


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


def _first(key: chex.PRNGKey, horizon: int, num_arms: int, prior: UCBPrior) -> Particle:
    """A draw from the prior."""
    key_rewards, key_beta = jax.random.split(key)
    uniform = jax.random.uniform(key_rewards, (num_arms,), jnp.float32)
    return Particle(
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
    start = jax.random.uniform(key, dtype=jnp.float32)
    marks = (jnp.arange(number) + start) * (heights[-1] / number)
    return jnp.minimum(jnp.searchsorted(heights, marks, side="right"), number - 1)


def _pull(
    key: chex.PRNGKey, particle: Particle, history: History, time: jax.Array, prior: UCBPrior
) -> Particle:
    """The estimate that follows a pull, with a reward from the particle's own arm."""
    arm = history.action[time]
    before = history.counts[time, arm].astype(jnp.float32)
    noise = prior.noise * jax.random.normal(key, dtype=jnp.float32)
    reward = particle.rewards[arm] + history.bonus[time] + noise
    total = particle.estimates[history.previous[time]] * before + reward
    return particle._replace(estimates=particle.estimates.at[time].set(total / (before + 1.0)))
