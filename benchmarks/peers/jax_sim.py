"""Agents in straightforward JAX: the plain agent in a scan over steps, ``vmap`` over agents."""

import jax
import jax.numpy as jnp

from benchmarks.workloads import problem
from benchmarks.workloads.programs import agent_of, with_new_keys
from mermaide_jax.throughput.timing import Run


def vmap_scan(family: problem.Family, agents: int, arms: int = 10, horizon: int = 200) -> Run:
    """``jit(vmap(scan))`` of the library's plain agents, a key split off for every agent."""
    agent, params = agent_of(family, arms)
    offer = jnp.zeros(arms)

    def one(key, mu):
        def step(carry, _):
            key, state, total = carry
            key, key_act, key_noise = jax.random.split(key, 3)
            action = agent.act(key_act, params, state, offer)
            reward = mu[action] + problem.NOISE * jax.random.normal(key_noise)
            return (key, agent.update(params, state, action, reward), total + reward), None

        start = (key, agent.init(params), jnp.float32(0))
        return jax.lax.scan(step, start, length=horizon)[0][2]

    def play(key, means):
        return jnp.mean(jax.vmap(one)(jax.random.split(key, agents), means)) / horizon

    return with_new_keys(play, jnp.asarray(problem.mean_rewards(agents, arms)))
