"""Who is steered: families of learning agents as pure functions, and populations of them."""

from mermaide_jax.agents.best_response import BestResponseParams, best_response
from mermaide_jax.agents.epsilon_greedy import EpsilonGreedyParams, epsilon_greedy
from mermaide_jax.agents.families import check_coefficients, grid_of, make_agent, make_params
from mermaide_jax.agents.population import Population, population, sort_by_family
from mermaide_jax.agents.sample_means import (
    SampleMeans,
    init_sample_means,
    sample_mean_agent,
    untried_first,
    update_sample_means,
)
from mermaide_jax.agents.thompson import (
    ThompsonParams,
    thompson,
    thompson_draw,
    thompson_probabilities,
)
from mermaide_jax.agents.ties import argmax_of_bits, argmax_probabilities, random_argmax
from mermaide_jax.agents.ucb import UCBParams, ucb, ucb_index
from mermaide_jax.base import Agent, permute_arms

__all__ = [
    "Agent",
    "BestResponseParams",
    "EpsilonGreedyParams",
    "Population",
    "SampleMeans",
    "ThompsonParams",
    "UCBParams",
    "argmax_of_bits",
    "argmax_probabilities",
    "best_response",
    "check_coefficients",
    "epsilon_greedy",
    "grid_of",
    "init_sample_means",
    "make_agent",
    "make_params",
    "permute_arms",
    "population",
    "random_argmax",
    "sample_mean_agent",
    "sort_by_family",
    "thompson",
    "thompson_draw",
    "thompson_probabilities",
    "ucb",
    "ucb_index",
    "untried_first",
    "update_sample_means",
]
