"""The meta-step that every peer does: its sizes, its constants, its tasks and first parameters.

One meta-step (MERMAIDE, Algorithm 1) on ``N`` UCB agents:

    1. sample E episodes with each agent under theta
    2. theta_i = theta - a grad 1/E sum_e sum_t [ -log pi(u_t) G_t - log p(a_t) ]
    3. sample E fresh episodes with each agent under theta_i
    4. g = grad_theta 1/(N E T) sum [ -log pi_i(u_t) A_t - b H(pi_i) - log p_i(a_t) ]
    5. one Adam step on g, clipped for each network by itself

``G`` are returns to go, ``A`` the same less the leave-one-out baseline, to unit variance. The
policy reads the world model's prediction, but its gradient does not pass into the world model.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from mermaide_jax import errors

Order = Literal["first", "second"]
Params = dict[str, Any]

EXPLORATION, NOISE, COST, BONUS = 0.42, 0.1, 0.75, 1.0
INNER_RATE, OUTER_RATE, ENTROPY_BONUS, MAX_GRADIENT_NORM = 7e-4, 1e-3, 0.25, 1.0
NUM_INTERVENTIONS = 2


@dataclasses.dataclass(frozen=True)
class MetaWorkload:
    """Sizes of one meta-step; the defaults are the published ones, with one episode a task."""

    horizon: int = 200
    """Steps T of an episode."""
    num_arms: int = 10
    """Arms A."""
    num_tasks: int = 15
    """Tasks N."""
    episodes: int = 1
    """Episodes E of each task before adaptation, and after."""
    features: int = 128
    """Hidden units H of each layer."""
    num_layers: int = 2
    """Layers L of the world model and of the policy."""
    order: Order = "second"
    """Outer gradient through the inner step (second), or with a constant inner gradient (first)."""
    seed: int = 0
    """Seed of the tasks, the first parameters and the episodes."""

    def __post_init__(self) -> None:
        errors.check_at_least("num_arms", self.num_arms, 2)
        for name in ("horizon", "num_tasks", "episodes", "features", "num_layers"):
            errors.check_at_least(name, getattr(self, name), 1)
        errors.check_choice("order", self.order, get_args(Order))

    @property
    def inputs(self) -> dict[str, int]:
        """Inputs of each network: the observation, and for the policy the belief beside it."""
        observation = 2 * self.num_arms + 1
        return {"world_model": observation, "policy": observation + self.num_arms}

    @property
    def outputs(self) -> dict[str, int]:
        """Logits of each network."""
        return {"world_model": self.num_arms, "policy": NUM_INTERVENTIONS}


class Tasks(NamedTuple):
    """Bandits: ``mean_rewards [N, A]`` float32 in [0, 1], ``target [N]`` int32, never the best."""

    mean_rewards: Any
    target: Any


def make_tasks(work: MetaWorkload) -> Tasks:
    """Base rewards uniform in [0, 1], the target uniform among the arms that are not the best."""
    rng = np.random.default_rng((work.seed, 0))
    rewards = rng.uniform(size=(work.num_tasks, work.num_arms)).astype(np.float32)
    shift = rng.integers(1, work.num_arms, work.num_tasks)
    return Tasks(rewards, ((rewards.argmax(1) + shift) % work.num_arms).astype(np.int32))


def make_params(work: MetaWorkload) -> Params:
    """First parameters, the gates r, z, n side by side, numpy float32; see `to_library`.

    Every leaf is drawn, read-outs and biases too, so that no gradient is zero.
    """
    rng = np.random.default_rng((work.seed, 1))

    def normal(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    def layer(inputs: int) -> Params:
        size = work.features
        return {
            "input": {"kernel": normal(inputs, 3 * size), "bias": normal(3 * size)},
            "recurrent_kernel": normal(size, 3 * size),
            "candidate_bias": normal(size),
        }

    def network(inputs: int, outputs: int) -> Params:
        sizes = [inputs] + [work.features] * (work.num_layers - 1)
        body = {f"layers_{i}": layer(size) for i, size in enumerate(sizes)}
        head = {"kernel": normal(work.features, outputs), "bias": normal(outputs)}
        return {"body": body, "head": head}

    return {name: network(work.inputs[name], work.outputs[name]) for name in work.inputs}


def cell_of(kernel: Any, bias: Any, recurrent: Any, candidate_bias: Any) -> Params:
    """Params of Flax's ``nn.GRUCell`` from gates r, z, n side by side."""
    cell: Params = {}
    for i, gate in enumerate("rzn"):
        part = slice(i * recurrent.shape[0], (i + 1) * recurrent.shape[0])
        cell[f"i{gate}"] = {"kernel": kernel[:, part], "bias": bias[part]}
        cell[f"h{gate}"] = {"kernel": recurrent[:, part]}
    cell["hn"]["bias"] = candidate_bias
    return cell


def cell_of_layer(layer: Params) -> Params:
    """`cell_of` one layer of `make_params`."""
    dense = layer["input"]
    recurrent, candidate_bias = layer["recurrent_kernel"], layer["candidate_bias"]
    return cell_of(dense["kernel"], dense["bias"], recurrent, candidate_bias)


def to_library(params: Params) -> Params:
    """Params of the library's networks (`networks.RecurrentHead`) from those of `make_params`."""

    def network(tree: Params) -> Params:
        layers = {name: {"cell": cell_of_layer(layer)} for name, layer in tree["body"].items()}
        return {"body": layers, "head": tree["head"]}

    return {name: network(tree) for name, tree in params.items()}


def memory_of(function: Callable[[], Any]) -> int | None:
    """Growth of this process's resident memory while ``function`` runs, at its peak, in bytes.

    It is known on Linux only (elsewhere None), and counts what the first call of ``function``
    takes anew: memory that the allocator kept from earlier work is not seen.
    """
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the peak starts afresh
        before = _status("VmRSS")
        function()
        return _status("VmHWM") - before
    except OSError:
        function()
        return None


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(field))
    return 1024 * int(line.split()[1])
