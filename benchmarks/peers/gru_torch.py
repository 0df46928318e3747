"""Two GRU layers over whole sequences in PyTorch: its own `nn.GRU`."""

import importlib

import numpy as np

from benchmarks.workloads import problem
from benchmarks.workloads.ours import Part
from mermaide_jax.throughput.timing import Run


def whole_sequence(
    part: Part, batch: int = 15, horizon: int = 200, inputs: int = 31, features: int = 128
) -> Run:
    """`torch.nn.GRU` on all sequences at once; arguments as of `ours.gru`.

    The Hessian-vector product is the gradient of ``<gradient, params>`` (double backward).
    """
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    stack = torch.nn.GRU(inputs, features, num_layers=2, batch_first=True)
    sequence = torch.from_numpy(
        problem.generator(1).standard_normal((batch, horizon, inputs), np.float32)
    )
    params = list(stack.parameters())
    with torch.no_grad():
        for number, layer in enumerate(problem.gru_layers(inputs, features)):
            # PyTorch has biases of the recurrent products for all gates, not only the candidate.
            extra = np.concatenate([np.zeros(2 * features, np.float32), layer["candidate_bias"]])
            values = (layer["input"].T, layer["recurrent"].T, layer["bias"], extra)
            for param, value in zip(params[4 * number : 4 * number + 4], values, strict=True):
                param.copy_(torch.from_numpy(np.ascontiguousarray(value)))

    def norm(tensors):
        shared = [t[2 * features :] if i % 4 == 3 else t for i, t in enumerate(tensors)]
        return torch.sqrt(sum(t.square().sum() for t in shared))

    def run() -> float:
        if part == "forward":
            with torch.no_grad():
                return float(stack(sequence)[0].square().mean())
        second = part == "hessian_vector"
        loss = stack(sequence)[0].square().mean()
        gradient = torch.autograd.grad(loss, params, create_graph=second)
        if not second:
            return float(norm(gradient))
        product = sum((g * p.detach()).sum() for g, p in zip(gradient, params, strict=True))
        return float(norm(torch.autograd.grad(product, params)))

    return Run(run)
