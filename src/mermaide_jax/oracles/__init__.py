"""Upper references: exact oracles for small games, a clairvoyant planner for the full one."""

from mermaide_jax.oracles.all_knowing import (
    Rule,
    all_knowing,
    best_rules,
    by_rule,
    play_all_knowing,
    rule_grid,
)
from mermaide_jax.oracles.belief import BeliefLayer, BeliefSolution, solve_belief
from mermaide_jax.oracles.belief_principal import BeliefTable, belief_principal, belief_table
from mermaide_jax.oracles.clairvoyant import Plan, plan_episode, play_planned, replay
from mermaide_jax.oracles.exact import ExactSolution, policy_value, solve_exact
from mermaide_jax.oracles.filtering import (
    Beliefs,
    agent_states,
    first_beliefs,
    foretell,
    observe,
    ucb_beliefs,
)
from mermaide_jax.oracles.filtering_moves import UCBPrior
from mermaide_jax.oracles.guided import Guide, guide_grid, guided, leads, tune_each
from mermaide_jax.oracles.prescient import prescient
from mermaide_jax.oracles.states import Layer, StateGraph, reachable_states
from mermaide_jax.oracles.watching import Watcher, watching

__all__ = [
    "BeliefLayer",
    "BeliefSolution",
    "BeliefTable",
    "Beliefs",
    "ExactSolution",
    "Guide",
    "Layer",
    "Plan",
    "Rule",
    "StateGraph",
    "UCBPrior",
    "Watcher",
    "agent_states",
    "all_knowing",
    "belief_principal",
    "belief_table",
    "best_rules",
    "by_rule",
    "first_beliefs",
    "foretell",
    "guide_grid",
    "guided",
    "leads",
    "observe",
    "plan_episode",
    "play_all_knowing",
    "play_planned",
    "policy_value",
    "prescient",
    "reachable_states",
    "replay",
    "rule_grid",
    "solve_belief",
    "solve_exact",
    "tune_each",
    "ucb_beliefs",
    "watching",
]
