"""Two GRU layers over whole sequences."""

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites.names import JAX, OURS, PEERS, TORCH, WORKLOADS


def cases(quick: bool) -> list[Case]:
    """Two GRU layers of 128 over whole sequences: value, gradient, Hessian-vector product."""
    batches = (15,) if quick else (15, 240)
    parts = ("hessian_vector",) if quick else ("forward", "gradient", "hessian_vector")
    return [
        Case(
            suite="network",
            name=f"network_{part}_{batch}",
            unit="sequences",
            contenders=tuple(
                Contender(name, factory, {"part": part, **sizes}, work=batch)
                for name, factory in (
                    (OURS, WORKLOADS + "gru"),
                    (JAX, PEERS + "gru_jax:flax_cells"),
                    (TORCH, PEERS + "gru_torch:whole_sequence"),
                )
            ),
            sizes={"part": part, **sizes},
            agree_within=1e-3,
            warm_up=True,
        )
        for batch in batches
        for part in parts
        for sizes in [{"batch": batch, "horizon": 200, "inputs": 31, "features": 128}]
    ]
