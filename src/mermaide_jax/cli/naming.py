"""The checks of configs name fields; on the command line they name options."""

import re
import traceback
from collections.abc import Collection

from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.studies.mermaide.config import (
    AgentOptions,
    EvaluationOptions,
    GameOptions,
    StudyConfig,
)
from mermaide_jax.training import TrainingConfig

_PREFIXES: dict[type, str] = {
    GameOptions: "game.",
    AgentOptions: "agents.",
    NetworkConfig: "network.",
    TrainingConfig: "training.",
    EvaluationOptions: "evaluation.",
    StudyConfig: "",
}


def as_flag(error: ConfigError, prefix: str = "") -> str:
    """The message with the field it names as an option: ``cost: ...`` as ``--game.cost: ...``.

    Args:
      error: ``field: got VALUE, expected ALLOWED``.
      prefix: what stands before the field's name.
    """
    name, _, rest = str(error).partition(": ")
    if name.startswith("number of "):
        name = name.removeprefix("number of ")
        rest = re.sub(r"^got 0, .*", "got no value, expected at least one", rest)
        rest = re.sub(r"^got (\d+)", r"got \1 values", rest)
    return f"--{prefix}{name}".replace("_", "-") + f": {rest}"


def as_option(error: ConfigError, given: Collection[str], preset: str) -> str:
    """The message with the option of a study's config that the value comes from.

    Which config refused the value is read from the traceback: the checks know their own fields
    alone, and some names occur twice (`seed`, `agents.seed`).

    Args:
      error: raised while one of the configs of a study was built.
      given: the options on the command line.
      preset: where a value that is not on it comes from.
    """
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    owners = [type(f.f_locals.get("self")) for f in frames if f.f_code.co_name == "__post_init__"]
    prefix = next((_PREFIXES[owner] for owner in owners if owner in _PREFIXES), "")
    message = as_flag(error, prefix)
    source = "" if message.partition(": ")[0] in given else f" (from preset {preset})"
    return message + source
