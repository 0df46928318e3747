"""What `mermaide bench` measures: the library's own work at sizes of everyday use."""

from typing import Any, NamedTuple


class Work(NamedTuple):
    """One kind of work.

    Attributes:
      title: for the table.
      unit: what ``amount`` counts.
      amount: units in one call.
      factory: function of `throughput.factories` that sets it up, called with ``options``.
      options: its sizes.
    """

    title: str
    unit: str
    amount: int
    factory: str
    options: dict[str, Any]


def _alone(title: str, family: str) -> Work:
    agents, horizon = 10_000, 200
    size = {"family": family, "agents": agents, "horizon": horizon}
    return Work(title, "agent-steps", agents * horizon, "agents_alone", size)


def _rollouts(title: str, principal: str) -> Work:
    agents, horizon = 240, 50
    size = {"preset": "quick", "principal": principal, "agents": agents}
    return Work(title, "steps", agents * horizon, "preset_rollouts", size)


WORKS: dict[str, Work] = {
    "ucb": _alone("UCB agents alone", "ucb"),
    "epsilon_greedy": _alone("eps-greedy agents alone", "epsilon_greedy"),
    "rollout_scripted": _rollouts("games, a scripted principal", "random"),
    "rollout_learned": _rollouts("games, a learned principal", "mermaide"),
    "update": Work(
        "training, MERMAIDE",
        "updates",
        5,
        "preset_updates",
        {"preset": "quick", "principal": "mermaide", "number": 5},
    ),
}
"""Name to work."""
