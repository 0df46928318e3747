"""Agents, games and training as a user would call them, each set up, compiled and ready to run.

All work is done on the first device, and the draws differ in every call.
"""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from mermaide_jax import games, registry, simulation
from mermaide_jax.agents import make_agent, make_params
from mermaide_jax.principals import random
from mermaide_jax.studies.mermaide.config import StudyConfig
from mermaide_jax.studies.mermaide.learned import build, build_trainer
from mermaide_jax.studies.mermaide.setting import Setting, make_setting
from mermaide_jax.throughput.timing import Run, compile_program, first_call_seconds
from mermaide_jax.training import Trainer
from mermaide_jax.training.loop import init_streams, make_chunk
from mermaide_jax.training.streams import place_streams

__all__ = ["agents_alone", "preset_rollouts", "preset_updates", "updates"]


def agents_alone(family: str, agents: int, horizon: int, num_arms: int = 10) -> Run:
    """Simulates agents that nobody steers.

    Args:
      family: name of theirs.
      agents: ``N``.
      horizon: ``T``.
      num_arms: ``A``.

    Example:
      >>> run = agents_alone("ucb", agents=4, horizon=5, num_arms=2)
      >>> 0.0 < run() < 1.0  # the mean reward of a step
      True
    """
    agent, params = make_agent(family, num_arms), make_params(family, 0.3)
    means = jax.random.uniform(jax.random.key(0), (agents, num_arms))
    bandits, numbers = simulation.Bandits(means, noise=0.1), itertools.count(1)

    def run() -> float:
        key = jax.random.key(next(numbers))
        total = simulation.simulate(key, agent, params, bandits, horizon).total_reward
        return float(jnp.mean(total)) / horizon

    return Run(run, compile_s=first_call_seconds(run))


def preset_rollouts(preset: str, principal: str, agents: int) -> Run:
    """Plays one episode with each of many UCB agents, in the game of a preset.

    Args:
      preset: name of a study's preset.
      principal: name of a learned principal, freshly initialised, or ``random``, which pays in half
        of the steps.
      agents: ``N``.
    """
    config, setting = _one_stream(preset)
    game = setting.game
    if principal == "random":
        steers, params = random(game.pay_target), jnp.float32(0.5)
    else:
        learned, _ = build(principal, config, setting)
        steers, params = learned.principal, learned.init_params(jax.random.key(1))
    assert game.agent is not None
    size = (agents, game.num_arms, config.game.economics)
    tasks = games.finite_tasks(jax.random.key(2), "ucb", game.agent, (0.42,), *size)

    def scores(key, params, tasks):
        return games.collect(key, game, steers, params, tasks, 1).reward.sum() / agents

    program = compile_program(scores, jax.random.key(0), params, tasks)
    numbers = itertools.count(1)
    call = lambda: float(program.call(jax.random.key(next(numbers)), params, tasks))  # noqa: E731
    return Run(call, program.call, **program.facts)


def preset_updates(preset: str, principal: str, number: int) -> Run:
    """Trains a preset's principal on UCB agents, one stream, as a study does.

    Args:
      preset: name of a study's preset.
      principal: name of a learned principal.
      number: updates in one program.
    """
    config, setting = _one_stream(preset)
    trainer, _ = build_trainer(principal, config, setting)
    data = jax.tree.map(lambda leaf: leaf[0], (setting.index, setting.train))
    return updates(trainer, data, number)


def updates(trainer: Trainer, data: Any, number: int, streams: int = 1) -> Run:
    """Makes updates of each of several streams in one program, as `training.train` does.

    Args:
      trainer: how to train.
      data: of one stream; all have the same.
      number: updates of each.
      streams: spread over the devices there are.

    Example:
      >>> from collections import namedtuple
      >>> Score = namedtuple("Score", "adapted_score")
      >>> add = lambda key, x, more: (x + more, Score(x + more))
      >>> run = updates(Trainer(lambda key: jnp.float32(0.0), add), jnp.float32(1.0), number=2)
      >>> run(), run()  # the second call goes on from where the first ended
      (1.5, 3.5)
    """
    chunk = make_chunk(trainer.update, streams, number)
    keys = jax.random.split(jax.random.key(0), streams)
    state = init_streams(trainer, keys)
    data = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (streams, *jnp.shape(leaf))), data)
    lengths = jnp.full((streams,), number, jnp.int32)
    keys, state, data, lengths = place_streams((keys, state, data, lengths), streams)
    program = compile_program(chunk, keys, state, data, lengths)

    def run() -> float:
        nonlocal state
        state, metrics = program.call(keys, state, data, lengths)
        jax.block_until_ready(state)
        return float(jnp.mean(metrics.adapted_score))

    return Run(run, program.call, **program.facts, devices=jax.device_count())


def _one_stream(preset: str) -> tuple[StudyConfig, Setting]:
    """A preset with UCB agents alone and one seed."""
    config: StudyConfig = registry.get("preset", preset, "preset").value
    agents = dataclasses.replace(config.agents, families=("ucb",))
    config = dataclasses.replace(config, agents=agents, seeds=1)
    return config, make_setting(config)
