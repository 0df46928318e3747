"""Gradient descent on what is played anew, and learning from a single task."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from streams import keys

from mermaide_jax.training import descend, train
from mermaide_jax.training.alone import learn_alone, train_alone


def test_descent_is_the_optimizer_on_the_gradient_of_each_update():
    def gradient(key, params, update, data):
        assert key.shape == ()
        return {"x": params["x"] - data}, {"update": update, "before": params["x"]}

    init = lambda key: {"x": jax.random.normal(key)}  # noqa: E731
    trainer = descend(init, gradient, optax.sgd(0.5))
    state, history = train(keys(0, 2), trainer, jnp.float32([1.0, 2.0]), 3)
    np.testing.assert_array_equal(history["update"], [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(state.learner.update, [3, 3])
    goals = np.array([1.0, 2.0])
    expected = goals + (history["before"][:, 0] - goals) * 0.5**3
    np.testing.assert_allclose(state.learner.params["x"], expected, rtol=1e-5)


def bandit_learner(batch=4):
    """Chooses one of two arms, the second of which pays what the task says."""

    def play(key, logits, known, task):
        arms = jax.random.categorical(key, logits, shape=(batch,))
        return arms, jnp.where(arms == 1, task, 0.0), known + batch

    log_probs = lambda logits, arms: jax.nn.log_softmax(logits)[arms]  # noqa: E731
    look = lambda key, logits, known, task: {"logits": logits, "known": known}  # noqa: E731
    return learn_alone(lambda key: (jnp.zeros(2), jnp.int32(0)), play, log_probs, look)


def test_each_learner_finds_what_pays_in_its_own_task():
    tasks, rates = jnp.float32([[1.0, -1.0], [1.0, 0.0]]), jnp.float32([0.1, 0.5])
    history = train_alone(keys(1, 2), bandit_learner(), tasks, rates, 40)
    logits, known = np.asarray(history["logits"]), np.asarray(history["known"])
    assert logits.shape == (2, 2, 40, 2)
    # What is looked at is what was known before the batch.
    np.testing.assert_array_equal(known[0, 0], 4 * np.arange(40))
    np.testing.assert_array_equal(logits[:, :, 0], 0.0)
    lead = (logits[..., 1] - logits[..., 0])[:, :, -1]
    assert lead[0, 0] > 0.5 and lead[0, 1] < -0.5 and lead[1, 0] > lead[0, 0]
    assert lead[1, 1] == 0  # nothing pays, nothing is learned


def test_a_step_is_reinforce_with_the_others_as_baseline():
    arms = jnp.int32([0, 1, 1])

    def play(key, logits, known, task):
        return arms, task * (arms == 1), known

    log_probs = lambda logits, arms: jax.nn.log_softmax(logits)[arms]  # noqa: E731
    start = jnp.float32([0.2, -0.1])
    trainer = learn_alone(lambda key: (start, ()), play, log_probs, lambda *of: of[1])
    history = train_alone(keys(0, 1), trainer, jnp.float32([[2.0]]), jnp.float32([0.01]), 2)
    rewards = np.array([0.0, 2.0, 2.0])
    advantages = rewards - (rewards.sum() - rewards) / 2
    loss = lambda logits: -jnp.mean(jax.nn.log_softmax(logits)[arms] * advantages)  # noqa: E731
    gradient = jax.grad(loss)(start)
    updates: Any
    updates, _ = optax.adam(0.01).update(gradient, optax.adam(0.01).init(start))
    np.testing.assert_allclose(history[0, 0], [start, start + updates], rtol=1e-5)
