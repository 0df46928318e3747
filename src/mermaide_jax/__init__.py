"""MERMAIDE and its baselines in JAX: principals that steer learning agents they never met.

The few names that most users want are handed on from here; each is imported from its package when
it is first used, so that ``import mermaide_jax`` costs next to nothing.

    >>> import mermaide_jax
    >>> mermaide_jax.names("family")[:2]
    ['ucb', 'epsilon_greedy']
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mermaide_jax.base import Agent, Environment, Game, Learner, Principal, Task, Trajectory
    from mermaide_jax.errors import ConfigError
    from mermaide_jax.games.rollout import collect, rollout
    from mermaide_jax.meta.inner_loop import inner_loop
    from mermaide_jax.meta.maml import maml_loss, meta_gradient
    from mermaide_jax.registry import Parameter, load, make, members, names, register
    from mermaide_jax.training.loop import Trainer, train

    __version__: str

__all__ = [
    "Agent",
    "ConfigError",
    "Environment",
    "Game",
    "Learner",
    "Parameter",
    "Principal",
    "Task",
    "Trainer",
    "Trajectory",
    "__version__",
    "collect",
    "inner_loop",
    "load",
    "make",
    "maml_loss",
    "members",
    "meta_gradient",
    "names",
    "register",
    "rollout",
    "train",
]

_PROTOCOLS = ("Agent", "Environment", "Game", "Learner", "Principal", "Task", "Trajectory")
_HOMES = {
    **dict.fromkeys(_PROTOCOLS, "base"),
    "ConfigError": "errors",
    **dict.fromkeys(("collect", "rollout"), "games.rollout"),
    "inner_loop": "meta.inner_loop",
    **dict.fromkeys(("maml_loss", "meta_gradient"), "meta.maml"),
    **dict.fromkeys(("Parameter", "load", "make", "members", "names", "register"), "registry"),
    **dict.fromkeys(("Trainer", "train"), "training.loop"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value = importlib.import_module("importlib.metadata").version("mermaide-jax")
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
