"""A probe game whose optimum is known: the agent walks round its arms, whatever it is paid."""

import jax
import jax.numpy as jnp

from mermaide_jax.base import Agent, Game, StepInfo, Task, Trajectory
from mermaide_jax.games import Bandit
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal

ARMS, STEPS = 3, 6
OPTIMUM = STEPS / ARMS
"""Score per episode of a principal that pays exactly when the target is next."""


def _observe(arm, task):
    """What the agent did last, and the target: they tell what it does next."""
    return jnp.concatenate(
        [jax.nn.one_hot(jnp.mod(arm - 1, ARMS), ARMS), jax.nn.one_hot(task.env.target, ARMS)]
    )


def _reset(key, task):
    arm = jax.random.randint(key, (), 0, ARMS, jnp.int32)
    return _observe(arm, task), (arm, jnp.int32(0))


def _step(key, state, intervention, task):
    """Paying earns 1 if the agent is about to take the target, and else costs ``cost``."""
    del key
    arm, time = state
    hit = arm == task.env.target
    reward = jnp.where(intervention > 0, jnp.where(hit, 1.0, -task.env.cost), 0.0)
    info = StepInfo(arm, task.env.mean_rewards[arm], hit, task.env.mean_rewards)
    arm, time = (arm + 1) % ARMS, time + 1
    return _observe(arm, task), (arm, time), reward, jnp.bool_(False), time >= STEPS, info


WALKER = Agent(
    init=lambda params: jnp.int32(0),
    act=lambda key, params, state, offer: state,
    update=lambda params, state, action, reward: (state + 1) % ARMS,
    estimates=lambda params, state: jnp.zeros(ARMS, jnp.float32),
    probabilities=lambda params, state, offer: jax.nn.one_hot(state, ARMS),
)
"""The agent as such; the game walks by itself."""

GAME = Game(
    agent=WALKER,
    reset=_reset,
    step=_step,
    preview=lambda key, state, task: None,
    pay_target=lambda observation: jnp.int32(1),
    num_interventions=2,
    observation_size=2 * ARMS,
    num_arms=ARMS,
    horizon=STEPS,
    payment_kind="target",
)


def tasks(number=ARMS, cost=1.0):
    """``number`` agents, each arm the target of one after the other."""
    zeros = jnp.zeros((number,), jnp.float32)
    means = jnp.arange(number * ARMS, dtype=jnp.float32).reshape(number, ARMS)
    target = jnp.arange(number, dtype=jnp.int32) % ARMS
    return Task((), Bandit(means, zeros, target, zeros + cost, zeros))


def principal(config: NetworkConfig):
    return learned_principal(config, GAME.observation_size, ARMS, GAME.num_interventions)


def scores(trajectory: Trajectory):
    """Score of each episode, computed from what was done."""
    paid, hit = trajectory.intervention > 0, trajectory.step.hit
    return (1.0 * (paid & hit) - 1.0 * (paid & ~hit)).sum(-1)
