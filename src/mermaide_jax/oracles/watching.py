"""A planner that sees actions only, as a principal does, but knows how UCB agents come about.

It follows the agent as a Bayesian observer does (`filtering`), who knows the family, the noise and
the range of rewards and coefficients. Before each step it plays every intervention to the end of
the episode in imagination, once with each agent that it still thinks possible, and lets another
principal play the rest. So what it does is one step of policy improvement over that principal (a
rollout algorithm) by an exact model, up to the number of particles. What it earns can be earned by
watching; nobody knows how much more could be.

Source: Bertsekas and Castanon (1999), rollout algorithms; Silver and Veness (2010), planning in the
particles of a belief.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.agents import UCBParams, ucb
from mermaide_jax.agents.sample_means import SampleMeans
from mermaide_jax.base import Principal, Task
from mermaide_jax.games import (
    Bandit,
    GameConfig,
    GameState,
    decode_intervention,
    make_intervention_game,
    num_interventions,
    observed_target,
)
from mermaide_jax.oracles.filtering import (
    Beliefs,
    agent_states,
    first_beliefs,
    observe,
)
from mermaide_jax.oracles.filtering_moves import Particle, UCBPrior
from mermaide_jax.principals.planning import surely_better


class Watcher(NamedTuple):
    """Params of `watching`.

    Attributes:
      base: params of the principal that it improves on.
      prior: what it takes for granted of the agent.
      cost: scalar ``c`` of the game.
      bonus: scalar ``delta`` of the game.
    """

    base: Any
    prior: UCBPrior
    cost: chex.Numeric
    bonus: chex.Numeric


def _imagination(config: GameConfig, base: Principal) -> Callable[..., jax.Array]:
    """Makes the function that plays an episode on with the agent of one particle."""
    game = make_intervention_game(ucb(config.num_arms), config)

    def play_on(key, params: Watcher, carry, observation, state: GameState, task: Task):
        def body(_, loop):
            key, carry, observation, state, earned = loop
            key, key_base, key_step = jax.random.split(key, 3)
            choice, carry, _ = base.act(key_base, params.base, carry, observation)
            observation, state, reward, *_ = game.step(key_step, state, choice, task)
            return key, carry, observation, state, earned + reward

        loop = (key, carry, observation, state, jnp.float32(0))
        return jax.lax.fori_loop(0, config.horizon - state.time, body, loop)[-1]

    def imagine(
        key, choice, params: Watcher, carry, target, time, particle: Particle, agent: SampleMeans
    ) -> jax.Array:
        """What is earned from ``choice`` on."""
        noise, cost, bonus = params.prior.noise, params.cost, params.bonus
        env = Bandit(particle.rewards, noise, target, cost, bonus)
        task = Task(UCBParams(particle.beta), env)
        key_step, key_rest = jax.random.split(key)
        now = GameState(agent, time)
        observation, state, reward, *_ = game.step(key_step, now, choice, task)
        return reward + play_on(key_rest, params, carry, observation, state, task)

    return imagine


@memoize
def watching(
    config: GameConfig, base: Principal, num_particles: int, num_sweeps: int = 2
) -> Principal:
    """Makes a principal that does what ``base`` does, unless another choice is `surely_better`.

        w_p(u) = R^p(u; xi_p) + score of ``base`` from there with agent p, by xi_p

    for each of ``P`` particles ``p`` of the belief, by the same draws for every ``u``. Not
    privileged: it reads the observation alone, and tells whatever ``base`` tells.

    Args:
      config: the game, in which targets are observed.
      base: a principal that is not privileged.
      num_particles: ``P``, at least 2.
      num_sweeps: Gibbs sweeps after each action.

    Returns:
      Principal with params `Watcher`. One decision costs about ``P U T / 2`` steps of the game and
      of ``base``, and the sweeps (`ucb_beliefs`).

    Raises:
      ConfigError: ``config.observe_target`` is off, ``base`` is privileged, ``num_particles`` is
        below 2 or ``num_sweeps`` below 1.

    Example:
      >>> config = games.GameConfig(num_arms=3, horizon=4)
      >>> never = principals.random(lambda observation: jnp.int32(1))
      >>> watching(config, never, num_particles=4).privileged
      False
    """
    if not config.observe_target:
        errors.refuse("observe_target", False, "True")
    if base.privileged:
        errors.refuse("base", "a privileged principal", "one that sees actions only")
    errors.check_at_least("num_particles", num_particles, 2)
    errors.check_at_least("num_sweeps", num_sweeps, 1)
    num_arms, horizon = config.num_arms, config.horizon
    imagine = _imagination(config, base)

    def start(key: chex.PRNGKey, prior: UCBPrior) -> Beliefs:
        return first_beliefs(key, horizon, num_arms, prior, num_particles)

    def init(params: Watcher):
        shapes = jax.eval_shape(lambda: start(jax.random.key(0), params.prior))
        blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return base.init(params.base), blank, jnp.int32(0)

    def act(key: chex.PRNGKey, params: Watcher, carry, observation: jax.Array):
        inner, beliefs, last = carry
        key_start, key_see, key_base, key_imagine = jax.random.split(key, 4)
        target = observed_target(config, observation)

        action = jnp.argmax(observation[:num_arms]).astype(jnp.int32)
        paid = params.bonus * decode_intervention(config, last, target).bonus[action]
        seen = observe(key_see, beliefs, action, paid, params.prior, num_sweeps)
        began = jnp.any(observation[:num_arms] > 0)
        # Not by `lax.cond`: batched, JAX's key-reuse check takes its selection for a reuse.
        beliefs = jax.tree.map(
            lambda new, old: jnp.where(began, new, old), seen, start(key_start, params.prior)
        )
        usual, inner, said = base.act(key_base, params.base, inner, observation)
        over_particles = jax.vmap(imagine, (0, None, None, None, None, None, 0, 0))
        over_choices = jax.vmap(over_particles, (None, 0, *[None] * 6))
        worth = over_choices(
            jax.random.split(key_imagine, num_particles),
            jnp.arange(num_interventions(config), dtype=jnp.int32),
            params,
            inner,
            target,
            beliefs.time,
            beliefs.particles,
            agent_states(beliefs),
        )
        choice = surely_better(worth, usual)
        return choice, (inner, beliefs, choice), said

    return Principal(init, act)
