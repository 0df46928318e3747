"""What `mermaide list` says."""

from collections.abc import Mapping

from mermaide_jax.studies.mermaide.presets import DESCRIPTIONS

AGENTS: dict[str, str] = {
    "ucb": "UCB: the arm of the highest mean + beta sqrt(ln t / n)",
    "epsilon_greedy": "epsilon-greedy: the best mean so far, or with probability epsilon any arm",
    "best_response": "best response: knows its rewards, sees the offer, takes the best arm",
}
"""Learning rule to description, for --agents.families."""

PRINCIPALS: dict[str, str] = {
    "mermaide": "learned: world model and policy, meta-trained to be fine-tuned (MERMAIDE)",
    "maml_without_world_model": "learned: the policy alone, meta-trained",
    "world_model_without_meta": "learned: world model and policy, without meta-learning",
    "reinforce": "learned: the policy alone, without meta-learning",
    "never": "scripted: never pays",
    "always": "scripted: pays at every step",
    "random": "scripted: pays with a fixed probability (--evaluation.random-rate)",
    "first_k": "scripted: pays in the first k steps; best k on the training agents",
    "prescient": "reads the agent's state, pays when it is about to take the target: a reference",
    "all_knowing": "plans with the true agent, knows no draw to come: the reference of Attained",
    "clairvoyant": "knows all draws of the episode, searches the best interventions: a reference",
}
"""Principal to description, for --principals."""


def text() -> str:
    """Agents, principals and presets, a line each."""
    return "\n\n".join(
        [
            _block("Agents (--agents.families)", AGENTS),
            _block("Principals (--principals)", PRINCIPALS),
            _block("Presets (--preset)", DESCRIPTIONS),
        ]
    )


def _block(title: str, entries: Mapping[str, str]) -> str:
    width = max(map(len, entries))
    return "\n".join([title, *(f"  {name:<{width}}  {what}" for name, what in entries.items())])
