"""What the PyTorch peers share: a GRU network step by step, the game, and episodes for all tasks.

Parameters are flat dictionaries named by the path in the library's tree
(``"policy/body/layers_0/input/kernel"``), with a leading axis of tasks once they are adapted.
Everything is batched over tasks ``N`` and episodes ``E``.
"""

from typing import Any, NamedTuple

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from benchmarks.workloads import meta_workload
from benchmarks.workloads.meta_workload import MetaWorkload, Tasks

Tensor = Any  # `torch.Tensor`: the checker may have to do without torch
Params = dict[str, Tensor]


class Episodes(NamedTuple):
    """Known episodes.

    Attributes:
      observation: ``[N, E, T, 2A + 1]``.
      intervention: ``[N, E, T]`` int64.
      action: ``[N, E, T]`` int64.
      reward: ``[N, E, T]``, the principal's.
    """

    observation: Tensor
    intervention: Tensor
    action: Tensor
    reward: Tensor


def to_torch(params: meta_workload.Params) -> Params:
    """A nested tree of arrays as a flat dictionary of leaves that require gradients."""
    out: Params = {}
    for name, value in params.items():
        if isinstance(value, dict):
            out |= {f"{name}/{path}": leaf for path, leaf in to_torch(value).items()}
        else:
            out[name] = torch.tensor(np.asarray(value), requires_grad=True)
    return out


def cell(params: Params, layer: str, hidden: Tensor, projected: Tensor) -> Tensor:
    """One step of a GRU layer, ``[..., H]`` from ``[..., H]`` and ``[..., 3H]``."""
    size = hidden.shape[-1]
    recurrent = hidden @ params[layer + "recurrent_kernel"]
    # `split`, not slices: going back through a slice fills a tensor of zeros each time.
    gates, candidate = recurrent.split([2 * size, size], -1)
    given_gates, given = projected.split([2 * size, size], -1)
    reset, update = torch.sigmoid(given_gates + gates).chunk(2, -1)
    candidate = torch.tanh(given + reset * (candidate + row(params[layer + "candidate_bias"])))
    return candidate + update * (hidden - candidate)


def row(bias: Tensor) -> Tensor:
    """A bias, with or without a leading axis of tasks, against ``[..., E, features]``."""
    return bias[..., None, :]


def layer_names(work: MetaWorkload, network: str) -> list[str]:
    """Prefixes of the names of a network's layers."""
    return [f"{network}/body/layers_{i}/" for i in range(work.num_layers)]


def _network_step(
    work: MetaWorkload, params: Params, network: str, memory: list[Tensor], inputs: Tensor
) -> Tensor:
    """Log-probabilities ``[N, E, outputs]``; ``memory`` is brought up to date in place."""
    for i, layer in enumerate(layer_names(work, network)):
        projected = inputs @ params[layer + "input/kernel"] + row(params[layer + "input/bias"])
        memory[i] = inputs = cell(params, layer, memory[i], projected)
    head = params[network + "/head/kernel"], params[network + "/head/bias"]
    return torch.log_softmax(inputs @ head[0] + row(head[1]), -1)


class Bandits:
    """UCB agents on Gaussian bandits, ``[N, E]`` of them, and what they pay the principal."""

    def __init__(self, tasks: Tasks, episodes: int, horizon: int) -> None:
        mean_rewards = torch.as_tensor(tasks.mean_rewards)
        shape = (mean_rewards.shape[0], episodes, mean_rewards.shape[1])
        self.mean_rewards = mean_rewards[:, None].expand(shape)
        self.target = torch.as_tensor(tasks.target).long()[:, None].expand(shape[:2])
        self.counts, self.means = torch.zeros(shape), torch.zeros(shape)
        # Draws for the whole episode at once: few calls into the generator.
        self.untried = 1e3 + torch.rand(horizon, *shape)
        self.noise = meta_workload.NOISE * torch.randn(horizon, *shape[:2])

    def step(self, time: int, intervention: Tensor) -> tuple[Tensor, Tensor]:
        """The agents' actions and the principal's rewards, both ``[N, E]``."""
        pulls = self.counts.clamp(min=1.0)
        width = meta_workload.EXPLORATION * torch.sqrt(np.log(max(time, 1)) / pulls)
        index = torch.where(self.counts == 0, self.untried[time], self.means + width)
        action = index.argmax(-1)
        hit, arm = (action == self.target).float(), action[..., None]
        reward = self.mean_rewards.gather(-1, arm)[..., 0] + self.noise[time]
        reward = reward + meta_workload.BONUS * intervention * hit
        self.counts.scatter_add_(-1, arm, torch.ones_like(reward)[..., None])
        error = reward[..., None] - self.means.gather(-1, arm)
        self.means.scatter_add_(-1, arm, error / self.counts.gather(-1, arm))
        return action, hit - meta_workload.COST * intervention


@torch.no_grad()
def play(work: MetaWorkload, params: Params, tasks: Tasks) -> Episodes:
    """Samples ``E`` episodes with each agent; ``params`` shared, or with a leading axis of tasks.

    Sampling lies apart from the differentiated graph: there it would be replayed twice.
    """
    game = Bandits(tasks, work.episodes, work.horizon)
    one_hot = torch.eye(work.num_arms)
    seen = torch.zeros(work.num_tasks, work.episodes, 2 * work.num_arms + 1)
    seen[..., work.num_arms + 1 :] = one_hot[game.target]
    zeros = torch.zeros(work.num_tasks, work.episodes, work.features)
    model_memory, policy_memory = ([zeros] * work.num_layers for _ in range(2))
    luck = torch.rand(work.horizon, work.num_tasks, work.episodes)
    out = []
    for time in range(work.horizon):
        observed = seen.clone()
        belief = _network_step(work, params, "world_model", model_memory, observed).exp()
        inputs = torch.cat([observed, belief], -1)
        policy = _network_step(work, params, "policy", policy_memory, inputs)
        intervention = luck[time] < policy[..., 1].exp()
        action, reward = game.step(time, intervention.float())
        out.append((observed, intervention.long(), action, reward))
        seen[..., : work.num_arms] = one_hot[action]
        seen[..., work.num_arms] = intervention
    return Episodes(*(torch.stack(field, 2) for field in zip(*out, strict=True)))
