"""Who is steered: learning rules as triples of pure functions, and populations of them."""

from mermaide_jax.agents.best_response import BestResponseParams, best_response
from mermaide_jax.agents.epsilon_greedy import EpsilonGreedyParams, epsilon_greedy
from mermaide_jax.agents.population import (
    RULES,
    PopulationParams,
    population,
    standard_params,
    standard_population,
)
from mermaide_jax.agents.sample_means import SampleMeans
from mermaide_jax.agents.thompson import (
    ThompsonParams,
    thompson,
    thompson_draw,
    thompson_probabilities,
)
from mermaide_jax.agents.ties import argmax_of_bits, random_argmax
from mermaide_jax.agents.ucb import UCBParams, ucb, ucb_index
from mermaide_jax.base import Agent

__all__ = [
    "RULES",
    "Agent",
    "BestResponseParams",
    "EpsilonGreedyParams",
    "PopulationParams",
    "SampleMeans",
    "ThompsonParams",
    "UCBParams",
    "argmax_of_bits",
    "best_response",
    "epsilon_greedy",
    "population",
    "random_argmax",
    "standard_params",
    "standard_population",
    "thompson",
    "thompson_draw",
    "thompson_probabilities",
    "ucb",
    "ucb_index",
]
