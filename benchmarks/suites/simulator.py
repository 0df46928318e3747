"""Agents alone: T=200, A=10, Gaussian rewards, one thread."""

from benchmarks.harness.contender import Case, Contender
from benchmarks.workloads.problem import COEFFICIENTS

HORIZON, ARMS = 200, 10
OURS, JAX, TUNED, C = "mermaide_jax", "JAX vmap(scan)", "NumPy tuned", "C AVX-512"
ARMS_FIRST, TEXTBOOK = "NumPy arms first", "NumPy textbook"
SMPY, MABWISER, NUMBA = "SMPyBandits", "MABWiser", "Numba scalar loop"

_PEERS = "benchmarks.peers."
FACTORIES: dict[str, str] = {
    OURS: "benchmarks.workloads.ours:simulator",
    JAX: _PEERS + "jax_sim:vmap_scan",
    TUNED: _PEERS + "numpy_sim:tuned",
    ARMS_FIRST: _PEERS + "numpy_sim:arms_first",
    TEXTBOOK: _PEERS + "numpy_sim:textbook",
    NUMBA: _PEERS + "numba_sim:scalar_loop",
    C: _PEERS + "c_sim:avx512",
    SMPY: _PEERS + "smpybandits_sim:evaluator_loop",
    MABWISER: _PEERS + "mabwiser_sim:predict_and_fit",
}
_ONE_BY_ONE = {SMPY: 20, MABWISER: 5}
"""Agents of the peers that simulate one at a time: their cost per agent does not depend on it."""


def simulating(name: str, family: str, agents: int, label: str = "", **options) -> Contender:
    """One simulator as a contender; ``options`` go to its factory."""
    agents = min(agents, _ONE_BY_ONE.get(name, agents))
    arms, horizon = options.pop("arms", ARMS), options.pop("horizon", HORIZON)
    # Its exploration is by the sum of the rewards: another law, so its mean reward differs.
    same_law = not (name == SMPY and family == "epsilon_greedy")
    return Contender(
        name=label or name,
        factory=FACTORIES[name],
        options={"family": family, "agents": agents, "arms": arms, "horizon": horizon, **options},
        work=agents * horizon,
        agents=agents if same_law else None,
        same_checksum=same_law,
    )


def cases(quick: bool) -> list[Case]:
    """Every peer at N=10,000, and those that a small batch makes sense for at N=1 and N=100."""
    return [_case(family, agents, quick) for agents in (10_000, 100, 1) for family in COEFFICIENTS]


def case_name(family: str, agents: int) -> str:
    """Name of the case of ``family`` with ``agents`` agents."""
    return f"simulator_{agents}_{family}"


def _case(family: str, agents: int, quick: bool) -> Case:
    names = [OURS, TUNED, ARMS_FIRST, JAX, C, SMPY]
    names += [] if quick else [TEXTBOOK, NUMBA, MABWISER]
    if agents < 10_000:
        names = [OURS, TUNED, ARMS_FIRST, C]
        names += [] if quick else [TEXTBOOK, NUMBA, JAX]
    contenders = [simulating(name, family, agents) for name in names]
    if agents == 10_000 and not quick:
        contenders.append(simulating(OURS, family, agents, f"{OURS}, 13 rounds", rounds=13))
        if family == "ucb":
            contenders.append(simulating(C, family, agents, f"{C}, paired draws", paired=True))
    return Case(
        suite="simulator",
        name=case_name(family, agents),
        unit="agent-steps",
        contenders=tuple(contenders),
        sizes={"family": family, "agents": agents, "arms": ARMS, "horizon": HORIZON},
        agree_within="statistically",
    )
