"""A family of agents of one's own: softmax over the mean reward of each arm.

mermaide --load docs/examples/softmax_agent.py reproduce --preset smoke --out results/softmax
"""

import functools

import jax

from mermaide_jax.agents.sample_means import sample_mean_agent
from mermaide_jax.registry import Parameter, register


@functools.cache  # one agent a size, so that it is compiled once
def softmax(num_arms):
    """Pulls arm ``a`` with probability proportional to ``exp(Q[a] / temperature)``.

    Its params are the temperature, a scalar that may be swept; its state is `SampleMeans`.
    """

    def act(key, temperature, state, offer):
        return jax.random.categorical(key, state.means / temperature)

    def probabilities(temperature, state, offer):
        return jax.nn.softmax(state.means / temperature)

    return sample_mean_agent(num_arms, act, probabilities)


register(
    "family",
    "softmax",
    softmax,
    label="Softmax",
    summary="each arm with probability proportional to exp(mean / temperature)",
    parameters=(Parameter("temperature", (0.02, 0.05, 0.1, 0.2, 0.4), low=1e-3),),
    params=lambda temperature: temperature,
)
