"""The library's own contenders: everything here calls the public functions a user would call."""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.workloads import meta_workload, problem
from benchmarks.workloads.programs import agent_of
from mermaide_jax import games, simulation, training
from mermaide_jax.agents import make_agent
from mermaide_jax.errors import refuse
from mermaide_jax.networks import heads as networks
from mermaide_jax.networks.heads import Recurrence
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.throughput.factories import updates as updates_of
from mermaide_jax.throughput.timing import Run, compile_program, first_call_seconds

Order = Literal["first", "second", "none"]
Part = Literal["forward", "gradient", "hessian_vector"]

_META_GRADIENTS: dict[Order, str] = {
    "first": "first_order",
    "second": "second_order",
    "none": "none",
}


def simulator(
    family: problem.Family,
    agents: int,
    arms: int = 10,
    horizon: int = 200,
    devices: int = 1,
    **options: Any,
) -> Run:
    """`simulation.simulate`, called as a user would; ``options`` are its own, such as ``rounds``.

    Args:
      family: learning rule.
      agents: N.
      arms: A.
      horizon: T.
      devices: devices that share the agents evenly.
      **options: further arguments of `simulation.simulate`.
    """
    if agents % devices or jax.device_count() < devices:
        refuse("devices", devices, f"a divisor of {agents}, at most {jax.device_count()}")
    (agent, params), seeds = agent_of(family, arms), problem.seeds()
    share = agents // devices
    means = problem.mean_rewards(agents, arms).reshape(devices, share, arms)
    chosen = jax.devices()[:devices]
    bandits = [
        simulation.Bandits(jax.device_put(rows, device), noise=problem.NOISE)
        for rows, device in zip(means, chosen, strict=True)
    ]
    make_key = jax.jit(jax.random.key)

    def run() -> float:
        key, totals = make_key(next(seeds)), []
        for number, (device, part) in enumerate(zip(chosen, bandits, strict=True)):
            extra: dict[str, Any] = {"first_agent": number * share} if number else {}
            here = jax.device_put(key, device) if number else key
            result = simulation.simulate(here, agent, params, part, horizon, **options, **extra)
            totals.append(result.total_reward)
        return float(sum(np.asarray(total).sum() for total in totals)) / (agents * horizon)

    return Run(run, compile_s=first_call_seconds(run), device=chosen[0].device_kind)


def meta_step(
    num_tasks: int = 15,
    episodes: int = 1,
    horizon: int = 200,
    num_arms: int = 10,
    features: int = 128,
    num_layers: int = 2,
    order: Order = "second",
    agents_per_block: int | None = None,
    updates: int = 1,
    recurrence: Recurrence = "auto",
) -> Run:
    """Outer updates of `training.make_trainer`: play, adapt, play again, one Adam step.

    ``updates`` of them are one program, as `training.train` makes them.
    """
    update, tasks = _update(
        num_tasks,
        episodes,
        horizon,
        num_arms,
        features,
        num_layers,
        order,
        zero_shot_weight=0.0,
        agents_per_block=agents_per_block,
        recurrence=recurrence,
    )
    return updates_of(update, tasks, updates)


def training_chunk(
    updates: int = 5,
    streams: int = 1,
    num_tasks: int = 15,
    episodes: int = 8,
    horizon: int = 50,
    num_arms: int = 10,
    features: int = 32,
    num_layers: int = 2,
    order: Order = "second",
) -> Run:
    """Whole updates as `training.train` makes them: a chunk of them in one program.

    The networks are GRUs; the defaults are small. Streams are spread over the devices there are.
    """
    update, tasks = _update(
        num_tasks, episodes, horizon, num_arms, features, num_layers, order, zero_shot_weight=0.5
    )
    return updates_of(update, tasks, updates, streams)


def gru(
    part: Part, batch: int = 15, horizon: int = 200, inputs: int = 31, features: int = 128
) -> Run:
    """A stack of two GRU layers over whole sequences, `networks.GRUStack.unroll`.

    Args:
      part: the mean square of the outputs (forward), its gradient with respect to the parameters,
        or the product of its Hessian with the parameters themselves.
      batch: sequences.
      horizon: steps.
      inputs: inputs of the first layer.
      features: hidden units.
    """
    stack = networks.GRUStack(features, 2, "fastest")
    sequence = problem.generator(1).standard_normal((batch, horizon, inputs), np.float32)
    layers = jax.tree.map(jnp.asarray, problem.gru_layers(inputs, features))
    params = {
        f"layers_{number}": {
            "cell": meta_workload.cell_of(
                layer["input"], layer["bias"], layer["recurrent"], layer["candidate_bias"]
            )
        }
        for number, layer in enumerate(layers)
    }

    def loss(params, sequence):
        time_first = jnp.swapaxes(sequence, 0, 1)
        unrolled: Any = stack.apply({"params": params}, time_first, method="unroll")
        return jnp.mean(jnp.square(unrolled))

    program = compile_program(differentiated(loss, part), params, jnp.asarray(sequence))
    call = functools.partial(program.call, params, jnp.asarray(sequence))
    return Run(lambda: float(call()), **program.facts)


def differentiated(loss: Any, part: Part) -> Any:
    """``f(params, data) -> scalar`` that needs the value, the gradient or ``H params`` whole."""

    def norm(tree):
        return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))

    def gradient(params, data):
        return norm(jax.grad(loss)(params, data))

    def hessian_vector(params, data):
        by_params = lambda p: jax.grad(loss)(p, data)  # noqa: E731
        return norm(jax.jvp(by_params, (params,), (params,))[1])

    return {"forward": loss, "gradient": gradient, "hessian_vector": hessian_vector}[part]


def _update(
    num_tasks: int,
    episodes: int,
    horizon: int,
    num_arms: int,
    features: int,
    num_layers: int,
    order: Order,
    zero_shot_weight: float,
    agents_per_block: int | None = None,
    recurrence: Recurrence = "auto",
) -> tuple[training.Trainer, tuple[games.Task, ...]]:
    """The update of UCB agents, and the agents to train on."""
    config = training.TrainingConfig(
        updates=1_000_000,  # no schedule ends while we measure
        world_model_updates=0,
        tasks_per_update=num_tasks,
        adaptation_episodes=episodes if zero_shot_weight == 0 else 1,
        episodes_per_task=2 * episodes,
        meta_gradient=_META_GRADIENTS[order],
        zero_shot_weight=zero_shot_weight,
        variation="none",
        target_first=False,
        agents_per_block=agents_per_block,
    )
    economics = games.Economics()
    agent = make_agent("ucb", num_arms)
    game = games.make_intervention_game(agent, games.GameConfig(num_arms, horizon))
    network = NetworkConfig(features=features, num_layers=num_layers, recurrence=recurrence)
    learned = learned_principal(network, game.observation_size, num_arms, game.num_interventions)
    key = jax.random.key(7)
    tasks = games.finite_tasks(key, "ucb", agent, (0.42,), num_tasks, num_arms, economics)
    return training.make_trainer(config, learned, [game], economics), (tasks,)
