"""What comes before the first result: compilation, memory, the start of the command."""

from typing import Any

from mermaide_jax.benchmarks.contender import Case, Contender
from mermaide_jax.benchmarks.roofline import COPY, PRODUCT
from mermaide_jax.benchmarks.suites.learning import BLOCKED, JAX, OURS

COLD, WARM = "no compile cache", "warm compile cache"

_OURS = "mermaide_jax.benchmarks.ours:"
_PEERS = "mermaide_jax.benchmarks.peers."


_BARELY = (
    "--seeds 1 --game.num-arms 3 --agents.families ucb --agents.train 3 --agents.test 2"
    " --network.architecture mlp --training.world-model-updates 0 --training.updates 2"
    " --evaluation.shots 0 --principals reinforce"
)
"""The smoke preset cut down to a third of its compilation."""


def compilation(quick: bool) -> list[Case]:
    """Tracing and compiling anew, every cache cleared."""
    simulated = {"family": "ucb", "agents": 10_000}
    programs = {
        "simulator": [
            (OURS, _OURS + "simulator", simulated),
            ("JAX vmap(scan)", _PEERS + "jax_sim:vmap_scan", simulated),
        ],
    }
    if not quick:
        programs["gru_gradient"] = [
            (OURS, _OURS + "gru", {"part": "gradient"}),
            (JAX, _PEERS + "gru_jax:flax_cells", {"part": "gradient"}),
        ]
        programs["meta_step"] = [
            (OURS, _OURS + "meta_step", {}),
            (JAX, _PEERS + "meta_flax:flax_cells", {}),
        ]
        programs["training"] = [(OURS, _OURS + "training_chunk", {})]
    return [
        Case(
            suite="compile",
            name=f"compile_{what}",
            unit="programs",
            contenders=tuple(
                Contender(
                    name,
                    "mermaide_jax.benchmarks.setups:compile_again",
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


def memory(quick: bool) -> list[Case]:
    """Temporary memory as XLA plans it: of the networks' gradient, and of the meta-step."""
    gradients = [
        _planned(
            f"memory_gru_{batch}_sequences",
            {"part": "gradient", "batch": batch, "horizon": 200, "features": 128},
            [(OURS, _OURS + "gru", {}), (JAX, _PEERS + "gru_jax:flax_cells", {})],
        )
        for batch in ((240,) if quick else (15, 240))
    ]
    if quick:
        return gradients
    steps = [
        (OURS, _OURS + "meta_step", {}),
        (BLOCKED, _OURS + "meta_step", {"agents_per_block": 1}),
        (JAX, _PEERS + "meta_flax:flax_cells", {}),
    ]
    return gradients + [
        _planned(
            f"memory_{number}_tasks",
            {"num_tasks": number, "episodes": 1, "horizon": 200, "features": 128},
            steps,
        )
        for number in (15, 60, 240)
    ]


def _planned(
    name: str, sizes: dict[str, Any], programs: list[tuple[str, str, dict[str, Any]]]
) -> Case:
    """Compiled and not run: contenders, their factories, and options beside the sizes."""
    contenders = tuple(
        Contender(contender, factory, {**sizes, **options}, limit_s=300)
        for contender, factory, options in programs
    )
    return Case("memory", name, "programs", contenders, sizes, repeats=0)


def start(quick: bool) -> list[Case]:
    """The whole smoke run in a new process, with a warm compilation cache and without one."""
    arguments = ["reproduce", "--preset", "smoke"]
    if quick:
        arguments += _BARELY.split()
    return [
        Case(
            suite="start",
            name="start_smoke",
            unit="runs",
            contenders=tuple(
                Contender(
                    name,
                    "mermaide_jax.benchmarks.setups:command_line",
                    {"arguments": arguments, "warm_cache": warm},
                    cores=2,
                    fewer_cores=True,
                    limit_s=900,
                )
                for name, warm in ((COLD, False), (WARM, True))
            ),
            sizes={"arguments": " ".join(arguments)},
            clock="wall",
            agree_within=0.0,
            repeats=1 if quick else 3,
            call_once=True,
        )
    ]


def limits(quick: bool) -> list[Case]:
    """What the machine can do on one thread: multiply matrices, copy memory."""
    size, megabytes = 1024, 64 if quick else 512
    machine = "mermaide_jax.benchmarks.machine:"
    product = Contender(PRODUCT, machine + "matrix_product", {"size": size}, work=2.0 * size**3)
    copy = Contender(
        COPY, machine + "memory_copy", {"megabytes": megabytes}, work=2.0 * megabytes * 2**20
    )
    return [
        Case("machine", "machine_product", "FLOP", (product,), {"size": size}),
        Case("machine", "machine_copy", "bytes", (copy,), {"megabytes": megabytes}),
    ]
