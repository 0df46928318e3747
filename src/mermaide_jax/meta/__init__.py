"""Inner loops and meta-gradients for any loss, any params pytree and any optax optimiser."""

from mermaide_jax.meta.inner_loop import Adapt, inner_loop
from mermaide_jax.meta.maml import maml_loss

__all__ = ["Adapt", "inner_loop", "maml_loss"]
