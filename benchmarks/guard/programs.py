"""The programs that are guarded, and what is counted of each."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.guard.counting import count_compiled, count_traced, counted_compilations
from mermaide_jax.agents import make_agent, make_params
from mermaide_jax.base import Game
from mermaide_jax.evaluation.protocol import k_shot
from mermaide_jax.games import Economics, GameConfig, collect, finite_tasks, make_intervention_game
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import LearnedPrincipal, learned_principal, random
from mermaide_jax.simulation import Bandits, simulate
from mermaide_jax.studies.mermaide.config import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
)
from mermaide_jax.studies.mermaide.learned import evaluate_principal, train_principal
from mermaide_jax.studies.mermaide.scripted import evaluate_scripted
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import (
    Episodes,
    TrainingConfig,
    make_adapt,
    make_trainer,
    outer_loss,
)
from mermaide_jax.training.loop import MAX_CHUNK

Counts = dict[str, int]
Table = dict[str, Counts]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the programs: those of the paper but for one layer, which compiles faster."""

    horizon: int = 200
    tasks: int = 15
    features: int = 128
    num_layers: int = 1
    arms: int = 10
    agents: int = 10_000


class Program(NamedTuple):
    """A pure function, and arguments of which the shapes are enough."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class _Setup(NamedTuple):
    """What several programs share: a game, who steers, and shapes of keys, agents and params."""

    game: Game
    learned: LearnedPrincipal
    key: Any
    tasks: Any
    params: Any


def programs(sizes: Sizes) -> dict[str, Program]:
    """The programs that are guarded, by name.

    Args:
      sizes: their sizes.
    """
    # Loops of XLA: what is done in C is not seen, and not every machine has a compiler.
    network = NetworkConfig(
        features=sizes.features, num_layers=sizes.num_layers, recurrence="in_place"
    )
    over_arms = NetworkConfig("arms", max(sizes.features // 8, 1), memory=True)
    setup = _set_up(sizes, network)
    updates = {
        f"update_{kind}": _update(setup, update_config(kind, sizes))
        for kind in ("none", "first_order", "second_order")
    }
    second = update_config("second_order", sizes)
    return {
        **_rollouts(setup),
        "replay_gradient": _replay_gradient(setup),
        "evaluation": _evaluation(setup, second),
        "simulator": _simulator(setup.key, sizes),
        **updates,
        "update_over_arms": _update(_set_up(sizes, over_arms), second),
    }


def _set_up(sizes: Sizes, network: NetworkConfig) -> _Setup:
    agent = make_agent("ucb", sizes.arms)
    game = make_intervention_game(agent, GameConfig(sizes.arms, sizes.horizon))
    learned = learned_principal(network, game.observation_size, sizes.arms, game.num_interventions)
    key = jax.eval_shape(jax.random.key, 0)
    grid = (0.17, 0.42, 0.67)
    draw = lambda key: finite_tasks(key, "ucb", agent, grid, sizes.tasks, sizes.arms, Economics())  # noqa: E731
    tasks, params = jax.eval_shape(draw, key), jax.eval_shape(learned.init_params, key)
    return _Setup(game, learned, key, tasks, params)


def _rollouts(setup: _Setup) -> dict[str, Program]:
    """An episode with every agent, under a scripted principal and under a learned one."""
    scripted = random(setup.game.pay_target)

    def play_scripted(key, tasks):
        return collect(key, setup.game, scripted, 0.5, tasks, 1).reward.sum()

    def play_learned(key, params, tasks):
        return collect(key, setup.game, setup.learned.principal, params, tasks, 1)

    return {
        "rollout_scripted": Program(play_scripted, (setup.key, setup.tasks)),
        "rollout_learned": Program(play_learned, (setup.key, setup.params, setup.tasks)),
    }


def _replay_gradient(setup: _Setup) -> Program:
    """The gradient of the outer loss on one episode."""
    horizon, inputs = setup.game.horizon, setup.game.observation_size
    integers: Any = jax.ShapeDtypeStruct((1, horizon), jnp.int32)
    rewards: Any = jax.ShapeDtypeStruct((1, horizon), jnp.float32)
    observations: Any = jax.ShapeDtypeStruct((1, horizon, inputs), jnp.float32)

    def replay_gradient(params, episodes, advantage):
        loss = lambda params: outer_loss(setup.learned, 0.1, params, episodes, advantage)  # noqa: E731
        return jax.grad(loss, has_aux=True)(params)

    episodes = Episodes(observations, integers, integers, rewards)
    return Program(replay_gradient, (setup.params, episodes, rewards))


def _evaluation(setup: _Setup, config: TrainingConfig) -> Program:
    """One-shot adaptation to every agent, and two episodes after it."""
    adapt = make_adapt(config, setup.learned)

    def evaluate(key, params, tasks):
        return k_shot(key, setup.game, setup.learned, adapt, params, tasks, 1, 2)

    return Program(evaluate, (setup.key, setup.params, setup.tasks))


def _simulator(key: Any, sizes: Sizes) -> Program:
    """Agents alone."""
    agent, params = make_agent("ucb", sizes.arms), make_params("ucb", 0.42)

    def simulated(key, means):
        return simulate(key, agent, params, Bandits(means, 0.1), sizes.horizon)

    means = jax.ShapeDtypeStruct((sizes.agents, sizes.arms), jnp.float32)
    return Program(simulated, (key, means))


def _update(setup: _Setup, config: TrainingConfig) -> Program:
    """One outer update."""
    trainer = make_trainer(config, setup.learned, [setup.game], Economics())
    state = jax.eval_shape(trainer.init, setup.key)
    return Program(trainer.update, (setup.key, state, (setup.tasks,)))


def update_config(meta_gradient: Any, sizes: Sizes) -> TrainingConfig:
    """One episode of each agent to adapt on and one after it; nothing is redrawn."""
    return TrainingConfig(
        meta_gradient=meta_gradient,
        tasks_per_update=sizes.tasks,
        episodes_per_task=2,
        zero_shot_weight=0.0,
        variation="none",
        target_first=False,
    )


def measure_program(program: Program) -> Counts:
    """What is traced and what is compiled of one program."""
    traced = count_traced(program.function, *program.arguments)
    compiled = count_compiled(program.function, *program.arguments)
    return dataclasses.asdict(traced) | dataclasses.asdict(compiled)


def measure_growth(sizes: Sizes) -> dict[str, float]:
    """How many times more matrix products an update has with twice the steps, or the agents."""
    name, growth = "update_second_order", {}
    base = _products(programs(sizes)[name])
    for what in ("horizon", "tasks"):
        larger = dataclasses.replace(sizes, **{what: 2 * getattr(sizes, what)})
        growth[what] = _products(programs(larger)[name]) / base
    return growth


def _products(program: Program) -> int:
    return count_traced(program.function, *program.arguments).product_flops


def measure_compilations() -> Counts:
    """Compilations by function name while a tiny study trains, adapts and tests.

    Exact in a fresh process alone. More updates than fit into two chunks, more shots than one and
    principals that differ in a number must not compile anything again.
    """
    config = StudyConfig(
        game=GameOptions(horizon=4, num_arms=3),
        agents=AgentOptions(families=("ucb",), train=3, test=2),
        network=NetworkConfig("mlp", 3),
        training=TrainingConfig(
            updates=2 * MAX_CHUNK + 3,
            world_model_updates=0,
            tasks_per_update=2,
            episodes_per_task=2,
        ),
        evaluation=EvaluationOptions(shots=(0, 1), episodes=2),
        seeds=1,
    )
    name = "reinforce"  # the least to compile
    with counted_compilations() as counts:
        setting = make_setting(config)
        trained = train_principal(name, config, setting, None)
        evaluate_principal(name, config, setting, trained)
        for scripted in ("never", "always", "random"):
            evaluate_scripted(scripted, config, setting)
    return dict(sorted(counts.items()))


def measure() -> Table:
    """Everything that is guarded: for each program its counts, and the study's compilations."""
    # First, since it counts what has not been compiled yet.
    compilations = measure_compilations()
    table = {name: measure_program(program) for name, program in programs(Sizes()).items()}
    return table | {"compilations": compilations}
