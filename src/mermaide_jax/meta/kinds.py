"""The kinds of meta-gradient by name: how adaptation is differentiated.

Each is an inner loop (`Adapt`) with a derivative of its own; what uses one, such as `maml_loss`,
`meta_gradient` and `maml_gradient`, is the same for all. Beside it stands the loss by which a
policy is adapted to rewards.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax

from mermaide_jax import losses
from mermaide_jax.meta.inner_loop import Adapt, inner_loop
from mermaide_jax.registry import register


class MetaGradient(NamedTuple):
    """One kind of meta-gradient.

    Attributes:
      inner_loop: ``inner_loop(loss, optimizer, num_steps, *, adapts, reference) -> Adapt``.
      policy_loss: ``policy_loss(log_probs, rewards) -> scalar``, ``[T]`` each: the loss by which
        a policy adapts.
      in_training: whether there is adaptation in training at all.
    """

    inner_loop: Callable[..., Adapt]
    policy_loss: Callable[[jax.Array, jax.Array], jax.Array]
    in_training: bool = True


register(
    "meta_gradient",
    "none",
    MetaGradient(inner_loop, losses.reinforce_to_go_loss, in_training=False),
    label="none",
    summary="no adaptation in training",
    rank=0,
)
register(
    "meta_gradient",
    "first_order",
    MetaGradient(functools.partial(inner_loop, first_order=True), losses.reinforce_to_go_loss),
    label="first order",
    summary="inner gradients are constants (FOMAML)",
    rank=2,
)
register(
    "meta_gradient",
    "second_order",
    MetaGradient(inner_loop, losses.reinforce_to_go_loss),
    label="second order",
    summary="through the inner step (MAML): a Hessian-vector product for each",
    rank=1,
)
register(
    "meta_gradient",
    "dice",
    MetaGradient(inner_loop, losses.dice_loss),
    label="DiCE",
    summary="second order, and through the sampling of what is adapted on",
    rank=3,
)
