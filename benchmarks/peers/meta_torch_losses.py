"""The losses of the meta-step in PyTorch, and the three ways to adapt that are compared.

A way to adapt gives ``adapt(params, episodes) -> (adapted, logits_of)``: the adapted parameters
with a leading axis of tasks, for sampling, and ``logits_of(episodes)``, what the adapted networks
say to other episodes, inside the differentiated graph.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch  # pyright: ignore[reportMissingImports]

from benchmarks.peers import meta_torch_play as play
from benchmarks.peers.meta_torch_play import Episodes, Params, Tensor
from benchmarks.workloads import meta_workload
from benchmarks.workloads.meta_workload import MetaWorkload

Unroll = Callable[[Params, str, Tensor], Tensor]


class Said(NamedTuple):
    """Log-probabilities of the policy ``[..., T, 2]`` and the world model ``[..., T, A]``."""

    policy: Tensor
    prediction: Tensor


LogitsOf = Callable[[Episodes], Said]
Adapt = Callable[[Params, Episodes], tuple[Params, LogitsOf]]


def say(unroll: Unroll, params: Params, observation: Tensor) -> Said:
    """What the networks say to observations ``[E, T, O]`` of one task."""
    prediction = torch.log_softmax(unroll(params, "world_model", observation), -1)
    inputs = torch.cat([observation, prediction.detach().exp()], -1)
    return Said(torch.log_softmax(unroll(params, "policy", inputs), -1), prediction)


def step_losses(said: Said, episodes: Episodes, advantage: Tensor) -> Tensor:
    """``-log pi(u_t) A_t - log p(a_t)`` of each step."""
    log_prob = said.policy.gather(-1, episodes.intervention[..., None])[..., 0]
    log_likelihood = said.prediction.gather(-1, episodes.action[..., None])[..., 0]
    return -log_prob * advantage - log_likelihood


def rewards_to_go(rewards: Tensor) -> Tensor:
    """Sums from each step to the end, ``[..., T]``."""
    return rewards.flip(-1).cumsum(-1).flip(-1)


def advantages(rewards: Tensor) -> Tensor:
    """Returns to go less the mean of the task's other episodes, to unit variance, ``[N, E, T]``."""
    returns = rewards_to_go(rewards)
    others = returns.sum(1, keepdim=True) - returns
    centred = returns - others / max(returns.shape[1] - 1, 1)
    return centred / (centred.square().mean().sqrt() + 1e-6)


def inner_loss(unroll: Unroll, params: Params, episodes: Episodes) -> Tensor:
    """Summed over time, a mean over the ``E`` episodes of one task."""
    said = say(unroll, params, episodes.observation)
    return step_losses(said, episodes, rewards_to_go(episodes.reward)).sum(-1).mean()


def outer_loss(said: Said, episodes: Episodes) -> Tensor:
    """A mean over tasks, episodes and steps, with the entropy bonus."""
    losses = step_losses(said, episodes, advantages(episodes.reward))
    entropy = -(said.policy.exp() * said.policy).sum(-1)
    return (losses - meta_workload.ENTROPY_BONUS * entropy).mean()


def descend(params: Params, gradients: Params) -> Params:
    """One step of SGD."""
    return {name: p - meta_workload.INNER_RATE * gradients[name] for name, p in params.items()}


def unroll_cells(work: MetaWorkload) -> Unroll:
    """Hand-written cells, step by step, over inputs that are projected beforehand."""

    def unroll(params: Params, network: str, inputs: Tensor) -> Tensor:
        inputs = inputs.transpose(0, 1)  # time first
        for layer in play.layer_names(work, network):
            kernel, bias = params[layer + "input/kernel"], params[layer + "input/bias"]
            hidden, outputs = inputs.new_zeros(inputs.shape[1], work.features), []
            for projected in (inputs @ kernel + bias).unbind(0):
                hidden = play.cell(params, layer, hidden, projected)
                outputs.append(hidden)
            inputs = torch.stack(outputs)
        head = params[network + "/head/kernel"], params[network + "/head/bias"]
        return (inputs @ head[0] + head[1]).transpose(0, 1)

    return unroll


def unroll_plain(work: MetaWorkload) -> Unroll:
    """Hand-written cells as one would write them first: inputs projected and gates cut each step.

    Going back through a slice fills a tensor of zeros, and each step's projection leaves a gradient
    of the whole input kernel.
    """

    def step(params: Params, layer: str, hidden: Tensor, inputs: Tensor) -> Tensor:
        size = work.features
        given = inputs @ params[layer + "input/kernel"] + params[layer + "input/bias"]
        recurrent = hidden @ params[layer + "recurrent_kernel"]
        reset = torch.sigmoid(given[:, :size] + recurrent[:, :size])
        update = torch.sigmoid(given[:, size : 2 * size] + recurrent[:, size : 2 * size])
        recurrent = recurrent[:, 2 * size :] + params[layer + "candidate_bias"]
        candidate = torch.tanh(given[:, 2 * size :] + reset * recurrent)
        return (1 - update) * candidate + update * hidden

    def unroll(params: Params, network: str, inputs: Tensor) -> Tensor:
        layers, outputs = play.layer_names(work, network), []
        memory = [inputs.new_zeros(inputs.shape[0], work.features) for _ in layers]
        for time in range(inputs.shape[1]):
            output = inputs[:, time]
            for i, layer in enumerate(layers):
                memory[i] = output = step(params, layer, memory[i], output)
            outputs.append(
                output @ params[network + "/head/kernel"] + params[network + "/head/bias"]
            )
        return torch.stack(outputs, 1)

    return unroll


def unroll_gru(work: MetaWorkload) -> Unroll:
    """PyTorch's own GRU (what `torch.nn.GRU` calls) over the whole sequence.

    It has a second bias for the gates r and z; zeros stand there, or SGD would move both.
    """

    def unroll(params: Params, network: str, inputs: Tensor) -> Tensor:
        weights = []
        for layer in play.layer_names(work, network):
            zeros = inputs.new_zeros(2 * work.features)
            candidate = params[layer + "candidate_bias"]
            weights += [params[layer + "input/kernel"].t(), params[layer + "recurrent_kernel"].t()]
            weights += [params[layer + "input/bias"], torch.cat([zeros, candidate])]
        hidden = inputs.new_zeros(work.num_layers, inputs.shape[0], work.features)
        outputs, _ = torch.gru(
            inputs, hidden, weights, True, work.num_layers, 0.0, False, False, True
        )
        return outputs @ params[network + "/head/kernel"] + params[network + "/head/bias"]

    return unroll


def adapt_by_vmap(work: MetaWorkload, *, plain: bool = False) -> Adapt:
    """`torch.func`: ``vmap`` over tasks of ``grad`` over hand-written cells."""
    unroll = unroll_plain(work) if plain else unroll_cells(work)

    def inner(params: Params, *episodes: Tensor) -> Tensor:
        return inner_loss(unroll, params, Episodes(*episodes))

    gradients_of = torch.func.vmap(torch.func.grad(inner), in_dims=(None, 0, 0, 0, 0))
    say_all = torch.func.vmap(lambda params, seen: say(unroll, params, seen))

    def adapt(params: Params, episodes: Episodes) -> tuple[Params, LogitsOf]:
        constant = {name: leaf.detach() for name, leaf in params.items()}
        gradients = gradients_of(params if work.order == "second" else constant, *episodes)
        adapted = descend(params, gradients)
        return adapted, lambda others: Said(*say_all(adapted, others.observation))

    return adapt


def adapt_in_a_loop(work: MetaWorkload, sgd: Callable[[Params, Params], Params] = descend) -> Adapt:
    """`torch.gru` and `torch.autograd` with ``create_graph``, one task after the other."""
    unroll = unroll_gru(work)

    def adapt_one(params: Params, episodes: Episodes) -> Params:
        loss = inner_loss(unroll, params, episodes)
        leaves = list(params.values())
        gradients = torch.autograd.grad(loss, leaves, create_graph=work.order == "second")
        return sgd(params, dict(zip(params, gradients, strict=True)))

    def adapt(params: Params, episodes: Episodes) -> tuple[Params, LogitsOf]:
        each = [adapt_one(params, task) for task in _tasks(episodes)]
        stacked = {name: torch.stack([p[name].detach() for p in each]) for name in params}

        def logits_of(others: Episodes) -> Said:
            pairs = zip(each, others.observation, strict=True)
            said = [say(unroll, p, observation) for p, observation in pairs]
            return Said(*(torch.stack(field) for field in zip(*said, strict=True)))

        return stacked, logits_of

    return adapt


def adapt_by_torchopt(work: MetaWorkload) -> Adapt:
    """The same loop with the differentiable SGD of TorchOpt (that of `torchopt.MetaSGD`)."""
    import torchopt  # pyright: ignore[reportMissingImports]

    optimizer = torchopt.sgd(lr=meta_workload.INNER_RATE, moment_requires_grad=True)

    def sgd(params: Params, gradients: Params) -> Params:
        state = optimizer.init(params)
        updates, _ = optimizer.update(gradients, state, params=params, inplace=False)
        return torchopt.apply_updates(params, updates, inplace=False)

    return adapt_in_a_loop(work, sgd)


def _tasks(episodes: Episodes) -> list[Episodes]:
    return [Episodes(*fields) for fields in zip(*episodes, strict=True)]
