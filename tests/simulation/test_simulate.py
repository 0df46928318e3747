"""The runner: what must not change the results, what the options mean, what is refused."""

import functools
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES, params_of
from jax.sharding import PartitionSpec
from streams import assert_same

from mermaide_jax import agents
from mermaide_jax.errors import ConfigError
from mermaide_jax.simulation import Bandits, simulate

ARMS = 4
MEMBERS = (*FAMILIES, "prior")
"""The registered families, and epsilon-greedy that starts from a prior value."""


@functools.cache
def member(name):
    """The agent, and the params of 200 of them."""
    if name == "prior":
        return agents.epsilon_greedy(ARMS, False), agents.EpsilonGreedyParams(0.3, 0.5)
    known: Any = np.linspace(0, 1, 200 * ARMS, dtype=np.float32).reshape(200, ARMS)
    params = jax.vmap(functools.partial(params_of, name, 0.4))(known)
    return agents.make_agent(name, ARMS), jax.tree.map(np.asarray, params)


def bandits(number=200):
    rng: Any = np.random.default_rng(0)
    mu = rng.uniform(size=(200, ARMS)).astype(np.float32)
    noise, target = rng.uniform(size=200).astype(np.float32), rng.integers(0, ARMS, 200)
    return jax.tree.map(lambda leaf: leaf[:number], Bandits(mu, noise, target.astype(np.int32)))


def run(name="ucb", number=200, horizon=20, **options) -> Any:
    agent, params = member(name)
    params = jax.tree.map(lambda leaf: leaf[:number] if np.ndim(leaf) else leaf, params)
    return simulate(jax.random.key(0), agent, params, bandits(number), horizon, **options)


def first(out, number, horizon=None):
    """What must agree with a smaller or shorter run."""
    return out.actions[:horizon, :number], out.rewards[:horizon, :number]


@pytest.mark.parametrize("implementation", ["auto", "reference"])
@pytest.mark.parametrize("name", MEMBERS)
def test_more_agents_and_longer_horizons_begin_with_fewer_and_shorter(name, implementation):
    options = {"implementation": implementation, "record": True}
    many = run(name, **options)
    assert_same(first(many, 130, 13), first(run(name, 130, 13, **options), 130))


@pytest.mark.parametrize("name", MEMBERS)
def test_reductions_are_those_of_the_record(name):
    out = run(name, record=True)
    counts = (np.asarray(out.actions)[..., None] == np.arange(ARMS)).sum(0)
    np.testing.assert_array_equal(out.counts, counts)
    np.testing.assert_allclose(out.total_reward, np.sum(out.rewards, 0), atol=2e-5)
    share = np.take_along_axis(counts, np.asarray(bandits().target)[:, None], 1)[:, 0] / 20
    np.testing.assert_allclose(out.target_share, share, rtol=1e-6)
    assert_same(run(name)[:3], out[:3], 1e-5)
    assert run(name).actions is None


@pytest.mark.parametrize(("name", "size"), [("ucb", 200), ("best_response", 64)])
def test_blocks_do_not_change_the_results(name, size):
    assert_same(
        first(run(name, record=True), 200), first(run(name, record=True, block_size=size), 200)
    )


def test_one_agent_alone_and_agents_further_on():
    many = run(record=True)
    # One agent is compiled without vectors: the last bit of a product and sum may differ.
    assert_same(first(many, 1), first(run(number=1, record=True), 1), 1e-6)
    agent, params = agents.ucb(ARMS), agents.UCBParams(0.4)
    later = jax.tree.map(lambda leaf: leaf[150:], bandits())
    out = simulate(jax.random.key(0), agent, params, later, 20, record=True, first_agent=150)
    np.testing.assert_array_equal(many.actions[:, 150:], out.actions)


def test_inside_jit_and_under_a_trace_without_tracers():
    alone = run(record=True)
    agent, params = agents.ucb(ARMS), agents.UCBParams(0.4)
    nested = jax.jit(lambda key, b: simulate(key, agent, params, b, 20, record=True))
    np.testing.assert_array_equal(alone.actions, nested(jax.random.key(0), bandits()).actions)
    np.testing.assert_array_equal(alone.counts, jax.jit(lambda: run().counts)())


def test_long_horizons_keep_exact_counts():
    bandit = Bandits(jnp.float32([[1, 0]]), np.float32(0.1))
    out = simulate(jax.random.key(0), agents.ucb(2), agents.UCBParams(0.1), bandit, 20_000)
    assert int(out.counts.sum()) == 20_000
    assert out.counts[0, 0] > 19_000


@pytest.mark.parametrize("name", ["ucb", "best_response"])
def test_the_schedule_pays_the_target_and_only_it(name):
    pays = (np.arange(20) % 3 == 0).astype(np.float32)
    pays[:ARMS] = 0
    for_all = run(name, schedule=pays, record=True)
    for_each = run(name, schedule=np.broadcast_to(pays[:, None], (20, 200)), record=True)
    assert_same(first(for_all, 200), first(for_each, 200))
    nothing = run(name, record=True)
    at = int(np.argmax(pays))  # until the first payment all is the same
    np.testing.assert_array_equal(for_all.actions[:at], nothing.actions[:at])
    same = np.asarray(for_all.actions[at] == nothing.actions[at])
    paid = np.asarray(for_all.actions[at] == bandits().target)
    np.testing.assert_allclose(
        np.asarray(for_all.rewards[at] - nothing.rewards[at])[same], paid[same], atol=1e-6
    )
    if name == "best_response":
        always = run(name, schedule=np.full(20, 5, np.float32))
        assert (always.target_share == 1).all(), "this agent sees offers"


def test_fewer_rounds_give_other_draws():
    assert not np.array_equal(run(rounds=13).counts, run().counts)


@pytest.mark.parametrize("name", ["ucb", "prior", "thompson"])
def test_the_pallas_kernel_plays_the_same_trajectories(name):
    paid = np.arange(10) < 5
    schedule = np.broadcast_to(paid.astype(np.float32)[:, None], (10, 140))
    options = {"number": 140, "horizon": 10, "schedule": schedule, "record": True}
    fused = run(name, implementation="pallas", block_size=64, **options)
    assert_same(fused, run(name, implementation="xla", **options), 2e-6)


def test_an_agent_is_the_same_however_it_was_spelled():
    inputs = (agents.UCBParams(0.4), bandits(), 20)
    for implementation in ("auto", "xla"):
        one, other = (
            simulate(jax.random.key(0), agent, *inputs, implementation=implementation)
            for agent in (agents.ucb(ARMS), agents.ucb(num_arms=ARMS))
        )
        assert_same(one, other)


WITHOUT_MOSAIC = """
import sys
sys.modules["jax.experimental.pallas.mosaic_gpu"] = None
from mermaide_jax import agents
from mermaide_jax.simulation import Bandits, simulate
import jax, numpy as np
inputs = agents.ucb(3), agents.UCBParams(0.4), Bandits(np.ones((2, 3), np.float32)), 4
for implementation in ("auto", "pallas"):
    print(simulate(jax.random.key(0), *inputs, implementation=implementation).counts.sum())
"""


def test_mosaic_is_not_needed_where_it_is_not_used():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MOSAIC], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("8\n8\n", 0), done.stderr


KERNEL: dict[str, Any] = {"number": 140, "horizon": 5, "record": True, "implementation": "pallas"}


@pytest.mark.parametrize("name", ["ucb", "epsilon_greedy", "prior", "thompson"])
@pytest.mark.parametrize("shape", [None, (5,), (5, 140)])
def test_the_pallas_kernel_lowers_for_a_gpu(name, shape, monkeypatch):
    """Mosaic knows every operation, and takes Hopper where there is no GPU to ask."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    schedule = None if shape is None else jnp.ones(shape)
    program = jax.jit(functools.partial(run, name, schedule=schedule, **KERNEL))
    assert "mosaic_gpu" in program.trace().lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize("name", ["prior", "thompson"])
def test_the_kernel_of_a_gpu_plays_the_same_trajectories(name, monkeypatch):
    plgpu = pytest.importorskip("jax.experimental.pallas.mosaic_gpu")
    if not hasattr(plgpu, "force_gpu_interpret_mode"):
        pytest.skip("the interpreter of this JAX does not know all operations")
    schedule = jnp.asarray([1.0, 0, 0, 1, 0])
    plain: dict[str, Any] = KERNEL | {"implementation": "xla"}
    expected = run(name, schedule=schedule, **plain)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with plgpu.force_gpu_interpret_mode():
        found = run(name, schedule=schedule, **KERNEL)
    assert_same(found, expected, 2e-6)


def test_a_gpus_kernel_has_an_agent_a_thread(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(ConfigError, match="block_size: got 64, expected 128 or None"):
        run(block_size=64, **KERNEL)


def test_agents_shared_among_devices():
    mesh = jax.make_mesh((2,), ("agents",), axis_types=(jax.sharding.AxisType.Auto,))
    agent, params = agents.ucb(ARMS), agents.UCBParams(0.4)

    def part(key, bandits):
        start = jax.lax.axis_index("agents") * bandits.mean_rewards.shape[0]
        return simulate(key, agent, params, bandits, 20, first_agent=start).counts

    split, whole = PartitionSpec("agents"), PartitionSpec()
    shared = jax.shard_map(
        part, mesh=mesh, in_specs=(whole, split), out_specs=split, check_vma=False
    )
    counts = jax.jit(shared)(jax.random.key(0), bandits())
    assert len(counts.sharding.device_set) == 2
    np.testing.assert_array_equal(counts, run().counts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon: got 0, expected an integer >= 1"),
        ({"implementation": "palas"}, "did you mean 'pallas'"),
        ({"block_size": 0}, "block_size: got 0, expected an integer >= 1"),
        ({"rounds": 12}, "rounds: got 12, expected 13 or 20"),
        ({"schedule": np.zeros(3)}, r"shape of schedule: got \(3,\), expected \(T,\) or \(T, N\)"),
        ({"name": "best_response", "implementation": "pallas"}, "one with a specialised rule"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        run(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": jnp.zeros(2, jnp.uint32)}, "key: .* expected one typed key"),
        ({"key": jax.random.split(jax.random.key(0))}, "expected one typed key"),
        ({"bandits": Bandits(jnp.zeros(3))}, r"shape of mean_rewards: got \(3,\)"),
        ({"bandits": Bandits(jnp.zeros((3, 4)), jnp.zeros(2))}, r"shape of noise: got \(2,\)"),
        ({"bandits": Bandits(jnp.zeros((3, 4)), 0.0, jnp.zeros((3, 1)))}, "shape of target"),
        ({"params": agents.UCBParams(np.zeros(7))}, r"shape of params: got \(7,\)"),
        (
            {"agent": agents.ucb(5)},
            "number of arms of mean_rewards: got 4, expected the agent's, 5",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    arguments = {"key": jax.random.key(0), "agent": agents.ucb(4), "params": agents.UCBParams(0.4)}
    arguments |= {"bandits": bandits(), "horizon": 5} | change
    with pytest.raises(ConfigError, match=message):
        functools.partial(simulate, **arguments)()
