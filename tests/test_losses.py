"""Losses against numpy loops, and their derivatives against games played to the last leaf.

The game: ``A`` actions, ``T`` steps, a reward for each step, previous action and action; the policy
has a logit for each previous action and action. Its expected return is known exactly by dynamic
programming, and so are that return's derivatives; expectations of an estimate are taken over all
``A^T`` trajectories, with probabilities from numpy.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from mermaide_jax import losses

SIZES = [(2, 2), (2, 3), (3, 2)]
EXACT = {"rtol": 0, "atol": 1e-12}


@functools.cache
def tables(num_actions, steps):
    """Logits ``[A + 1, A]``, rewards and baselines ``[T, A + 1, A]`` and ``[T, A + 1]``."""
    rng = np.random.default_rng(num_actions + 10 * steps)
    logits = rng.normal(size=(num_actions + 1, num_actions))
    rewards = rng.normal(size=(steps, num_actions + 1, num_actions))
    return logits, rewards, rng.normal(size=(steps, num_actions + 1))


def expected_return(logits, rewards):
    """By backward recursion: ``V_t(s) = sum_a pi(a | s) (r_t(s, a) + V_{t+1}(a))``."""
    policy, value = jax.nn.softmax(logits), jnp.zeros(logits.shape[0])
    for reward in rewards[::-1]:
        value = jnp.sum(policy * (reward + value[: logits.shape[1]]), axis=1)
    return value[-1]  # the last row is the start, where there is no previous action


@functools.cache
def trajectories(num_actions, steps):
    """All of them: probability, previous actions, actions, rewards and baselines."""
    logits, reward, baseline = tables(num_actions, steps)
    out = []
    for actions in itertools.product(range(num_actions), repeat=steps):
        before = (num_actions, *actions[:-1])
        at = list(zip(range(steps), before, actions, strict=True))
        log_prob = sum(log_softmax(logits[s])[a] for _, s, a in at)
        rewards = [reward[i] for i in at]
        baselines = [baseline[t, s] for t, s, _ in at]
        out.append((np.exp(log_prob), before, actions, rewards, baselines))
    return [np.array(column) for column in zip(*out, strict=True)]


def expectation(size, derivative, loss):
    """``sum_tau p(tau) D loss(tau)``, ``loss(log_probs [T], rewards [T], baselines [T])``."""
    probability, before, actions, rewards, baselines = trajectories(*size)

    def one(logits, before, actions, rewards, baselines):
        return loss(jax.nn.log_softmax(logits)[before, actions], rewards, baselines)

    batched = jax.jit(jax.vmap(derivative(one), (None, 0, 0, 0, 0)))
    values = np.asarray(batched(tables(*size)[0], before, actions, rewards, baselines))
    return values, np.tensordot(probability, values, 1)


def surrogate(log_probs, rewards, _):
    return losses.reinforce_loss(log_probs, losses.rewards_to_go(rewards))


def dice(log_probs, rewards, _):
    return losses.dice_loss(log_probs, rewards)


def surrogate_with_baseline(log_probs, rewards, baselines):
    return losses.reinforce_loss(log_probs, losses.rewards_to_go(rewards) - baselines)


ESTIMATES = {
    "surrogate": surrogate,
    "surrogate with baseline": surrogate_with_baseline,
    "dice": dice,
    "dice with baseline": losses.dice_loss,
}


@pytest.mark.parametrize("discount", [1.0, 0.9, 0.0])
@pytest.mark.parametrize("steps", [1, 7])
def test_rewards_to_go(steps, discount):
    rewards = np.random.default_rng(steps).normal(size=steps).astype(np.float32)
    expected = [
        sum(discount ** (later - now) * rewards[later] for later in range(now, steps))
        for now in range(steps)
    ]
    out = losses.rewards_to_go(rewards, discount)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_leave_one_out_baseline_is_the_mean_of_the_others():
    returns: Any = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    expected = [[np.mean(np.delete(returns[:, t], m)) for t in range(3)] for m in range(4)]
    np.testing.assert_allclose(losses.leave_one_out_baseline(returns), expected, atol=1e-6)
    np.testing.assert_array_equal(losses.leave_one_out_baseline(returns[:1]), np.zeros((1, 3)))


def test_leave_one_out_baseline_does_not_know_its_own_episode():
    # Whole numbers: sums of float32 are exact, so that nothing at all may change.
    returns: Any = np.random.default_rng(0).integers(-9, 9, (3, 4)).astype(np.float32)
    before = np.asarray(losses.leave_one_out_baseline(returns))
    for m in range(3):
        changed = returns.copy()
        changed[m] += 60
        after = np.asarray(losses.leave_one_out_baseline(changed))
        np.testing.assert_array_equal(after[m], before[m])
        np.testing.assert_allclose(np.delete(after - before, m, 0), 30)


@pytest.mark.parametrize("num_episodes", [2, 3])
def test_leave_one_out_baseline_does_not_bias_reinforce(num_episodes, x64):
    """All ``3^M`` outcomes of a one-step game; the mean of *all* episodes would bias it."""
    logits, rewards = np.array([0.3, -0.5, 0.9]), np.array([1.0, -2.0, 0.5])
    exact = -jax.grad(lambda x: jax.nn.softmax(x) @ rewards)(logits)

    def loss(logits, actions, baseline):
        returns = jnp.asarray(rewards)[actions][:, None]
        log_probs = jax.nn.log_softmax(logits)[actions][:, None]
        return jnp.mean(jax.vmap(losses.reinforce_loss)(log_probs, returns - baseline(returns)))

    outcomes = np.array(list(itertools.product(range(3), repeat=num_episodes)))
    probability = np.prod(np.exp(log_softmax(logits))[outcomes], axis=1)

    def expected(baseline):
        grads = jax.jit(jax.vmap(lambda a: jax.grad(loss)(logits, a, baseline)))
        return probability @ grads(outcomes)

    np.testing.assert_allclose(expected(losses.leave_one_out_baseline), exact, **EXACT)
    share = (num_episodes - 1) / num_episodes
    np.testing.assert_allclose(expected(lambda r: jnp.mean(r, 0)), share * exact, **EXACT)


def test_reinforce_loss():
    rng = np.random.default_rng(0)
    log_probs, advantages = rng.normal(size=(2, 5)).astype(np.float32)
    expected = -sum(p * a for p, a in zip(log_probs, advantages, strict=True))
    np.testing.assert_allclose(losses.reinforce_loss(log_probs, advantages), expected, rtol=1e-5)
    grads = jax.grad(losses.reinforce_loss, (0, 1))(log_probs, advantages)
    np.testing.assert_array_equal(grads[0], -advantages)
    np.testing.assert_array_equal(grads[1], np.zeros(5))


def test_magic_box_is_one_and_differentiates_like_exp(x64):
    f, x = lambda x: jnp.sin(x) - x**2, 0.7
    box = lambda x: losses.magic_box(f(x))  # noqa: E731
    first, second = np.cos(x) - 2 * x, -np.sin(x) - 2
    assert box(x) == 1.0
    np.testing.assert_allclose(jax.grad(box)(x), first, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(jax.grad(box))(x), second + first**2, rtol=1e-12)


def test_dice_loss_is_minus_the_return():
    rng = np.random.default_rng(0)
    log_probs, rewards, baselines = rng.normal(size=(3, 6)).astype(np.float32)
    for more in ((), (baselines,)):
        out = losses.dice_loss(log_probs, rewards, *more)
        np.testing.assert_allclose(out, -rewards.sum(), rtol=1e-5)
    grads = jax.grad(losses.dice_loss, (0, 1, 2))(log_probs, rewards, baselines)
    assert grads[0].all() and not grads[1].any() and not grads[2].any()


@pytest.mark.parametrize("size", SIZES)
def test_dice_gradient_is_that_of_reinforce_on_every_trajectory(size, x64):
    for ours, other in (("dice", "surrogate"), ("dice with baseline", "surrogate with baseline")):
        left, right = (expectation(size, jax.grad, ESTIMATES[n])[0] for n in (ours, other))
        np.testing.assert_allclose(left, right, **EXACT)
        assert np.abs(left).max() > 0.1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ESTIMATES)
def test_expected_gradient_is_the_policy_gradient(name, size, x64):
    logits, rewards, _ = tables(*size)
    exact = jax.jit(jax.grad(expected_return))(logits, rewards)
    assert np.abs(exact).max() > 0.05
    values, expected = expectation(size, jax.grad, ESTIMATES[name])
    np.testing.assert_allclose(expected, -exact, **EXACT)
    assert np.ptp(values, axis=0).max() > 0.1  # it is an estimate: it differs by trajectory


@pytest.mark.parametrize("size", SIZES[1:])
def test_only_dice_has_the_expected_hessian_of_the_return(size, x64):
    logits, rewards, _ = tables(*size)
    exact = jax.jit(jax.hessian(expected_return))(logits, rewards)
    for name, loss in ESTIMATES.items():
        _, expected = expectation(size, jax.hessian, loss)
        if "dice" in name:
            np.testing.assert_allclose(expected, -exact, **EXACT)
        else:
            assert np.abs(expected + exact).max() > 0.05, name


def test_a_baseline_that_knows_the_action_biases_dice(x64):
    """The tests above can fail."""
    size = (2, 3)
    logits, rewards, _ = tables(*size)
    exact = jax.jit(jax.grad(expected_return))(logits, rewards)
    peeking = lambda log_probs, rewards, _: losses.dice_loss(log_probs, rewards, rewards)  # noqa: E731
    assert np.abs(expectation(size, jax.grad, peeking)[1] + exact).max() > 0.05


def test_next_action_loss():
    rng: Any = np.random.default_rng(0)
    log_predictions = log_softmax(rng.normal(size=(6, 4)), axis=1).astype(np.float32)
    actions = rng.integers(0, 4, 6).astype(np.int32)
    expected = [log_predictions[t][a] for t, a in enumerate(actions)]
    np.testing.assert_array_equal(losses.log_likelihoods(log_predictions, actions), expected)
    out = losses.next_action_loss(log_predictions, actions)
    np.testing.assert_allclose(out, -np.sum(expected), rtol=1e-6)
    uniform = jnp.full((6, 4), -np.log(4), jnp.float32)
    np.testing.assert_allclose(losses.next_action_loss(uniform, actions), 6 * np.log(4), rtol=1e-6)


def test_jit_equals_eager_and_vmap_equals_loop():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3, 3, 5)).astype(np.float32)
    predictions = rng.normal(size=(3, 5, 4)).astype(np.float32)
    actions = rng.integers(0, 4, (3, 5)).astype(np.int32)

    def every(row, predictions, actions):
        return (
            losses.rewards_to_go(row[0], 0.9),
            losses.leave_one_out_baseline(row),
            losses.reinforce_loss(row[0], row[1]),
            losses.dice_loss(*row),
            jax.grad(losses.dice_loss)(*row),
            losses.next_action_loss(predictions, actions),
        )

    batched = jax.jit(jax.vmap(every))(rows, predictions, actions)
    for i in range(3):
        single = every(jnp.asarray(rows[i]), predictions[i], actions[i])
        for left, right in zip(single, batched, strict=True):
            np.testing.assert_allclose(left, right[i], rtol=1e-5, atol=1e-6)
