"""The K-shot protocol: what is adapted on, what is reported, and that agents keep apart."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import probe
import pytest
from streams import assert_same, keys

from mermaide_jax.base import StepInfo, Trajectory
from mermaide_jax.evaluation.protocol import adapt_to_tasks, evaluate, k_shot, summarise
from mermaide_jax.games import collect
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import Decision, random
from mermaide_jax.training import TrainingConfig, make_adapt, to_episodes

NUMBER, EPISODES, STEPS, ARMS = 3, 4, 5, 3
LEARNED = probe.principal(NetworkConfig("mlp", 4))
ADAPT = make_adapt(TrainingConfig(inner_learning_rate=0.1), LEARNED)


@functools.cache
def params():
    """Not as initialised: the read-outs start at zero and would hide every difference."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(LEARNED.init_params, jax.random.key(0))
    return jax.tree.map(lambda x: np.asarray(rng.normal(size=x.shape), x.dtype), shapes)


def played_by_hand(principal):
    rng: Any = np.random.default_rng(1)
    shape = (NUMBER, EPISODES, STEPS)
    return Trajectory(
        observation=jnp.zeros((*shape, 1)),
        intervention=rng.integers(0, 4, shape).astype(np.int32),
        reward=rng.normal(size=shape).astype(np.float32),
        step=StepInfo(
            rng.integers(0, ARMS, shape).astype(np.int32),
            jnp.zeros(shape),
            rng.random(shape) < 0.3,
            jnp.zeros((*shape, ARMS)),
        ),
        principal=principal,
    )


def random_decision():
    logits = np.random.default_rng(2).normal(size=(NUMBER, EPISODES, STEPS, ARMS))
    prediction = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nothing: Any = np.zeros(logits.shape[:-1], np.float32)
    return Decision(nothing, nothing, nothing, jnp.float32(prediction))


def test_summary_equals_loops():
    played = played_by_hand(random_decision())
    out = summarise(played)
    for n in range(NUMBER):
        score = hits = paid = likelihood = right = 0.0
        for e in range(EPISODES):
            for t in range(STEPS):
                prediction = played.principal.prediction[n, e, t]
                action = played.step.action[n, e, t]
                score += played.reward[n, e, t]
                hits += bool(played.step.hit[n, e, t])
                paid += played.intervention[n, e, t] != 0  # whatever was paid, it is one
                likelihood += prediction[action]
                right += action == list(prediction).index(max(prediction))
        total = EPISODES * STEPS
        expected = (
            score / EPISODES,
            hits / total,
            paid / EPISODES,
            likelihood / total,
            right / total,
        )
        np.testing.assert_allclose([x[n] for x in out], np.asarray(expected), rtol=1e-5)


def test_who_predicts_nothing_is_not_scored_for_it():
    out = summarise(played_by_hand(()))
    same = summarise(played_by_hand(random_decision()))
    assert np.isnan(out.world_model_log_likelihood).all()
    assert np.isnan(out.world_model_accuracy).all()
    assert_same(out[:3], same[:3])


def test_evaluation_of_a_scripted_principal():
    """Paying always earns 1 in every third step and costs 1 in the others."""
    run = jax.jit(
        lambda key, rate: evaluate(key, probe.GAME, random(probe.GAME.pay_target), rate, tasks, 2)
    )
    tasks = probe.tasks()
    always = run(jax.random.key(0), 1.0)
    np.testing.assert_allclose(always.score, probe.OPTIMUM - (probe.STEPS - probe.OPTIMUM))
    np.testing.assert_allclose(always.interventions, probe.STEPS)
    np.testing.assert_allclose(always.success_rate, 1 / probe.ARMS, rtol=1e-6)
    assert not np.asarray(run(jax.random.key(0), 0.0).score).any()


@functools.cache
def shot(num_shots, number=NUMBER, episodes=EPISODES):
    def run(key, params, tasks):
        return k_shot(key, probe.GAME, LEARNED, ADAPT, params, tasks, num_shots, episodes)

    return jax.jit(run)(jax.random.key(4), params(), probe.tasks(number))


@functools.cache
def pieces(num_shots):
    """The protocol put together by hand, agent by agent."""
    tasks = probe.tasks(NUMBER)

    def run(key, params):
        key_adapt, key_play = jax.random.split(key)
        principal = LEARNED.principal
        support = collect(key_adapt, probe.GAME, principal, params, tasks, max(num_shots, 1))
        episodes = to_episodes(support)
        adapted = [params] * NUMBER
        if num_shots:
            mine = [jax.tree.map(lambda x, i=i: x[i], episodes) for i in range(NUMBER)]
            adapted = [ADAPT(params, one) for one in mine]
        stack = jax.tree.map(lambda *x: jnp.stack(x), *adapted)
        fresh = collect(key_play, probe.GAME, principal, stack, tasks, EPISODES, params_axis=0)
        return stack, support, fresh

    return jax.tree.map(np.asarray, jax.jit(run)(jax.random.key(4), params()))


def test_zero_shots_are_an_evaluation_without_adaptation():
    def run(key, params):
        _, key_play = jax.random.split(key)
        return evaluate(
            key_play, probe.GAME, LEARNED.principal, params, probe.tasks(NUMBER), EPISODES
        )

    assert_same(shot(0), jax.jit(run)(jax.random.key(4), params()), 1e-5)


@pytest.mark.parametrize("num_shots", [1, 2])
def test_adapts_on_k_episodes_and_reports_fresh_ones(num_shots):
    _, support, fresh = pieces(num_shots)
    assert support.reward.shape == (NUMBER, num_shots, probe.STEPS)
    out = shot(num_shots)
    np.testing.assert_allclose(out.score, probe.scores(fresh).mean(-1), rtol=1e-5, atol=1e-5)
    assert_same(out, summarise(fresh), 1e-5)
    # The episodes adapted on are others, and adaptation changed what is predicted.
    assert np.abs(out.world_model_log_likelihood - shot(0).world_model_log_likelihood).max() > 1e-3
    assert (support.intervention[:, :1] != fresh.intervention[:, :1]).any()


def test_params_are_adapted_to_each_agent_by_itself():
    def run(key, params):
        tasks = probe.tasks(NUMBER)
        return adapt_to_tasks(key, probe.GAME, LEARNED, ADAPT, params, tasks, 1)

    adapted = jax.jit(run)(jax.random.split(jax.random.key(4))[0], params())
    assert_same(adapted, pieces(1)[0], 1e-5)
    for network in ("policy", "world_model"):
        kernels = np.asarray(adapted[network]["head"]["kernel"])
        for i in range(NUMBER):
            others = np.delete(kernels, i, 0)
            assert np.abs(kernels[i] - others).max((1, 2)).min() > 1e-4
            assert np.abs(kernels[i] - params()[network]["head"]["kernel"]).max() > 1e-4


def test_without_shots_every_agent_has_the_shared_params():
    tasks = probe.tasks(NUMBER)
    copies = adapt_to_tasks(keys(0, 1)[0], probe.GAME, LEARNED, ADAPT, params(), tasks, 0)
    for i in range(NUMBER):
        assert_same(jax.tree.map(lambda x, i=i: np.asarray(x[i]), copies), params())


def test_further_agents_leave_the_earlier_ones_unchanged():
    more = shot(1, NUMBER + 2)
    assert more.score.shape == (NUMBER + 2,)
    assert_same(jax.tree.map(lambda x: x[:NUMBER], more), shot(1), 1e-5)


def test_agents_of_several_families_are_adapted_to_and_scored_in_their_order():
    """Of a set that is sorted by family, each agent has what it would have by itself."""
    parts = (probe.tasks(2), probe.tasks(1))
    several = (probe.GAME, probe.GAME._replace())
    run = jax.jit(
        lambda key, params: k_shot(key, several, LEARNED, ADAPT, params, parts, 1, EPISODES)
    )
    together = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    alone = jax.jit(
        lambda key, params: k_shot(key, probe.GAME, LEARNED, ADAPT, params, together, 1, EPISODES)
    )
    key = jax.random.key(4)
    assert_same(run(key, params()), alone(jax.random.clone(key), params()), 1e-5)
