"""The meta-step: one outer update, against peers and against what its matrix products cost."""

from typing import Any

from benchmarks.harness.contender import Case, Contender
from benchmarks.suites.names import BLOCKED, FIRST_ORDER, JAX, OURS, PEERS, TORCH, WORKLOADS
from benchmarks.workloads.meta_bound import meta_step_flops
from benchmarks.workloads.meta_workload import MetaWorkload

TORCH_FUNC, TORCH_OPT = "torch.func vmap", "TorchOpt"
TORCH_PLAIN = f"{TORCH_FUNC}, as first written"
BOUNDS = {f"matrix products, {library}": library for library in ("jax", "numpy", "torch")}
"""The machine's rate for matrix products: that of the fastest of these."""
ONE_A_CALL, JAX_ONE_A_CALL = f"{OURS}, an update a call", f"{JAX}, an update a call"
XLA_LOOPS = f"{OURS}, loops of XLA"
"""Where there is a C compiler the others run those of `mermaide_jax.networks.gru.native`."""
REMAT = f"{JAX}, checkpointed"

_FLAX = "meta_flax:flax_cells"


def cases(quick: bool) -> list[Case]:
    """One second-order outer update: play, adapt, play again, one Adam step.

    Where it is a compiled program, two are one, as `training.train` makes many: then memory is
    taken from the system once, not in every update. All are warmed up before each repeat, since
    training calls the same program again and again.
    """
    one: dict[str, Any] = {"horizon": 50 if quick else 200, "num_tasks": 15, "episodes": 1}
    many: dict[str, Any] = {**one, "episodes": 16}
    chunk: dict[str, Any] = {**one, "updates": 2}
    contenders = [
        _ours(chunk),
        _ours({**chunk, "order": "first"}, FIRST_ORDER),
        _ours({**chunk, "agents_per_block": 1}, BLOCKED),
        _peer(JAX, _FLAX, chunk),
        _peer(TORCH_FUNC, "meta_torch:torch_func", one),
        *_bounds(one),
    ]
    if quick:
        many |= {"horizon": 20, "num_tasks": 5}
    else:
        contenders.append(_ours({**chunk, "recurrence": "in_place"}, XLA_LOOPS))
        contenders += [_ours(one, ONE_A_CALL), _peer(JAX_ONE_A_CALL, _FLAX, one)]
        contenders.append(_peer(TORCH_PLAIN, "meta_torch:torch_func", {**one, "plain": True}))
        slow = [(TORCH, "meta_torch:torch_gru"), (TORCH_OPT, "meta_torch:torch_opt")]
        contenders += [_peer(name, factory, one, max_repeats=3) for name, factory in slow]
        contenders.append(_peer(REMAT, _FLAX, {**one, "remat": True}, max_repeats=5))
    return [
        _meta_case("meta_step", one, contenders, warm_up=True),
        _meta_case(
            "meta_step_16_episodes",
            many,
            [
                _ours({**many, "agents_per_block": 1}),
                _peer(JAX, _FLAX, many),
                *([] if quick else _bounds(many)),
            ],
        ),
    ]


def _bounds(options: dict[str, Any]) -> list[Contender]:
    """Matrix products at the machine's rate, as many as one meta-step cannot do without."""
    needed = meta_step_flops(MetaWorkload(**options)).total
    size, products = 1024, 4
    return [
        Contender(
            name,
            "benchmarks.workloads.meta_bound:gemm",
            {"library": library, "size": size, "products": products},
            work=2 * products * size**3 / needed,
        )
        for name, library in BOUNDS.items()
    ]


def _ours(options: dict[str, Any], name: str = OURS) -> Contender:
    work = options.get("updates", 1)
    return Contender(name, WORKLOADS + "meta_step", options, work=work, limit_s=300)


def _peer(
    name: str, factory: str, options: dict[str, Any], max_repeats: int | None = None
) -> Contender:
    work = options.get("updates", 1)
    return Contender(
        name, PEERS + factory, options, work=work, limit_s=300, max_repeats=max_repeats
    )


def _meta_case(
    name: str, sizes: dict[str, Any], contenders: list[Contender], *, warm_up: bool = False
) -> Case:
    return Case(
        suite="meta_step",
        name=name,
        unit="meta-steps",
        contenders=tuple(contenders),
        sizes={**sizes, "arms": 10, "layers": 2, "features": 128, "networks": 2},
        warm_up=warm_up,
    )
