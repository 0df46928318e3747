"""Exact oracles for small games: the most that any principal can earn, and how."""

from mermaide_jax.evaluation.oracles.exact import ExactSolution, policy_value, solve_exact
from mermaide_jax.evaluation.oracles.states import Layer, StateGraph, reachable_states

__all__ = [
    "ExactSolution",
    "Layer",
    "StateGraph",
    "policy_value",
    "reachable_states",
    "solve_exact",
]
