"""Exact oracles for small games: the most that any principal can earn, and how."""

from mermaide_jax.evaluation.oracles.belief import BeliefLayer, BeliefSolution, solve_belief
from mermaide_jax.evaluation.oracles.exact import ExactSolution, policy_value, solve_exact
from mermaide_jax.evaluation.oracles.play import BeliefTable, belief_principal, belief_table
from mermaide_jax.evaluation.oracles.states import Layer, StateGraph, reachable_states

__all__ = [
    "BeliefLayer",
    "BeliefSolution",
    "BeliefTable",
    "ExactSolution",
    "Layer",
    "StateGraph",
    "belief_principal",
    "belief_table",
    "policy_value",
    "reachable_states",
    "solve_belief",
    "solve_exact",
]
