"""Episodes with agents of many families: one set, or its families one program after another."""

from typing import Literal

import jax

from benchmarks.workloads.problem import seeds
from mermaide_jax import games
from mermaide_jax.agents import grid_of, make_agent
from mermaide_jax.base import Agent, Game, Params, Principal, Task
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal, random
from mermaide_jax.throughput.timing import Run, compile_program

Steers = Literal["scripted", "learned"]

BASES = ("ucb", "epsilon_greedy", "thompson")
"""What the families are variants of, in turn."""


def rollouts(
    principal: Steers,
    families: int,
    together: bool,
    agents: int = 5,
    horizon: int = 200,
    num_arms: int = 10,
    features: int = 128,
) -> Run:
    """Plays one episode with every agent of a mixed set; the checksum is the mean score.

    Args:
      principal: pays at random (scripted), or a world model and a policy of two GRU layers each.
      families: learning rules in the set, no two of them alike.
      together: one program for the whole set; else one for each family, run one after the other.
      agents: of each family.
      horizon: T.
      num_arms: A.
      features: hidden units of the learned principal.
    """
    played, tasks = mixed_set(families, agents, games.GameConfig(num_arms, horizon))
    steers, params = _principal(principal, played[0], features)

    def score(game, key, params, tasks):
        return games.collect(key, game, steers, params, tasks, 1).reward.sum()

    parts = [(played, tasks)] if together else list(zip(played, tasks, strict=True))
    numbers, make_key = seeds(), jax.jit(jax.random.key)
    programs = [
        compile_program(lambda *rest, game=game: score(game, *rest), make_key(0), params, own)
        for game, own in parts
    ]

    def run() -> float:
        key = make_key(next(numbers))
        calls = [program.call for program in programs]
        scores = [call(key, params, own) for call, (_, own) in zip(calls, parts, strict=True)]
        return float(sum(float(score) for score in scores)) / (families * agents)

    compile_s = sum(program.facts["compile_s"] for program in programs)
    return Run(run, compile_s=compile_s, programs=len(programs))


def mixed_set(
    families: int, agents: int, config: games.GameConfig
) -> tuple[tuple[Game, ...], tuple[Task, ...]]:
    """Makes the game with each family, and its agents."""
    played, tasks = [], []
    for number in range(families):
        base = BASES[number % len(BASES)]
        agent = _variant(make_agent(base, config.num_arms), 1.0 + 0.05 * (number // len(BASES)))
        key = jax.random.fold_in(jax.random.key(3), number)
        grid, economics = grid_of(base)[:agents], games.Economics()
        args = (agents, config.num_arms, economics)
        played.append(games.make_intervention_game(agent, config))
        tasks.append(games.finite_tasks(key, base, agent, grid, *args))
    return tuple(played), tuple(tasks)


def _variant(agent: Agent, scale: float) -> Agent:
    """Another family: the agent feels every reward ``scale`` times as much."""
    if scale == 1.0:
        return agent
    return agent._replace(update=lambda p, state, a, r: agent.update(p, state, a, scale * r))


def _principal(kind: Steers, game: Game, features: int) -> tuple[Principal, Params]:
    """The principal and its params."""
    if kind == "scripted":
        return random(game.pay_target), 0.5
    sizes = (game.observation_size, game.num_arms, game.num_interventions)
    learned = learned_principal(NetworkConfig(features=features), *sizes)
    return learned.principal, learned.init_params(jax.random.key(5))
