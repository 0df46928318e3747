"""The MAML objective: how good are the params *after* they adapted."""

from typing import Any

from mermaide_jax.meta.inner_loop import Adapt, Loss, Params


def maml_loss(adapt: Adapt, outer_loss: Loss) -> Loss:
    """Returns ``loss(params, adaptation_data, evaluation_data)`` of one task.

        L_i(theta) = outer_loss(adapt(theta; D_i); D'_i)

    ``jax.grad`` of it is the meta-gradient; average over tasks with ``vmap``. The data are given,
    so no sampling takes place in the differentiated graph: how theta changes the *distribution*
    of ``D_i`` reaches the gradient only if the inner loss accounts for it (`losses.dice_loss`).

    Args:
      adapt: what `inner_loop` returns.
      outer_loss: ``outer_loss(params, *evaluation_data) -> scalar``, or ``(scalar, aux)`` for
        ``jax.grad(..., has_aux=True)``.

    Source: Finn, Abbeel and Levine (2017), Eq. (1).
    """

    def loss(
        params: Params, adaptation_data: tuple[Any, ...], evaluation_data: tuple[Any, ...]
    ) -> Any:
        return outer_loss(adapt(params, *adaptation_data), *evaluation_data)

    return loss
