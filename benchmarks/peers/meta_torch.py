"""The meta-step in PyTorch, three ways, on one thread; torch is imported when a peer is made.

All three sample apart from the loss, in one batch over tasks and episodes without gradients, and
leave every derivative to the library; they differ in how the second-order gradient comes about.
"""

import functools
from typing import Any

from benchmarks.workloads import meta_workload
from benchmarks.workloads.meta_workload import MetaWorkload
from mermaide_jax.throughput.timing import Run


def torch_func(*, plain: bool = False, **options: Any) -> Run:
    """Contender: `torch.func`, ``vmap`` over tasks, ``grad`` through ``grad``.

    GRU cells are written by hand (PyTorch's own GRU has no batching rule), all tasks in one batch.

    Args:
      plain: cells as one would write them first, not with the inputs projected beforehand and the
        gates split rather than sliced, which makes going back through them a third cheaper.
      **options: fields of `MetaWorkload`.

    Raises:
      ConfigError: an option out of its range.
    """
    from benchmarks.peers.meta_torch_losses import adapt_by_vmap

    return _make(MetaWorkload(**options), functools.partial(adapt_by_vmap, plain=plain))


def torch_gru(**options: Any) -> Run:
    """Contender: PyTorch's own GRU over whole sequences, double backward, a loop over tasks.

    Args:
      **options: fields of `MetaWorkload`.

    Raises:
      ConfigError: an option out of its range.
    """
    from benchmarks.peers.meta_torch_losses import adapt_in_a_loop

    return _make(MetaWorkload(**options), adapt_in_a_loop)


def torch_opt(**options: Any) -> Run:
    """Contender: TorchOpt's differentiable SGD, PyTorch's own GRU, a loop over tasks.

    Args:
      **options: fields of `MetaWorkload`.

    Raises:
      ConfigError: an option out of its range.
    """
    from benchmarks.peers.meta_torch_losses import adapt_by_torchopt

    return _make(MetaWorkload(**options), adapt_by_torchopt)


def _make(work: MetaWorkload, make_adapt: Any) -> Run:
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks.peers import meta_torch_losses, meta_torch_play

    torch.set_num_threads(1)
    torch.manual_seed(work.seed)
    tasks = meta_workload.make_tasks(work)
    params = meta_torch_play.to_torch(meta_workload.make_params(work))
    adapt = make_adapt(work)
    networks = {
        name: [leaf for path, leaf in params.items() if path.startswith(name + "/")]
        for name in work.inputs
    }
    adam = torch.optim.Adam(params.values(), lr=meta_workload.OUTER_RATE)

    def run() -> float:
        before = meta_torch_play.play(work, params, tasks)
        adapted, logits_of = adapt(params, before)
        detached = {name: leaf.detach() for name, leaf in adapted.items()}
        after = meta_torch_play.play(work, detached, tasks)
        loss = meta_torch_losses.outer_loss(logits_of(after), after)
        adam.zero_grad()
        loss.backward()
        norms = [
            torch.nn.utils.clip_grad_norm_(leaves, meta_workload.MAX_GRADIENT_NORM)
            for leaves in networks.values()
        ]
        adam.step()
        return float(torch.linalg.vector_norm(torch.stack(norms)))

    return Run(run, temp_bytes=meta_workload.memory_of(run))
