"""A guard against slower programs that needs no clock: their work is counted and compared.

    python -m mermaide_jax.benchmarks.counted            # compare with benchmarks/counted.json
    python -m mermaide_jax.benchmarks.counted --renew    # write what is counted now there

Nothing is measured and, but for a tiny study whose compilations are counted, nothing is run. What
counts depend on, and what they cannot see, is in docs/counted_work.md.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mermaide_jax.agents import UCBParams, ucb
from mermaide_jax.benchmarks.counting import count_compiled, count_traced, counted_compilations
from mermaide_jax.evaluation.protocol import k_shot
from mermaide_jax.games import Economics, GameConfig, collect, finite_tasks, make_intervention_game
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal, random
from mermaide_jax.results.files import text_writer, write_atomically
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

_RENEW = "python -m mermaide_jax.benchmarks.counted --renew"

BASELINE = Path("benchmarks/counted.json")

Counts = dict[str, int]
Table = dict[str, Counts]

TOLERANCES: dict[str, float] = {
    "product_flops": 0.005,
    "elements": 0.02,
    "transcendentals": 0.02,
    "random_words": 0.02,
    "flops": 0.02,
    "bytes_accessed": 0.1,
    "temp_bytes": 0.1,
    "instructions": 0.1,
    "fusions": 0.1,
    "loops": 0.0,
    "compilations": 0.0,
}
"""Quantity to the share by which it may exceed the baseline."""

_TRACED = ("product_flops", "elements", "transcendentals", "random_words")
_OTHER_VERSION = 0.1
"""What is allowed of the traced quantities when the baseline is of another JAX."""


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


def programs(sizes: Sizes) -> dict[str, Program]:
    """The programs that are guarded, by name.

    Args:
      sizes: their sizes.
    """
    agent = ucb(sizes.arms)
    game = make_intervention_game(agent, GameConfig(sizes.arms, sizes.horizon))
    network = NetworkConfig(features=sizes.features, num_layers=sizes.num_layers)
    learned = learned_principal(network, game.observation_size, sizes.arms, game.num_interventions)
    key = jax.eval_shape(jax.random.key, 0)
    draw = lambda key: finite_tasks(  # noqa: E731
        key, "ucb", agent, (0.17, 0.42, 0.67), sizes.tasks, sizes.arms, Economics()
    )
    tasks, params = jax.eval_shape(draw, key), jax.eval_shape(learned.init_params, key)
    scripted = random(game.pay_target)

    def play_scripted(key, tasks):
        return collect(key, game, scripted, 0.5, tasks, 1).reward.sum()

    def play_learned(key, params, tasks):
        return collect(key, game, learned.principal, params, tasks, 1)

    def replay_gradient(params, episodes, advantage):
        loss = lambda params: outer_loss(learned, 0.1, params, episodes, advantage)  # noqa: E731
        return jax.grad(loss, has_aux=True)(params)

    config = update_config("second_order", sizes)
    adapt = make_adapt(config, learned)

    def evaluate(key, params, tasks):
        return k_shot(key, game, learned, adapt, params, tasks, 1, 2)

    def simulated(key, means):
        return simulate(key, ucb(sizes.arms), UCBParams(0.42), Bandits(means, 0.1), sizes.horizon)

    shape: Any = lambda *size: jax.ShapeDtypeStruct(size, jnp.float32)  # noqa: E731
    integers: Any = jax.ShapeDtypeStruct((1, sizes.horizon), jnp.int32)
    rewards = shape(1, sizes.horizon)
    observations = shape(1, sizes.horizon, game.observation_size)
    episodes = Episodes(observations, integers, integers, rewards)
    found = {
        "rollout_scripted": Program(play_scripted, (key, tasks)),
        "rollout_learned": Program(play_learned, (key, params, tasks)),
        "replay_gradient": Program(replay_gradient, (params, episodes, rewards)),
        "evaluation": Program(evaluate, (key, params, tasks)),
        "simulator": Program(simulated, (key, shape(sizes.agents, sizes.arms))),
    }
    for kind in ("none", "first_order", "second_order"):
        trainer = make_trainer(update_config(kind, sizes), learned, [game], Economics())
        state = jax.eval_shape(trainer.init, key)
        found[f"update_{kind}"] = Program(trainer.update, (key, state, (tasks,)))
    arms_network = NetworkConfig("arms", max(sizes.features // 8, 1), memory=True)
    over_arms = learned_principal(
        arms_network, game.observation_size, sizes.arms, game.num_interventions
    )
    trainer = make_trainer(update_config("second_order", sizes), over_arms, [game], Economics())
    state = jax.eval_shape(trainer.init, key)
    return found | {"update_over_arms": Program(trainer.update, (key, state, (tasks,)))}


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


def complaints(counted: Table, baseline: Mapping[str, Table], version: str) -> list[str]:
    """What exceeds the baseline, a line each.

    Args:
      counted: from `measure`.
      baseline: tables by version of JAX, ``major.minor``.
      version: that of JAX now. If the baseline has no table for it, what was traced is compared
        with that of the newest version it has, since only what was compiled depends on XLA.
    """
    same = version in baseline
    reference = baseline[version if same else max(baseline, key=_as_numbers)]
    lines = [f"{name}: not in the baseline" for name in counted if name not in reference]
    lines += [f"{name}: not counted any more" for name in reference if name not in counted]
    for name in counted:
        if name in reference:
            lines += _exceeded(name, counted[name], reference[name], same)
    return lines


def _exceeded(name: str, now: Counts, former: Counts, same: bool) -> Iterator[str]:
    for quantity in sorted({*now, *former}):
        if name == "compilations":
            allowed = TOLERANCES[name] if same else float("inf")
        elif same:
            allowed = TOLERANCES[quantity]
        else:
            allowed = _OTHER_VERSION if quantity in _TRACED else float("inf")
        old, new = former.get(quantity, 0), now.get(quantity, 0)
        if new > old and new > old * (1.0 + allowed):
            share = f"{new / old - 1.0:+.1%}" if old else "new"
            yield f"{name}: {quantity} is {new:,}, was {old:,} ({share}, allowed {allowed:+.1%})"


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def jax_version() -> str:
    """Of JAX, ``major.minor``."""
    return ".".join(jax.__version__.split(".")[:2])


def read_baseline(path: Path) -> dict[str, Table]:
    """Tables by version of JAX; none if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def main(argv: list[str] | None = None) -> int:
    """Counts and compares, or renews the baseline.

    Returns:
      1 if something exceeds the baseline, else 0.
    """
    parser = argparse.ArgumentParser(description="Compare counted work with a baseline.")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="its file")
    parser.add_argument("--renew", action="store_true", help="write it with what is counted now")
    arguments = parser.parse_args(argv)
    baseline, version = read_baseline(arguments.baseline), jax_version()
    if not (baseline or arguments.renew):
        raise SystemExit(f"{arguments.baseline}: no baseline there; to make one: {_RENEW}")
    # One device, and no work on machine code: nothing that is counted depends on it.
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_compilation_cache", False)
    counted = measure()
    if arguments.renew:
        text = json.dumps(baseline | {version: counted}, indent=1, sort_keys=True)
        path = arguments.baseline
        write_atomically(path.parent, {path.name: text_writer(text + "\n")})
        print(f"{arguments.baseline}: counted with JAX {version}")
        return 0
    found = complaints(counted, baseline, version)
    for line in found or ["no more work than before"]:
        print(line)
    if found:
        print(f"If this is meant: {_RENEW} --baseline {arguments.baseline}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
