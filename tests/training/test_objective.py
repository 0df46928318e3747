"""Inner and outer loss against numpy; the meta-gradient of the real objective against differences.

What the networks say to a history is tested elsewhere; here it is the input of the oracles.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from streams import assert_same

from mermaide_jax import meta
from mermaide_jax.base import StepInfo, Trajectory
from mermaide_jax.networks.arms import summarise_episodes
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.training.config import TrainingConfig
from mermaide_jax.training.objective import (
    Episodes,
    advantages,
    hit_advantages,
    inner_loss,
    make_adapt,
    outer_loss,
    to_episodes,
)

NUMBER, STEPS, SIZE, ARMS, CHOICES = 3, 4, 5, 3, 2
CONFIG = TrainingConfig(inner_learning_rate=0.05)
GRU = NetworkConfig("gru", 3, 1)
MLP = NetworkConfig("mlp", 3)
ALONE = dataclasses.replace(MLP, world_model=False)
COUPLED, COUPLED_MLP = (
    dataclasses.replace(c, policy_gradient_to_world_model=True) for c in (GRU, MLP)
)


def bind(config=MLP):
    return learned_principal(config, SIZE, ARMS, CHOICES)


def random_params(config=MLP, dtype: Any = np.float32):
    """Not as initialised: the read-outs start at zero and would hide every difference."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(bind(config).init_params, jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), dtype), shapes)


def random_episodes(seed=1, number=NUMBER, dtype: Any = np.float32):
    rng: Any = np.random.default_rng(seed)
    return Episodes(
        observation=rng.normal(size=(number, STEPS, SIZE)).astype(dtype),
        intervention=rng.integers(0, CHOICES, (number, STEPS)).astype(np.int32),
        action=rng.integers(0, ARMS, (number, STEPS)).astype(np.int32),
        reward=rng.normal(size=(number, STEPS)).astype(dtype),
    )


def returns_of(rewards):
    """Rewards to go, one after the other."""
    out = np.array(rewards, np.float64)
    for t in range(out.shape[-1] - 2, -1, -1):
        out[..., t] += out[..., t + 1]
    return out


@functools.cache
def said(config=MLP):
    """What the networks say to the episodes, and the log-likelihoods picked by hand."""
    episodes = random_episodes()
    one = functools.partial(bind(config).replay, random_params(config))
    replay = jax.jit(jax.vmap(one))  # episode by episode: the losses replay them all at once
    decision = replay(episodes.observation, episodes.intervention)
    decision = jax.tree.map(lambda x: np.asarray(x, np.float64), decision)
    picked = [
        [decision.prediction[m, t, a] for t, a in enumerate(row)]
        for m, row in enumerate(episodes.action)
    ]
    return decision, np.array(picked)


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


@pytest.mark.parametrize("num_episodes", [1, 2, 4])
def test_advantages_are_returns_less_those_of_the_others_at_unit_scale(num_episodes):
    rewards: Any = np.random.default_rng(0).normal(3.0, 5.0, (2, num_episodes, STEPS))
    returns = returns_of(rewards)
    centred = returns.copy()
    if num_episodes > 1:
        for n in range(2):
            for m in range(num_episodes):
                centred[n, m] -= np.delete(returns[n], m, 0).mean(0)
    out = np.asarray(advantages(rewards.astype(np.float32)))
    np.testing.assert_allclose(out, centred / np.sqrt(np.mean(centred**2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.mean(out**2)), 1.0, rtol=1e-5)
    if num_episodes == 1:
        assert out.mean() > 0.5  # a scale only: nothing was subtracted


def test_advantages_do_not_depend_on_the_unit_of_reward_nor_on_other_agents_baselines():
    rewards: Any = np.random.default_rng(0).normal(size=(2, 3, STEPS)).astype(np.float32)
    out = advantages(rewards)
    np.testing.assert_allclose(advantages(7 * rewards), out, rtol=1e-4, atol=1e-5)
    shifted = rewards + np.array([5.0, -1.0], np.float32)[:, None, None]
    np.testing.assert_allclose(advantages(shifted), out, rtol=1e-3, atol=1e-5)
    assert not np.asarray(advantages(jnp.zeros((2, 3, STEPS)))).any()


def returns_after_hits(rewards, hits):
    """`hit_advantages` before scaling, number by number."""
    out = np.zeros(rewards.shape)
    returns = returns_of(rewards)
    for n, m, t in np.ndindex(rewards.shape):
        others = [k for k in range(rewards.shape[1]) if k != m]
        paid = [rewards[n, k, t] - hits[n, k, t] for k in others]
        out[n, m, t] = rewards[n, m, t] - hits[n, m, t] - (np.mean(paid) if others else 0.0)
        if hits[n, m, t]:
            after = {k: returns[n, k, t] - rewards[n, k, t] for k in (m, *others)}
            alike = [after[k] for k in others if hits[n, k, t]] or [after[k] for k in others]
            out[n, m, t] += after[m] - (np.mean(alike) if others else 0.0)
    return out


@pytest.mark.parametrize("num_episodes", [1, 2, 5])
def test_advantages_at_hits_are_what_they_say(num_episodes):
    rng: Any = np.random.default_rng(0)
    hits = rng.random((2, num_episodes, STEPS)) < 0.4
    rewards = (hits - 0.75 * (rng.random(hits.shape) < 0.5)).astype(np.float32)
    centred = returns_after_hits(rewards, hits)
    expected = centred / np.sqrt(np.mean(centred**2))
    np.testing.assert_allclose(hit_advantages(rewards, hits), expected, rtol=1e-4, atol=1e-5)


def every_episode(logits, steps=3, cost=0.75):
    """Of an agent that takes the target the likelier the more hits were paid for: all that can be.

    Yields probability, payments, hits. The policy knows the step and the hits so far.
    """
    for bits in itertools.product((0, 1), repeat=2 * steps):
        hits, paid = np.array(bits[:steps]), np.array(bits[steps:])
        chance, log_probs, bought, seen = 1.0, [], 0, 0
        for t in range(steps):
            hit = 0.2 + 0.2 * bought
            pay = jax.nn.sigmoid(logits[t, seen])
            chance = chance * (hit if hits[t] else 1 - hit)
            log_probs.append(jnp.log(pay if paid[t] else 1 - pay))
            bought, seen = bought + hits[t] * paid[t], seen + hits[t]
        yield chance, jnp.stack(log_probs), hits - cost * paid, hits


def test_credit_of_hits_has_the_gradient_of_the_score_and_less_noise():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)

    def score(logits):
        parts = every_episode(logits)
        return sum(p * jnp.exp(log_probs.sum()) * r.sum() for p, log_probs, r, _ in parts)

    moments = {}
    for name in ("returns", "hits"):

        def weighted(logits, name=name):
            """Each episode's probability, and what REINFORCE makes of it."""
            economics, chances = [], []
            for chance, log_probs, rewards, hits in every_episode(logits):
                known = returns_of(rewards)
                if name == "hits":
                    known = returns_after_hits(rewards[None, None], hits[None, None])[0, 0]
                economics.append(log_probs @ jnp.asarray(known, jnp.float32))
                chances.append(chance * jnp.exp(log_probs.sum()))
            return jnp.stack(economics), jax.lax.stop_gradient(jnp.stack(chances))

        gradients, chances = jax.jacobian(lambda x: weighted(x)[0])(logits), weighted(logits)[1]
        mean = jnp.tensordot(chances, gradients, 1)
        moments[name] = mean, jnp.tensordot(chances, gradients**2, 1) - mean**2
    for mean, _ in moments.values():
        np.testing.assert_allclose(mean, jax.grad(score)(logits), rtol=1e-4, atol=1e-6)
    less = [moments[name][1].sum() for name in ("hits", "returns")]
    assert less[0] < 0.7 * less[1]


@pytest.mark.parametrize(
    ("meta_gradient", "alone"), [("second_order", False), ("dice", False), ("second_order", True)]
)
def test_inner_loss_equals_numpy(meta_gradient, alone):
    config, episodes = dataclasses.replace(CONFIG, meta_gradient=meta_gradient), random_episodes()
    decision, likelihood = said()
    score = decision.log_prob * returns_of(episodes.reward)
    of_policy = -(episodes.reward if meta_gradient == "dice" else score).sum(1)
    expected = np.mean((0 if alone else of_policy) - likelihood.sum(1))
    loss = jax.jit(functools.partial(inner_loss, config, bind(), world_model_only=alone))
    out = loss(random_params(), episodes)
    np.testing.assert_allclose(out, expected, rtol=1e-5)


@functools.cache
def compiled_inner_gradient(network, meta_gradient):
    config = dataclasses.replace(CONFIG, meta_gradient=meta_gradient)
    return jax.jit(jax.grad(functools.partial(inner_loss, config, bind(network))))


def inner_gradient(network, meta_gradient, params, episodes):
    return compiled_inner_gradient(network, meta_gradient)(params, episodes)


def test_inner_gradients_agree_whatever_the_meta_gradient():
    """They differ in their own derivatives only, so that all take the same inner step."""
    gradients = [
        flat(inner_gradient(MLP, name, random_params(), random_episodes()))
        for name in ("second_order", "first_order", "dice")
    ]
    np.testing.assert_array_equal(gradients[0], gradients[1])
    np.testing.assert_allclose(gradients[0], gradients[2], rtol=1e-4, atol=1e-5)
    assert np.abs(gradients[0]).max() > 0.1


def test_outer_loss_equals_numpy():
    episodes = random_episodes()
    advantage = np.random.default_rng(2).normal(size=(NUMBER, STEPS)).astype(np.float32)
    decision, likelihood = said()
    per_step = -decision.log_prob * advantage - 0.25 * decision.entropy
    outer = jax.jit(functools.partial(outer_loss, bind()))
    loss, info = outer(0.25, random_params(), episodes, advantage)
    np.testing.assert_allclose(loss, np.mean(per_step - likelihood), rtol=1e-5)
    np.testing.assert_allclose(info.log_likelihood, likelihood.mean(), rtol=1e-5)
    np.testing.assert_allclose(info.entropy, decision.entropy.mean(), rtol=1e-5)


def test_outer_loss_of_the_world_model_alone():
    loss = functools.partial(outer_loss, bind(), 0.25, world_model_only=True)
    episodes = random_episodes()
    gradient, info = jax.jit(jax.grad(loss, has_aux=True))(
        random_params(), episodes, episodes.reward
    )
    decision, likelihood = said()
    value, _ = jax.jit(loss)(random_params(), episodes, episodes.reward)
    np.testing.assert_allclose(value, -likelihood.mean(), rtol=1e-5)
    np.testing.assert_allclose(info.entropy, decision.entropy.mean(), rtol=1e-5)
    assert not flat(gradient["policy"]).any()
    assert np.abs(flat(gradient["world_model"])).max() > 0.01


def test_episodes_are_cut_from_trajectories_without_gradient():
    fields = {name: jnp.full((2,), i + 1.0) for i, name in enumerate("oiraghe")}
    f = fields
    trajectory = Trajectory(f["o"], f["i"], f["r"], StepInfo(f["a"], f["g"], f["h"], f["e"]), None)
    assert_same(to_episodes(trajectory), Episodes(f["o"], f["i"], f["a"], f["r"], f["h"]))
    gradient = jax.grad(lambda t: sum(x.sum() for x in jax.tree.leaves(to_episodes(t))))(trajectory)
    assert not flat(gradient).any()


@pytest.mark.parametrize(
    ("network", "moving"),
    [
        (MLP, {"policy", "world_model"}),
        (MLP, {"policy"}),
        (MLP, {"world_model"}),
        (MLP, set()),
        (ALONE, {"policy"}),
        (ALONE, set()),
    ],
)
def test_one_step_is_sgd_on_what_adapts(network, moving):
    config = dataclasses.replace(
        CONFIG, adapt_policy="policy" in moving, adapt_world_model="world_model" in moving
    )
    learned, params, episodes = bind(network), random_params(network), random_episodes()
    adapted = jax.jit(make_adapt(config, learned))(params, episodes)
    gradient = inner_gradient(network, "second_order", params, episodes)
    for part in params:
        before, after = flat(params[part]), flat(adapted[part])
        if part in moving:
            np.testing.assert_allclose(after, before - 0.05 * flat(gradient[part]), atol=1e-5)
            assert np.abs(after - before).max() > 1e-3
        else:
            np.testing.assert_array_equal(after, before)


def test_number_of_steps_is_that_of_the_config_unless_given():
    episodes, params = random_episodes(), random_params(ALONE)
    once = jax.jit(make_adapt(CONFIG, bind(ALONE)))
    twice = once(once(params, episodes), episodes)
    configured = make_adapt(dataclasses.replace(CONFIG, inner_steps=2), bind(ALONE))
    for adapt in (configured, make_adapt(CONFIG, bind(ALONE), num_steps=2)):
        np.testing.assert_allclose(flat(jax.jit(adapt)(params, episodes)), flat(twice), atol=1e-5)
    assert_same(make_adapt(CONFIG, bind(ALONE), num_steps=0)(params, episodes), params)


def test_jit_equals_eager_and_vmap_equals_loop():
    """Over agents, as in training."""
    batch = [random_episodes(seed) for seed in (1, 2)]
    stacked = jax.tree.map(lambda *x: np.stack(x), *batch)
    params, adapt = random_params(ALONE), make_adapt(CONFIG, bind(ALONE))
    adapted = jax.jit(jax.vmap(adapt, (None, 0)))(params, stacked)
    for i, episodes in enumerate(batch):
        mine = jax.tree.map(lambda x, i=i: x[i], adapted)
        assert_same(adapt(params, episodes), mine, 1e-5)


def test_what_was_seen_is_remembered_beside_the_steps():
    """With a memory adapting is the same SGD, and writes what the episodes showed."""
    network = NetworkConfig("arms", 3, 1, memory=True)
    learned = learned_principal(network, 2 * ARMS + 1, ARMS, CHOICES)
    params = learned.init_params(jax.random.key(0))
    rng, episodes = np.random.default_rng(2), random_episodes()
    episodes = episodes._replace(observation=rng.random((NUMBER, STEPS, 7), np.float32))
    adapted = jax.jit(make_adapt(CONFIG, learned))(params, episodes)
    gradient = jax.grad(lambda p: inner_loss(CONFIG, learned, p, episodes))(params)
    descended = jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient)
    seen = summarise_episodes(episodes.action, episodes.intervention, ARMS)
    assert np.any(seen[:, :-1])
    for part in params:
        np.testing.assert_array_equal(adapted[part].pop("memory"), seen)
        assert not np.any(descended[part].pop("memory"))
        assert_same(adapted[part], descended[part], 1e-5)
    without = learned_principal(NetworkConfig("arms", 3, 1), 2 * ARMS + 1, ARMS, CHOICES)
    assert without.remember(params, episodes.action, episodes.intervention) is params


def meta_loss(network, meta_gradient, inner_steps=1):
    """The whole chain of one agent: inner loss, SGD, outer loss with its entropy bonus."""
    config = dataclasses.replace(CONFIG, meta_gradient=meta_gradient, inner_steps=inner_steps)
    learned = bind(network)

    def outer(params, query):
        return outer_loss(learned, 0.1, params, *query)[0]

    loss = meta.maml_loss(make_adapt(config, learned), outer)
    before = random_episodes(3, 1, np.float64)
    after = random_episodes(4, 2, np.float64)
    advantage = advantages(after.reward[None])[0]
    return lambda params: loss(params, before, (after, advantage))


def differences(loss, vector, directions, step=1e-5):
    """Central differences along each direction, all in one batch."""
    shifted = vector + step * np.concatenate([directions, -directions])
    values = np.asarray(jax.jit(jax.vmap(loss))(shifted)).reshape(2, -1)
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(
    ("network", "inner_steps", "part"),
    [(COUPLED, 1, None), (COUPLED_MLP, 2, None), (MLP, 1, "policy"), (ALONE, 1, None)],
    ids=["coupled", "two steps", "belief held", "no world model"],
)
def test_meta_gradient_equals_finite_differences(network, inner_steps, part, x64):
    """Every param of tiny networks; with the belief held, those of the policy.

    A stopped gradient is no derivative, so differences see what it hides: from the world model
    through the belief to the policy.
    """
    loss = meta_loss(network, "second_order", inner_steps)
    params = random_params(network, np.float64)
    vector, unravel = ravel_pytree(params if part is None else params[part])
    whole = (lambda x: x) if part is None else (lambda x: params | {part: x})
    of_vector = lambda x: loss(whole(unravel(x)))  # noqa: E731
    gradient = np.asarray(jax.jit(jax.grad(of_vector))(vector))
    numeric = differences(of_vector, np.asarray(vector), np.eye(vector.size))
    assert np.linalg.norm(gradient) > 0.01
    assert np.linalg.norm(gradient - numeric) < 1e-6 * np.linalg.norm(gradient)


def test_meta_gradients_differ_by_what_they_keep(x64):
    """All have the same value. First order is the plain gradient at the adapted params."""
    params = random_params(ALONE, np.float64)
    values, gradients = {}, {}
    for name in ("first_order", "second_order", "dice"):
        value, gradient = jax.jit(jax.value_and_grad(meta_loss(ALONE, name)))(params)
        values[name], gradients[name] = float(value), flat(gradient)
    assert np.ptp(list(values.values())) < 1e-12
    adapt = jax.jit(make_adapt(CONFIG, bind(ALONE)))
    adapted = adapt(params, random_episodes(3, 1, np.float64))
    held = meta_loss_without_inner_loop(adapted)
    np.testing.assert_allclose(gradients["first_order"], held, rtol=1e-10, atol=1e-12)
    scale = np.linalg.norm(gradients["second_order"])
    for one, other in (("first_order", "second_order"), ("second_order", "dice")):
        assert np.linalg.norm(gradients[one] - gradients[other]) > 0.01 * scale


def meta_loss_without_inner_loop(params):
    after = random_episodes(4, 2, np.float64)
    advantage = advantages(after.reward[None])[0]
    loss = lambda p: outer_loss(bind(ALONE), 0.1, p, after, advantage)[0]  # noqa: E731
    return flat(jax.jit(jax.grad(loss))(params))
