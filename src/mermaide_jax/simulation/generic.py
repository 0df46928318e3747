"""Any agent of `mermaide_jax.agents` in blocks: the plain functions under vmap, agents last."""

import jax
import jax.numpy as jnp
from jax import lax

from mermaide_jax.base import Agent
from mermaide_jax.simulation import blocks, counters
from mermaide_jax.simulation.results import Bandits, Simulation

BLOCK_SIZE = 1024


def simulate_any(
    key: jax.Array,
    first_agent: jax.Array,
    params,
    bandits: Bandits,
    schedule: jax.Array | None,
    *,
    agent: Agent,
    horizon: int,
    block_size: int,
    rounds: int,
    record: bool,
) -> Simulation:
    """Simulates agents of any family, see `simulate`; leaves have leading axis ``N``.

    The rewards' noise is that of the specialised rules; the key of each act is two more words.

    Example:
      >>> bandits = Bandits(jnp.array([[0.2, 0.9]] * 3), jnp.zeros(3), jnp.zeros(3, jnp.int32))
      >>> agent, params = agents.ucb(2), agents.UCBParams(jnp.array([0.1, 0.3, 0.5]))
      >>> inputs = (jax.random.key(0), jnp.uint32(0), params, bandits, None)
      >>> options = {"horizon": 9, "block_size": 2, "rounds": 20, "record": False}
      >>> simulate_any(*inputs, agent=agent, **options).counts.sum(axis=1).tolist()
      [9, 9, 9]
    """
    num_arms = bandits.mean_rewards.shape[1]
    keys = counters.stream_keys(key, 2)
    act = jax.vmap(agent.act, (0, 0, -1, 0))
    update = jax.vmap(agent.update, (0, -1, 0, 0), -1)

    def one_block(agents, params, bandits: Bandits, bonus):
        def step(carry, time_and_bonus):
            state, counts, total = carry
            time, bonus = time_and_bonus
            noise = counters.normal_pair(_words(keys[0], agents, time, rounds))[0]
            act_keys = jnp.stack(_words(keys[1], agents, time, rounds), -1)
            act_keys = jax.random.wrap_key_data(act_keys, impl="threefry2x32")
            on_target = jnp.arange(num_arms) == jnp.asarray(bandits.target)[:, None]
            offer = jnp.where(on_target, jnp.expand_dims(bonus, -1), 0.0)
            action = act(act_keys, params, state, offer)
            pulled = jnp.arange(num_arms) == action[:, None]
            reward = jnp.sum(jnp.where(pulled, bandits.mean_rewards + offer, 0.0), -1)
            reward = reward + bandits.noise * noise
            state = update(params, state, action, reward)
            carry = (state, counts + pulled, total + reward)
            return carry, (action, reward) if record else ()

        size, target = agents.shape[0], jnp.asarray(bandits.target)
        state = jax.vmap(agent.init, out_axes=-1)(params)
        carry = (state, jnp.zeros((size, num_arms), jnp.int32), jnp.zeros(size, jnp.float32))
        steps = (jnp.arange(horizon), bonus.T if bonus.ndim == 2 else bonus)
        (_, counts, total), recorded = lax.scan(step, carry, steps)
        on_target = jnp.take_along_axis(counts, target[:, None], 1)[:, 0]
        share = on_target.astype(jnp.float32) / horizon
        return counts, total, share, tuple(leaf.T for leaf in recorded)

    bonus = jnp.zeros(horizon, jnp.float32) if schedule is None else schedule
    return blocks.map_blocks(one_block, first_agent, params, bandits, bonus, block_size)


def _words(key: jax.Array, agents: jax.Array, time: jax.Array, rounds: int) -> counters.WordPair:
    counter = (agents, jnp.full_like(agents, time.astype(jnp.uint32)))
    return counters.threefry2x32((key[0], key[1]), counter, rounds)
