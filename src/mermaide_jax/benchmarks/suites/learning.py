"""Networks, the meta-step, whole training, and two devices instead of one."""

from typing import Any

from mermaide_jax.benchmarks.contender import Case, Contender
from mermaide_jax.benchmarks.peers.meta_bound import meta_step_flops
from mermaide_jax.benchmarks.peers.meta_workload import MetaWorkload

OURS, JAX, TORCH = "mermaide_jax", "JAX Flax cells", "PyTorch nn.GRU"
TORCH_FUNC, TORCH_OPT = "torch.func vmap", "TorchOpt"
BOUNDS = {f"matrix products, {library}": library for library in ("jax", "numpy", "torch")}
"""The machine's rate for matrix products: that of the fastest of these."""
BLOCKED, TORCH_PLAIN = "mermaide_jax, an agent at a time", "torch.func vmap, as first written"
ONE_A_CALL, JAX_ONE_A_CALL = f"{OURS}, an update a call", f"{JAX}, an update a call"
XLA_LOOPS = "mermaide_jax, loops of XLA"
"""Where there is a C compiler the others run those of `mermaide_jax.networks.gru.native`."""
FIRST_ORDER, REMAT = "mermaide_jax, first order", "JAX Flax cells, checkpointed"
ONE_DEVICE, TWO_DEVICES = "one device", "two devices"
ONE_DEVICE_ALL_CORES = "one device, free to use both cores"

_OURS, _PEERS = "mermaide_jax.benchmarks.ours:", "mermaide_jax.benchmarks.peers."
_ONE = {"NPROC": "1"}
"""XLA takes this for the number of its threads."""
_TWO = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_force_host_platform_device_count=2"}


def network(quick: bool) -> list[Case]:
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
                    (OURS, _OURS + "gru"),
                    (JAX, _PEERS + "gru_jax:flax_cells"),
                    (TORCH, _PEERS + "gru_torch:whole_sequence"),
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


def meta_step(quick: bool) -> list[Case]:
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


_FLAX = "meta_flax:flax_cells"


def _bounds(options: dict[str, Any]) -> list[Contender]:
    """Matrix products at the machine's rate, as many as one meta-step cannot do without."""
    needed = meta_step_flops(MetaWorkload(**options)).total
    size, products = 1024, 4
    return [
        Contender(
            name,
            _PEERS + "meta_bound:gemm",
            {"library": library, "size": size, "products": products},
            work=2 * products * size**3 / needed,
        )
        for name, library in BOUNDS.items()
    ]


def _ours(options: dict[str, Any], name: str = OURS) -> Contender:
    work = options.get("updates", 1)
    return Contender(name, _OURS + "meta_step", options, work=work, limit_s=300)


def _peer(
    name: str, factory: str, options: dict[str, Any], max_repeats: int | None = None
) -> Contender:
    work = options.get("updates", 1)
    return Contender(
        name, _PEERS + factory, options, work=work, limit_s=300, max_repeats=max_repeats
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


def whole_training(quick: bool) -> list[Case]:
    """Whole updates as `training.train` makes them: of small GRUs, and of the preset ``default``.

    None when time is short: they take longest to compile, and `devices` has some.
    """
    if quick:
        return []
    sizes = {"updates": 5, "num_tasks": 15, "episodes": 8, "horizon": 50}
    names = {"second": OURS, "first": FIRST_ORDER, "none": f"{OURS}, no meta-learning"}
    return [
        Case(
            suite="training",
            name="training_updates",
            unit="updates",
            contenders=tuple(
                Contender(
                    name,
                    _OURS + "training_chunk",
                    {**sizes, "features": 32, "order": order},
                    work=sizes["updates"],
                    limit_s=300,
                )
                for order, name in names.items()
            ),
            sizes={**sizes, "features": 32, "streams": 1},
        ),
        Case(
            suite="training",
            name="training_default",
            unit="updates",
            contenders=tuple(
                Contender(
                    name,
                    _OURS + "preset_chunk",
                    {"preset": "default", "principal": principal, "updates": 5},
                    work=5,
                    limit_s=300,
                )
                for name, principal in (
                    (OURS, "mermaide"),
                    (f"{OURS}, no meta-learning", "world_model_without_meta"),
                )
            ),
            sizes={"preset": "default", "updates": 5},
            warm_up=True,
        ),
    ]


def devices(quick: bool) -> list[Case]:
    """Two virtual devices against one, a thread each, on two cores: wall clock.

    Several updates are one program, as in `meta_step` and for the same reason. XLA lets one device
    compute independent parts of a program on all cores, so that case is measured beside.
    """
    agents = 20_000 if quick else 100_000
    sizes = {
        "updates": 1 if quick else 4, "streams": 2, "num_tasks": 5 if quick else 15, "episodes": 2,
        "horizon": 50 if quick else 200, "features": 128, "order": "none" if quick else "second",
    }  # fmt: skip
    simulated = {"family": "ucb", "agents": agents, "horizon": 200, "arms": 10}

    def on_devices(
        name: str, factory: str, options: dict[str, Any], work: float, environment: dict[str, str]
    ) -> Contender:
        return Contender(
            name, _OURS + factory, options, work, cores=2, environment=environment, limit_s=300
        )

    def training(name: str, environment: dict[str, str]) -> Contender:
        return on_devices(name, "training_chunk", sizes, 2 * sizes["updates"], environment)

    def simulation(name: str, environment: dict[str, str], count: int) -> Contender:
        options = {**simulated, "devices": count}
        return on_devices(name, "simulator", options, agents * 200, environment)

    trained = [training(ONE_DEVICE, _ONE), training(TWO_DEVICES, _TWO)]
    if not quick:
        trained.append(training(ONE_DEVICE_ALL_CORES, {}))
    return [
        Case(
            suite="devices",
            name="devices_training",
            unit="updates",
            contenders=tuple(trained),
            sizes=sizes,
            clock="wall",
            repeats=None if quick else 10,
            warm_up=True,
        ),
        Case(
            suite="devices",
            name="devices_simulator",
            unit="agent-steps",
            contenders=(simulation(ONE_DEVICE, _ONE, 1), simulation(TWO_DEVICES, _TWO, 2)),
            sizes=simulated,
            clock="wall",
            agree_within="statistically",
        ),
    ]
