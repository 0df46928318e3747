"""Any agent of `mermaide_jax.agents`, straightforwardly: a scan, under vmap."""

import jax
import jax.numpy as jnp
from jax import lax

from mermaide_jax.base import Agent
from mermaide_jax.simulation.results import Bandits, Simulation


def simulate_plainly(
    key: jax.Array,
    first_agent: jax.Array,
    params,
    bandits: Bandits,
    schedule: jax.Array | None,
    *,
    agent: Agent,
    horizon: int,
    record: bool,
) -> Simulation:
    """Simulates by ``vmap`` of the agent, see `simulate`; leaves have leading axis ``N``.

    Agent ``i`` has the key ``fold_in(key, i)``; its draws are those of `jax.random`.

    Example:
      >>> bandits = Bandits(jnp.array([[0.2, 0.9]] * 3), jnp.zeros(3), jnp.zeros(3, jnp.int32))
      >>> agent, params = agents.ucb(2), agents.UCBParams(jnp.array([0.1, 0.3, 0.5]))
      >>> inputs = (jax.random.key(0), jnp.uint32(0), params, bandits, None)
      >>> found = simulate_plainly(*inputs, agent=agent, horizon=9, record=False)
      >>> found.counts.sum(axis=1).tolist()
      [9, 9, 9]
    """
    num_agents, num_arms = bandits.mean_rewards.shape
    bonus = jnp.zeros(horizon, jnp.float32) if schedule is None else schedule

    def one(number, params, bandit: Bandits, bonus):
        def step(carry, bonus):
            key, state, counts, total = carry
            key, key_act, key_noise = jax.random.split(key, 3)
            offer = jnp.where(jnp.arange(num_arms) == bandit.target, bonus, 0.0)
            action = agent.act(key_act, params, state, offer)
            noise = bandit.noise * jax.random.normal(key_noise, dtype=jnp.float32)
            reward = bandit.mean_rewards[action] + noise + offer[action]
            state = agent.update(params, state, action, reward)
            counts = counts + (jnp.arange(num_arms) == action)
            carry = (key, state, counts, total + reward)
            return carry, (action, reward) if record else ()

        carry = (
            jax.random.fold_in(key, number),
            agent.init(params),
            jnp.zeros(num_arms, jnp.int32),
            jnp.float32(0),
        )
        (_, _, counts, total), recorded = lax.scan(step, carry, bonus)
        share = counts[jnp.asarray(bandit.target)].astype(jnp.float32) / horizon
        return counts, total, share, recorded

    numbers = jnp.arange(num_agents, dtype=jnp.uint32) + first_agent
    axis = 1 if bonus.ndim == 2 else None
    counts, total, share, recorded = jax.vmap(one, (0, 0, 0, axis), (0, 0, 0, 1))(
        numbers, params, bandits, bonus
    )
    return Simulation(counts, total, share, *recorded)
