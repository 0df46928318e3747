"""The work of every simulator: learning agents on Gaussian bandits, all on the same tables.

``N`` agents pull one of ``A`` arms in each of ``T`` steps. The reward of arm ``a`` is
``mu[i, a] + 0.1 * noise``, ``mu`` uniform on [0, 1]. UCB takes the arm of the greatest
``mean + beta sqrt(ln t / n)``, epsilon-greedy that of the greatest mean or, with probability
epsilon, any arm; both pull every arm once in random order before anything else, and break ties at
random. The checksum is the mean reward.
"""

import itertools
import math
from typing import Literal

import numpy as np

Family = Literal["ucb", "epsilon_greedy"]

NOISE = 0.1
BETA = 0.42
EPSILON = 0.1
_F32 = np.float32
COEFFICIENTS: dict[str, float] = {"ucb": BETA, "epsilon_greedy": EPSILON}
"""Family to its exploration coefficient."""


def mean_rewards(agents: int, arms: int) -> np.ndarray:
    """``[N, A]`` float32 uniform on [0, 1]; fewer agents are the first rows of more."""
    return generator(20231).random((agents, arms), np.float32)


def generator(seed: int) -> np.random.Generator:
    """NumPy's fastest generator."""
    return np.random.Generator(np.random.SFC64(seed))


def seeds() -> itertools.count:
    """A new seed for every call, the same in every process."""
    return itertools.count(1)


def gru_layers(inputs: int, features: int) -> list[dict[str, np.ndarray]]:
    """Parameters of two GRU layers, float32, gates r, z, n side by side.

    Returns:
      ``input [I, 3H]``, ``bias [3H]``, ``recurrent [H, 3H]``, ``candidate_bias [H]`` of each.
    """
    rng = generator(7)

    def layer(size: int) -> dict[str, np.ndarray]:
        shapes = {
            "input": (size, 3 * features),
            "bias": (3 * features,),
            "recurrent": (features, 3 * features),
            "candidate_bias": (features,),
        }
        scale = _F32(features**-0.5)
        return {n: scale * rng.standard_normal(s, np.float32) for n, s in shapes.items()}

    return [layer(inputs), layer(features)]


def widths(horizon: int) -> list[float]:
    """``beta sqrt(ln t)`` for ``t`` pulls so far, ``t`` from 0 to ``T`` (0 for no pulls)."""
    return [BETA * math.sqrt(math.log(max(t, 1))) for t in range(horizon + 1)]
