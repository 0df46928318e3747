"""Inner loops and meta-gradients for any loss, any params pytree and any optax optimiser."""

from mermaide_jax.meta.gradient import hessian_aware_grad
from mermaide_jax.meta.inner_loop import Adapt, inner_loop
from mermaide_jax.meta.maml import maml_gradient, maml_loss

__all__ = ["Adapt", "hessian_aware_grad", "inner_loop", "maml_gradient", "maml_loss"]
