"""Upper references: exact oracles for small games, a clairvoyant planner for the full one."""

from mermaide_jax.oracles.all_knowing import (
    Script,
    all_knowing,
    best_scripts,
    by_script,
    play_all_knowing,
    script_grid,
)
from mermaide_jax.oracles.belief import BeliefLayer, BeliefSolution, solve_belief
from mermaide_jax.oracles.belief_principal import BeliefTable, belief_principal, belief_table
from mermaide_jax.oracles.clairvoyant import Plan, plan_episode, play_clairvoyant, replay
from mermaide_jax.oracles.exact import ExactSolution, policy_value, solve_exact
from mermaide_jax.oracles.filtering import (
    Beliefs,
    agent_states,
    first_beliefs,
    observe,
    predict,
    ucb_beliefs,
)
from mermaide_jax.oracles.filtering_moves import UCBPrior
from mermaide_jax.oracles.guided import Guide, guide_grid, guided, tune_each
from mermaide_jax.oracles.prescient import leads, prescient
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
    "Script",
    "StateGraph",
    "UCBPrior",
    "Watcher",
    "agent_states",
    "all_knowing",
    "belief_principal",
    "belief_table",
    "best_scripts",
    "by_script",
    "first_beliefs",
    "guide_grid",
    "guided",
    "leads",
    "observe",
    "plan_episode",
    "play_all_knowing",
    "play_clairvoyant",
    "policy_value",
    "predict",
    "prescient",
    "reachable_states",
    "replay",
    "script_grid",
    "solve_belief",
    "solve_exact",
    "tune_each",
    "ucb_beliefs",
    "watching",
]
