"""Names of contenders that several suites and the rows of the table share, and their factories."""

OURS, JAX, TORCH = "mermaide_jax", "JAX Flax cells", "PyTorch nn.GRU"
FIRST_ORDER = f"{OURS}, first order"
BLOCKED = f"{OURS}, an agent at a time"

WORKLOADS, PEERS = "benchmarks.workloads.ours:", "benchmarks.peers."
