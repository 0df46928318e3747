"""The peers do the work they say they do."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from benchmarks.harness import machine
from benchmarks.harness.contender import Case
from benchmarks.harness.runner import Settings, measure_case
from benchmarks.harness.statistics import agree
from benchmarks.peers import c_sim, gru_jax, jax_sim, numpy_sim
from benchmarks.suites import simulator
from benchmarks.workloads import ours, populations, problem
from mermaide_jax.errors import ConfigError
from mermaide_jax.games import GameConfig

FAMILIES = ["ucb", "epsilon_greedy"]
needs_c = pytest.mark.skipif(c_sim.missing() is not None, reason=str(c_sim.missing()))


def checksums(run, number=6):
    return [run() for _ in range(number)]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def expected(family):
    """Mean rewards of the agents as the textbook has them."""
    return checksums(numpy_sim.textbook(family, 2000))


@pytest.mark.parametrize("factory", [numpy_sim.tuned, numpy_sim.arms_first])
def test_numpy_has_the_law_of_the_textbook(factory, family, expected):
    assert agree(checksums(factory(family, 2000, block=900)), expected, "statistically")


def test_straightforward_jax_has_the_law_of_the_textbook(expected, family):
    with jax.debug_key_reuse(False):
        run = jax_sim.vmap_scan(family, 2000)
    assert agree(checksums(run), expected, "statistically")
    assert {"compile_s", "trace_s", "temp_bytes"} <= set(run.facts)


@needs_c
@pytest.mark.parametrize("paired", [False, True])
def test_c_has_the_law_of_the_textbook(expected, family, paired):
    assert agree(checksums(c_sim.avx512(family, 2000, paired=paired)), expected, "statistically")


@needs_c
def test_c_serves_any_number_of_agents(family):
    few, more = (checksums(c_sim.avx512(family, n), 300) for n in (16, 21))
    means = problem.mean_rewards(21, 10)
    own = [np.mean(few) * 16, np.mean(more) * 21]
    assert means[16:].min() * 5 < own[1] - own[0] < means[16:].max(axis=1).sum() + 0.2


SIMULATORS = [numpy_sim.textbook, numpy_sim.tuned, numpy_sim.arms_first]


@pytest.mark.parametrize("factory", [*SIMULATORS, pytest.param(c_sim.avx512, marks=needs_c)])
def test_every_arm_is_pulled_once_at_first(factory, family):
    agents = 2000
    found = checksums(factory(family, agents, horizon=10), 1)[0]
    error = problem.NOISE / np.sqrt(10 * agents)
    assert found == pytest.approx(problem.mean_rewards(agents, 10).mean(), abs=5 * error)


@needs_c
def test_c_has_the_generator_of_jax():
    out = np.empty(32, np.uint32)
    c_sim.load(10).draw_words(7, 9, 3, out)
    counters = jnp.concatenate([jnp.arange(16), jnp.full(16, 3)]).astype(jnp.uint32)
    key = jnp.asarray([7, 9], jnp.uint32)
    np.testing.assert_array_equal(out, threefry_2x32(key, counters))


@needs_c
def test_c_draws_normals():
    draws = np.empty(2 * 160_000, np.float32)
    c_sim.load(10).draw_normals(1, 2, 160_000, draws)
    assert stats.kstest(draws, "norm").pvalue > 1e-3
    pairs = draws.reshape(-1, 2, 16)
    assert abs(np.corrcoef(pairs[:, 0].ravel(), pairs[:, 1].ravel())[0, 1]) < 0.01


@needs_c
def test_c_is_loaded_once():
    assert c_sim.load(10) is c_sim.load(10, paired=False)


@needs_c
def test_c_refuses_odd_sizes():
    with pytest.raises(ConfigError, match="even numbers"):
        c_sim.avx512("ucb", 16, horizon=201)


def test_numpy_draws_normals():
    noise = np.empty((16, 10_000), np.float32)
    numpy_sim._box_muller(problem.generator(1), noise)
    assert stats.kstest(noise.ravel() / problem.NOISE, "norm").pvalue > 1e-3


def test_libraries_have_the_law_of_the_textbook(family):
    """In workers of their own, as they are measured; those that are not installed are left out."""
    names = {simulator.NUMBA: "numba", simulator.MABWISER: "mabwiser"}
    names |= {simulator.SMPY: "SMPyBandits"} if family == "ucb" else {}
    here = [name for name, library in names.items() if importlib.util.find_spec(library)]
    contenders = [simulator.simulating(n, family, 2000) for n in (simulator.TEXTBOOK, *here)]
    case = Case("test", "law", "agent-steps", tuple(contenders), agree_within="statistically")
    record = measure_case(case, Settings(quick=True, repeats=3, least_s=0.01))
    assert [e.get("reason") for e in record["contenders"]] == [None] * len(contenders)
    assert record["checksums_agree"]["disagree"] == []


SMALL = {"batch": 2, "horizon": 5, "inputs": 3, "features": 4}


@pytest.mark.parametrize("part", ["forward", "hessian_vector"])
def test_networks_are_the_same_function(part):
    found = ours.gru(part, **SMALL)()
    assert found == pytest.approx(gru_jax.flax_cells(part, **SMALL)(), rel=1e-4)
    if importlib.util.find_spec("torch"):
        from benchmarks.peers import gru_torch

        assert found == pytest.approx(gru_torch.whole_sequence(part, **SMALL)(), rel=1e-4)


@pytest.mark.parametrize("principal", ["scripted", "learned"])
def test_a_mixed_set_is_the_same_work_as_its_families(principal):
    sizes = {"families": 4, "agents": 5, "horizon": 12, "num_arms": 3, "features": 4}
    whole, parts = (populations.rollouts(principal, together=t, **sizes) for t in (True, False))
    assert (whole.facts["programs"], parts.facts["programs"]) == (1, 4)
    assert agree(checksums(whole, 40), checksums(parts, 40), "statistically")
    agents = {id(game.agent) for game in populations.mixed_set(4, 5, GameConfig(3, 12))[0]}
    assert len(agents) == 4


def test_fewer_agents_are_the_first_of_more():
    np.testing.assert_array_equal(problem.mean_rewards(100, 10)[:7], problem.mean_rewards(7, 10))


def test_machine_is_described():
    found = machine.versions()
    assert "jax" in found
    assert "numba" in found
    assert machine.memory_copy(1)() == 0.0
    assert np.isfinite(machine.matrix_product(8)())
