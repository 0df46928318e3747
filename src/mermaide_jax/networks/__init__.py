"""Networks of principals: heads, networks over arms, and the pair of world model and policy."""

from mermaide_jax.networks.world_model_policy import (
    NetworkConfig,
    NetworkPair,
    Outputs,
    Sizes,
    Stepper,
    head_sizes,
    make_pair,
    reading_pair,
    recurrent_pair,
)

__all__ = [
    "NetworkConfig",
    "NetworkPair",
    "Outputs",
    "Sizes",
    "Stepper",
    "head_sizes",
    "make_pair",
    "reading_pair",
    "recurrent_pair",
]
