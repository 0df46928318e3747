"""What a registered principal is to a study: scripted, learned or planned.

A scripted principal is registered as it is made, ``make(game) -> Principal``; the other two are
described here. Whoever runs a study asks for nothing but these.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from mermaide_jax import registry
from mermaide_jax.base import Game, Principal

Role = Literal["learned", "scripted", "reference"]
"""A learned principal is trained; a scripted one has at most one number, chosen on training agents;
a reference knows what no principal can, or plans, and is compared with."""


@dataclasses.dataclass(frozen=True)
class Learned:
    """A principal that is trained: the common code with parts switched off or exchanged.

    Attributes:
      configure: ``configure(network, training) -> (network, training)``, from the configs of a
        study to those of this principal.
    """

    configure: Callable[[Any, Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class Planned:
    """A principal that plans each episode with the true game.

    Attributes:
      play: ``play(key, tune_key, game, tasks, options) -> Trajectory``, leading axes ``[N, M, T]``,
        of ``N`` agents of one family; ``options`` are those of the evaluation.
      episodes: ``episodes(options) -> M``, fresh episodes that it plays with each agent.
    """

    play: Callable[..., Any]
    episodes: Callable[[Any], int]


def role_of(name: str) -> Role:
    """Tells what kind of principal a name is; one that is not registered counts as scripted.

    Example:
      >>> role_of("mermaide"), role_of("always"), role_of("prescient")
      ('learned', 'scripted', 'reference')
    """
    member = next((m for m in registry.members("principal") if m.name == name), None)
    if member is None:
        return "scripted"
    return "learned" if isinstance(member.value, Learned) else member.traits.get("role", "scripted")


def names_of(*roles: Role) -> tuple[str, ...]:
    """Lists the registered principals of these roles, in the order in which they are shown.

    Example:
      >>> names_of("scripted")[:2]
      ('never', 'always')
    """
    return tuple(name for name in registry.names("principal") if role_of(name) in roles)


def candidates_of(name: str, game: Game, options: Any) -> jax.Array:
    """Lists the numbers among which that of a scripted principal is chosen, ``[C]``.

    Args:
      name: its name.
      game: the game.
      options: of the study; a grid that is a function is called with the game and these.

    Example:
      >>> config = games.GameConfig(num_arms=3, horizon=4)
      >>> game = games.make_intervention_game(agents.ucb(3), config)
      >>> candidates_of("first_k", game, options=None).tolist()
      [0, 1, 2, 3, 4]
    """
    parameters = registry.get("principal", name).parameters
    if not parameters:
        return jnp.zeros((1,), jnp.float32)
    grid = parameters[0].grid
    return jnp.asarray(grid(game, options) if callable(grid) else grid)


def make_scripted(name: str, game: Game) -> Principal:
    """Makes the scripted principal of that name, in a game.

    Example:
      >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
      >>> make_scripted("always", game).privileged
      False
    """
    return registry.make("principal", name, game)
