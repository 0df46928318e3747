"""Inner loops and meta-gradients for any loss, any params pytree and any optax optimiser."""

from mermaide_jax.meta.gradient import hessian_aware_grad
from mermaide_jax.meta.inner_loop import Adapt, Loss, inner_loop
from mermaide_jax.meta.kinds import MetaGradient
from mermaide_jax.meta.maml import (
    TaskGroup,
    maml_gradient,
    maml_gradient_of_groups,
    maml_loss,
    meta_gradient,
)
from mermaide_jax.meta.meta_sgd import (
    MetaSGDParams,
    init_meta_sgd,
    meta_sgd,
    sgd_with_rates,
    with_inner_rate,
)

__all__ = [
    "Adapt",
    "Loss",
    "MetaGradient",
    "MetaSGDParams",
    "TaskGroup",
    "hessian_aware_grad",
    "init_meta_sgd",
    "inner_loop",
    "maml_gradient",
    "maml_gradient_of_groups",
    "maml_loss",
    "meta_gradient",
    "meta_sgd",
    "sgd_with_rates",
    "with_inner_rate",
]
