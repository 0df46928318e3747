"""Losses and returns of one stream, in the manner of rlax: no batch axis, the caller vmaps.

``T`` is the leading axis of every argument. Nothing here knows of bandits.
"""

import chex
import jax
import jax.numpy as jnp


def rewards_to_go(rewards: jax.Array, discount: chex.Numeric = 1.0) -> jax.Array:
    """Sums what is still to come, ``G_t = sum_{s >= t} discount^(s - t) r_s``.

    Args:
      rewards: ``[T]`` float.
      discount: scalar in [0, 1].

    Returns:
      ``[T]`` float.

    Example:
      >>> rewards_to_go(jnp.array([1.0, 0.0, 2.0])).tolist()
      [3.0, 2.0, 2.0]
    """
    step = lambda following, reward: (reward + discount * following,) * 2  # noqa: E731
    return jax.lax.scan(step, jnp.zeros_like(rewards[0]), rewards, reverse=True)[1]


def leave_one_out_baseline(returns: jax.Array) -> jax.Array:
    """Takes the per-step mean of the *other* episodes' returns: it does not bias REINFORCE.

    ``b_{m,t} = 1/(M-1) sum_{m' != m} G_{m',t}``, independent of episode ``m``'s own actions. With
    ``M = 1`` there are no others and the baseline is 0.

    Args:
      returns: ``[M, T]`` returns of ``M`` independent episodes of the same task and policy.

    Returns:
      ``[M, T]`` baseline. Source: Kool, van Hoof and Welling (2019).

    Example:
      >>> leave_one_out_baseline(jnp.array([[1.0], [2.0], [6.0]]))[:, 0].tolist()
      [4.0, 3.5, 1.5]
    """
    num_episodes = returns.shape[0]
    total = jnp.sum(returns, axis=0, keepdims=True)
    return (total - returns) / max(num_episodes - 1, 1)


def reinforce_loss(log_probs: jax.Array, advantages: jax.Array) -> jax.Array:
    """Gives ``-sum_t log pi(u_t) stop(A_t)``, whose gradient is the REINFORCE estimate.

    Args:
      log_probs: ``[T]`` log-probabilities of the actions taken.
      advantages: ``[T]`` returns, with or without a baseline; no gradient passes through them.

    Returns:
      scalar. Source: Williams (1992).

    Example:
      >>> float(reinforce_loss(jnp.log(jnp.array([0.5, 0.5])), jnp.array([1.0, 1.0])))
      1.386...
    """
    return -jnp.sum(log_probs * jax.lax.stop_gradient(advantages))


def reinforce_to_go_loss(log_probs: jax.Array, rewards: jax.Array) -> jax.Array:
    """Gives ``-sum_t log pi(u_t) stop(G_t)``: `reinforce_loss` with plain rewards to go.

    Args:
      log_probs: ``[T]`` log-probabilities of the actions taken.
      rewards: ``[T]`` rewards, not returns.

    Returns:
      scalar. Source: Williams (1992).

    Example:
      >>> gradient = jax.grad(reinforce_to_go_loss)(jnp.log(jnp.array([0.5, 0.5])), jnp.ones(2))
      >>> gradient.tolist()
      [-2.0, -1.0]
    """
    return reinforce_loss(log_probs, rewards_to_go(rewards))


def magic_box(log_probs: jax.Array) -> jax.Array:
    """Gives ``exp(x - stop(x))``: 1 in value, with derivatives of every order of ``exp(x)``.

    Example:
      >>> float(magic_box(jnp.float32(3.0))), float(jax.grad(magic_box)(3.0))
      (1.0, 1.0)
    """
    return jnp.exp(log_probs - jax.lax.stop_gradient(log_probs))


def dice_loss(
    log_probs: jax.Array, rewards: jax.Array, baselines: jax.Array | None = None
) -> jax.Array:
    """Gives minus the DiCE objective: its derivatives of every order are unbiased for the return's.

        J = sum_t box(sum_{s <= t} log pi(u_s)) r_t + sum_t (1 - box(log pi(u_t))) b_t

    Args:
      log_probs: ``[T]`` log-probabilities of the actions taken.
      rewards: ``[T]`` rewards, not returns; no gradient passes through them.
      baselines: ``[T]``, independent of the action at their step, or None.

    Returns:
      scalar; in value minus the return. Source: Foerster et al. (2018), Eq. (6) and (8).

    Example:
      >>> log_probs, rewards = jnp.log(jnp.array([0.5, 0.5])), jnp.array([1.0, 2.0])
      >>> float(dice_loss(log_probs, rewards)), jax.grad(dice_loss)(log_probs, rewards).tolist()
      (-3.0, [-3.0, -2.0])
    """
    rewards = jax.lax.stop_gradient(rewards)
    objective = jnp.sum(magic_box(jnp.cumsum(log_probs)) * rewards)
    if baselines is not None:
        objective += jnp.sum((1.0 - magic_box(log_probs)) * jax.lax.stop_gradient(baselines))
    return -objective


def next_action_loss(log_predictions: jax.Array, actions: jax.Array) -> jax.Array:
    """Gives ``-sum_t log p(a_t | h_t)`` in nats: the world model's negative log-likelihood.

    Args:
      log_predictions: ``[T, A]`` log-probabilities.
      actions: ``[T]`` int32, the actions that the agent took.

    Returns:
      scalar. Source: MERMAIDE, Algorithm 1.

    Example:
      >>> predictions = jnp.log(jnp.array([[0.5, 0.5], [1.0, 0.0]]))
      >>> float(next_action_loss(predictions, jnp.array([1, 0])))  # log 2
      0.693...
    """
    return -jnp.sum(log_likelihoods(log_predictions, actions))


def log_likelihoods(log_predictions: jax.Array, actions: jax.Array) -> jax.Array:
    """Gives ``log p(a_t | h_t)`` of each step, ``[T]``; arguments as in `next_action_loss`.

    Example:
      >>> log_likelihoods(jnp.array([[-1.0, -2.0]]), jnp.array([1])).tolist()
      [-2.0]
    """
    return jnp.take_along_axis(log_predictions, actions[..., None], axis=-1)[..., 0]
