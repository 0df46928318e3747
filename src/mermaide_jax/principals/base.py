"""What a principal is: a pair of pure functions, and what a privileged one may be told."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax


class Principal(NamedTuple):
    """A way of intervening, as pure functions of one stream; batch it with ``jax.vmap``.

    Attributes:
      init: ``init(params) -> carry``, what the principal remembers at the start of an episode.
      act: ``act(key, params, carry, observation) -> (intervention, carry, info)``, called before
        the agent acts. ``intervention`` is an int32 scalar (float32 where offers are continuous);
        ``info`` is any pytree, for losses and reports.
      privileged: whether ``act`` is given a `Privileged` in place of the plain observation.
    """

    init: Callable[[Any], Any]
    act: Callable[[chex.PRNGKey, Any, Any, Any], tuple[jax.Array, Any, Any]]
    privileged: bool = False


class Preview(NamedTuple):
    """The agent's mind, shown to principals that serve as upper references.

    Attributes:
      action: int32 scalar, what the agent is about to do if nothing is offered.
      estimates: ``[A]`` float32, the agent's estimates of the arms' mean rewards.
      probabilities: ``[A]`` float32, the law of that action.
      target: int32 scalar, ``a*``.
      state: the state of the game, the agent's own within.
      task: the `games.Task`, who is steered.
    """

    action: jax.Array
    estimates: jax.Array
    probabilities: jax.Array
    target: jax.Array
    state: Any
    task: Any


class Privileged(NamedTuple):
    """What a privileged principal is given: the plain observation and a `Preview`."""

    observation: jax.Array
    preview: Preview
