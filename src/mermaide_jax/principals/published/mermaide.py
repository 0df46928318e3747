"""MERMAIDE's principal and its baselines: the same code with parts switched off.

Source: Banerjee, Phade, Ermon and Zheng, TMLR 2023 (https://arxiv.org/abs/2304.04668). The paper
compares MERMAIDE with meta-learning without the world model and with the world model without
meta-learning; the fourth has neither.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from mermaide_jax.principals.members import Learned
from mermaide_jax.registry import register


def _parts(world_model: bool, meta: bool) -> Callable[[Any, Any], tuple[Any, Any]]:
    """What is left of the configs of a study when parts are switched off."""

    def configure(network: Any, training: Any) -> tuple[Any, Any]:
        if not world_model:
            network = dataclasses.replace(network, world_model=False)
            # Its policy is all it has to adapt.
            training = dataclasses.replace(training, adapt_policy=True)
        if not meta:
            training = dataclasses.replace(training, meta_gradient="none")
        if not training.is_meta:
            # What is never written in training is never learned to be read.
            network = dataclasses.replace(network, memory=False)
        return network, training

    return configure


register(
    "principal",
    "mermaide",
    Learned(_parts(world_model=True, meta=True)),
    label="MERMAIDE",
    summary="learned: world model and policy, meta-trained to be fine-tuned (MERMAIDE)",
    rank=1,
)
register(
    "principal",
    "maml_without_world_model",
    Learned(_parts(world_model=False, meta=True)),
    label="MAML, no world model",
    summary="learned: the policy alone, meta-trained",
    rank=2,
)
register(
    "principal",
    "world_model_without_meta",
    Learned(_parts(world_model=True, meta=False)),
    label="World model, no meta",
    summary="learned: world model and policy, without meta-learning",
    rank=3,
)
register(
    "principal",
    "reinforce",
    Learned(_parts(world_model=False, meta=False)),
    label="REINFORCE",
    summary="learned: the policy alone, without meta-learning",
    rank=4,
)
