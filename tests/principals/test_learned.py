"""The learned principal: what it said while it played is what it says when replayed."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from families import FAMILIES, games_of, tasks_of
from streams import assert_same, keys

from mermaide_jax import games, losses
from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.arms import ArmHead
from mermaide_jax.networks.heads import MLPHead, RecurrentHead
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal

ARMS, STEPS, NUMBER = 3, 6, len(FAMILIES)
VARIANTS = {
    (architecture, world_model): NetworkConfig(architecture, 4, 1, world_model)
    for architecture in ("gru", "mlp", "arms")
    for world_model in (True, False)
}
ROUNDING = 2e-5


GAMES = games_of(FAMILIES, games.GameConfig(ARMS, STEPS, "arm"))
GAME = GAMES[0]


def bind(config):
    return learned_principal(config, GAME.observation_size, ARMS, GAME.num_interventions)


def random_params(learned, seed=0):
    """Not as initialised: the read-outs start at zero and would hide every difference."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(learned.init_params, jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), shapes)


@functools.cache
def played(variant, with_activations=False):
    """An episode with an agent of every family: the principal, its params, the trajectories."""
    learned = bind(VARIANTS[variant])
    params = random_params(learned)
    principal: Any = learned.with_activations if with_activations else learned.principal

    tasks = tuple(tasks_of(jax.random.key(i), name, 1, ARMS) for i, name in enumerate(FAMILIES))
    play = lambda key: games.collect(key, GAMES, principal, params, tasks, 1)  # noqa: E731
    episodes = jax.jit(play)(keys(1, NUMBER))
    return learned, params, jax.tree.map(lambda leaf: leaf[:, 0], episodes)


@functools.cache
def replay(variant):
    return jax.jit(bind(VARIANTS[variant]).replay)


@pytest.mark.parametrize("variant", VARIANTS)
def test_replay_equals_rollout(variant):
    _, params, episodes = played(variant)
    for i in range(NUMBER):
        said = jax.tree.map(lambda x, i=i: x[i], episodes.principal)
        decision = replay(variant)(params, episodes.observation[i], episodes.intervention[i])
        assert_same(decision, said, ROUNDING)
        assert decision.prediction.shape == (STEPS, ARMS)
    # The comparison means something: the networks said different things at different steps.
    said = episodes.principal
    assert np.ptp(said.log_prob) > 0.1 and np.ptp(said.entropy) > 0.01
    assert len(np.unique(episodes.intervention)) > 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_decision_is_what_the_two_networks_say(variant):
    """The modules applied by hand, and the distributions in numpy."""
    _, params, episodes = played(variant)
    observations, interventions = episodes.observation[0], np.asarray(episodes.intervention[0])
    unroll = lambda module, *x: jax.jit(functools.partial(module.apply, method="unroll"))(*x)  # noqa: E731
    head = {
        "gru": lambda n: RecurrentHead(n, 4, 1),
        "mlp": lambda n: MLPHead(n, 4),
        "arms": lambda n: ArmHead(n, ARMS, ARMS, True, n == ARMS, 4, 1),
    }[variant[0]]
    prediction, inputs = np.full((STEPS, ARMS), -np.log(ARMS)), observations
    if variant[1]:
        variables = {"params": params["world_model"]}
        logits = unroll(head(ARMS), variables, observations)
        prediction = scipy.special.log_softmax(logits, axis=-1)
        inputs = np.concatenate([observations, np.exp(prediction)], axis=-1)
    variables = {"params": params["policy"]}
    logits = unroll(head(ARMS + 1), variables, inputs)
    probs = scipy.special.softmax(logits, axis=-1)
    decision = replay(variant)(params, observations, interventions)
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=ROUNDING)
    close(decision.prediction, prediction)
    close(decision.log_prob, np.log(probs[np.arange(STEPS), interventions]))
    close(decision.entropy, [scipy.stats.entropy(p) for p in probs])
    close(decision.pay_prob, probs[:, 1:].sum(1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_said_before_it_was_observed(variant):
    _, params, episodes = played(variant)
    observations, interventions = episodes.observation[0], episodes.intervention[0]
    first = replay(variant)(params, observations, interventions)
    other = observations.at[-1].set(observations[-1, ::-1])  # names reversed
    later = replay(variant)(params, other, interventions)
    assert_same(jax.tree.map(lambda x: x[:-1], later), jax.tree.map(lambda x: x[:-1], first))
    assert np.abs(later.entropy[-1] - first.entropy[-1]) > 1e-4


@pytest.mark.parametrize("architecture", ["gru", "mlp"])
def test_without_a_world_model_there_is_none(architecture):
    learned, params, episodes = played((architecture, False))
    assert set(params) == {"policy"}
    np.testing.assert_allclose(episodes.principal.prediction, -np.log(ARMS), rtol=1e-6)
    sizes = {}
    for world_model in (True, False):
        policy = random_params(bind(VARIANTS[architecture, world_model]))["policy"]
        body = policy["body"]["layers_0"]["cell"]["ir"] if architecture == "gru" else policy["body"]
        sizes[world_model] = body["kernel"].shape[0]
    assert sizes == {True: GAME.observation_size + ARMS, False: GAME.observation_size}
    assert set(learned.principal.init(params)) == {"policy"}


@pytest.mark.parametrize("architecture", ["gru", "mlp", "arms"])
def test_the_policy_reads_the_belief(architecture):
    learned, params, episodes = played((architecture, True))
    other = params | {"world_model": random_params(learned, seed=1)["world_model"]}
    history = episodes.observation[0], episodes.intervention[0]
    first, second = (replay((architecture, True))(p, *history) for p in (params, other))
    assert np.abs(first.log_prob - second.log_prob).max() > 0.01


@pytest.mark.parametrize("architecture", ["gru", "mlp", "arms"])
@pytest.mark.parametrize("passes", [False, True])
def test_whether_the_policy_trains_the_world_model(passes, architecture):
    learned = bind(NetworkConfig(architecture, 4, 1, policy_gradient_to_world_model=passes))
    _, params, episodes = played((architecture, True))
    observations, interventions = episodes.observation[0], episodes.intervention[0]

    def policy_loss(params):
        decision = learned.replay(params, observations, interventions)
        return losses.reinforce_loss(decision.log_prob, jnp.arange(1.0, STEPS + 1))

    def model_loss(params):
        decision = learned.replay(params, observations, interventions)
        return losses.next_action_loss(decision.prediction, episodes.step.action[0])

    of_policy, of_model = jax.jit(lambda p: (jax.grad(policy_loss)(p), jax.grad(model_loss)(p)))(
        params
    )
    norm = lambda tree: sum(float(jnp.abs(x).max()) for x in jax.tree.leaves(tree))  # noqa: E731
    assert norm(of_policy["policy"]) > 1e-3
    assert (norm(of_policy["world_model"]) > 1e-3) if passes else not norm(of_policy["world_model"])
    # The world model never trains the policy, and always trains itself.
    assert norm(of_model["policy"]) == 0.0
    assert norm(of_model["world_model"]) > 1e-3


@pytest.mark.parametrize("variant", [("gru", True), ("mlp", False)])
def test_interventions_follow_the_policy(variant):
    number = 20_000
    learned, params, episodes = played(variant)
    observation = episodes.observation[0, 1]
    principal = learned.principal
    carry = principal.init(params)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0,))
    def draw(key):
        intervention, _, decision = principal.act(key, params, carry, observation)
        return intervention, decision.log_prob

    drawn, log_probs = draw(keys(3, number))
    assert drawn.dtype == jnp.int32
    every = jnp.arange(ARMS + 1)[:, None]
    said = jax.vmap(lambda u: learned.replay(params, observation[None], u).log_prob[0])(every)
    np.testing.assert_allclose(np.exp(said).sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(log_probs, said[drawn], atol=ROUNDING)
    counts = np.bincount(drawn, minlength=ARMS + 1)
    expected = np.exp(np.asarray(said, np.float64))
    expected *= number / expected.sum()
    assert np.ptp(expected) > 0.1 * number
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3


def test_params_start_random_uniform_in_what_they_say_and_reproducible():
    learned = bind(VARIANTS["gru", True])
    init = jax.jit(learned.init_params)
    first, again, other = (init(jax.random.key(s)) for s in (0, 0, 1))
    assert_same(first, again)
    kernels = [p["policy"]["body"]["layers_0"]["cell"]["hr"]["kernel"] for p in (first, other)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1
    model = first["world_model"]["body"]["layers_0"]["cell"]["hr"]["kernel"]
    assert np.abs(kernels[0] - model).max() > 0.1
    _, _, episodes = played(("gru", True))
    decision = replay(("gru", True))(first, episodes.observation[0], episodes.intervention[0])
    np.testing.assert_allclose(decision.entropy, np.log(ARMS + 1), rtol=1e-6)
    np.testing.assert_allclose(decision.prediction, -np.log(ARMS), rtol=1e-6)


def test_what_double_precision_changes(x64):
    """Nothing for single-precision params in a rollout; double ones are replayed in double."""
    learned = bind(VARIANTS["gru", True])
    params = jax.eval_shape(learned.init_params, jax.random.key(0))
    observations = jnp.zeros((STEPS, GAME.observation_size), jnp.float32)
    carry = learned.principal.init(params)
    out = jax.eval_shape(learned.principal.act, jax.random.key(0), params, carry, observations[0])
    dtypes = lambda tree: {x.dtype.name for x in jax.tree.leaves(tree)}  # noqa: E731
    assert [dtypes(x) for x in (params, carry, *out)] == [
        *({"float32"},) * 2,
        {"int32"},
        *({"float32"},) * 2,
    ]
    double = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float64), params)
    decision = jax.eval_shape(learned.replay, double, observations, jnp.zeros(STEPS, jnp.int32))
    assert dtypes(decision) == {"float64"}


def test_equal_configs_share_one_principal():
    config: dict[str, Any] = {"architecture": "gru", "features": 5, "world_model": True}
    sizes = (7, ARMS, 2)
    wider: dict[str, Any] = config | {"features": 6}
    first, again = (learned_principal(NetworkConfig(**config), *sizes) for _ in range(2))
    assert first is again
    assert first is not learned_principal(NetworkConfig(**wider), *sizes)
    assert first is not learned_principal(NetworkConfig(**config), 7, ARMS, 3)


def test_a_principal_first_built_under_jit_is_of_use_afterwards():
    config = NetworkConfig("mlp", 3, world_model=False)
    sizes = (11, ARMS, 2)  # nobody else's, so that this is the first time
    history = jnp.ones((2, sizes[0])), jnp.zeros(2, jnp.int32)

    @jax.jit
    def build_and_replay(key):
        learned = learned_principal(config, *sizes)
        return learned.replay(learned.init_params(key), *history)

    inside = build_and_replay(jax.random.key(0))
    learned = learned_principal(config, *sizes)
    outside = jax.jit(lambda key: learned.replay(learned.init_params(key), *history))(
        jax.random.key(0)
    )
    assert_same(inside, outside, ROUNDING)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architecture", "lstm"),
        ("features", 0),
        ("features", 4.5),
        ("num_layers", 0),
        ("num_layers", -1),
        ("memory", True),
    ],
)
def test_bad_configs_are_refused_in_one_line(name, value):
    with pytest.raises(ConfigError, match=rf"^{name}: got {value!r}, expected ") as error:
        NetworkConfig(**{name: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("world_model", [True, False])
@pytest.mark.parametrize("architecture", ["gru", "arms"])
def test_the_recording_principal_plays_alike_and_its_record_stands_for_a_replay(
    architecture, world_model
):
    variant = (architecture, world_model)
    learned, params, plain = played(variant)
    _, _, keeps_activations = played(variant, with_activations=True)
    decision, activations = keeps_activations.principal
    assert architecture == "arms" or set(activations) == set(params)
    assert_same(keeps_activations._replace(principal=decision), plain, ROUNDING)

    def loss(params, i, activations):
        history = plain.observation[i], plain.intervention[i]
        decision = learned.replay(params, *history, activations)
        policy = losses.reinforce_loss(decision.log_prob, plain.reward[i])
        return policy + losses.next_action_loss(decision.prediction, plain.step.action[i])

    curved = lambda p, *x: jax.jvp(lambda q: jax.grad(loss)(q, *x), (p,), (p,))[1]  # noqa: E731
    for derive in (loss, jax.grad(loss), curved):
        derived = jax.jit(derive)
        known = derived(params, jnp.int32(1), jax.tree.map(lambda x: x[1], activations))
        anew = derived(params, jnp.int32(1), None)
        scale = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(anew))
        assert scale > 0.1
        assert_same(known, anew, ROUNDING * scale)


def test_a_record_of_networks_over_arms_holds_under_any_params():
    variant = ("arms", True)
    learned, _, episodes = played(variant, with_activations=True)
    other, (_, activations) = random_params(learned, seed=1), episodes.principal
    for i in range(NUMBER):
        history = episodes.observation[i], episodes.intervention[i]
        known = learned.replay(other, *history, jax.tree.map(lambda x, i=i: x[i], activations))
        assert_same(known, replay(variant)(other, *history), ROUNDING)
    assert learned.lasting_activations and not bind(NetworkConfig("gru")).lasting_activations


def test_what_keeps_no_record_says_so():
    for network in (NetworkConfig("mlp"), NetworkConfig("arms"), NetworkConfig(recurrence="scan")):
        kept = bind(network).with_activations is not None
        assert kept == (network.architecture != "mlp")
    assert bind(NetworkConfig(recurrence="reference")).with_activations is None
