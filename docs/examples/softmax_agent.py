"""A family of agents of one's own: softmax over the mean reward of each arm.

mermaide --load docs/examples/softmax_agent.py reproduce --preset smoke --out results/softmax
"""

import functools
from typing import NamedTuple

import jax

from mermaide_jax.agents.sample_means import sample_mean_agent
from mermaide_jax.registry import Parameter, register


class SoftmaxParams(NamedTuple):
    """What may be swept: ``temperature``, scalar; near zero it is greedy."""

    temperature: jax.Array


def softmax(num_arms):
    """Pulls arm ``a`` with probability proportional to ``exp(Q[a] / temperature)``."""
    logits = lambda params, state: state.means / params.temperature
    return sample_mean_agent(
        num_arms,
        lambda key, params, state, offer: jax.random.categorical(key, logits(params, state)),
        lambda params, state, offer: jax.nn.softmax(logits(params, state)),
    )


register(
    "family",
    "softmax",
    functools.cache(softmax),  # one agent a size, so that it is compiled once
    label="Softmax",
    summary="each arm with probability proportional to exp(mean / temperature)",
    parameters=(Parameter("temperature", (0.02, 0.05, 0.1, 0.2, 0.4), low=1e-3),),
    params=SoftmaxParams,
)
