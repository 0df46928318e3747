"""Checks of what others write against the protocols of `mermaide_jax.base`.

Each takes an agent, a principal, a game or an environment with a sample of what it is used with,
and raises `errors.ContractError` at the first promise that is broken: one line with the function,
the name of the promise, what was got and what is expected.

| promise | what it says |
|---|---|
| ``call`` | the function takes these arguments |
| ``shapes`` | structure, shapes and dtypes are those of the protocol, with no implicit promotion |
| ``carry`` | what is carried keeps its structure, shapes, dtypes, and has no weak types |
| ``purity`` | same inputs, same outputs; inputs stay as they are; no tracer is kept |
| ``keys`` | what is random depends on the one key that is given, which is used once |
| ``jit`` | compiled and uncompiled agree |
| ``vmap`` | a batch does what its members do one by one |
| ``one trace`` | a second call with equal static parts compiles nothing |
| ``range`` | actions and interventions are those that there are; laws are laws |
| ``law`` | ``probabilities`` are the frequencies of ``act`` |
| ``permutation`` | with its arms renamed, an agent does the same by the new names |
| ``horizon`` | an episode ends after ``T`` steps, no sooner unless it terminates |
| ``no autoreset`` | an episode that is over stays over |
| ``preview`` | what is foretold of the agent is what it does |

They compile a few programs each: seconds, for use in tests.

    >>> from mermaide_jax import agents, checks
    >>> checks.check_agent(agents.ucb(3), agents.make_params("ucb", 0.3))
"""

from mermaide_jax.checks.agent import check_agent
from mermaide_jax.checks.environment import check_environment
from mermaide_jax.checks.functions import check_carry, check_function, check_shapes
from mermaide_jax.checks.game import check_game
from mermaide_jax.checks.law import check_law
from mermaide_jax.checks.principal import check_principal
from mermaide_jax.errors import ContractError

__all__ = [
    "ContractError",
    "check_agent",
    "check_carry",
    "check_environment",
    "check_function",
    "check_game",
    "check_law",
    "check_principal",
    "check_shapes",
]
