"""Tracing and compiling anew."""

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites.names import JAX, OURS, PEERS, WORKLOADS


def cases(quick: bool) -> list[Case]:
    """Tracing and compiling anew, every cache cleared."""
    simulated = {"family": "ucb", "agents": 10_000}
    programs = {
        "simulator": [
            (OURS, WORKLOADS + "simulator", simulated),
            ("JAX vmap(scan)", PEERS + "jax_sim:vmap_scan", simulated),
        ],
    }
    if not quick:
        programs["gru_gradient"] = [
            (OURS, WORKLOADS + "gru", {"part": "gradient"}),
            (JAX, PEERS + "gru_jax:flax_cells", {"part": "gradient"}),
        ]
        programs["meta_step"] = [
            (OURS, WORKLOADS + "meta_step", {}),
            (JAX, PEERS + "meta_flax:flax_cells", {}),
        ]
        programs["training"] = [(OURS, WORKLOADS + "training_chunk", {})]
    return [
        Case(
            suite="compile",
            name=f"compile_{what}",
            unit="programs",
            contenders=tuple(
                Contender(
                    name,
                    "benchmarks.workloads.setups:compile_again",
                    {"factory": factory, "options": options},
                    limit_s=300,
                )
                for name, factory, options in contenders
            ),
            repeats=2 if quick else 3,
            call_once=True,
        )
        for what, contenders in programs.items()
    ]
