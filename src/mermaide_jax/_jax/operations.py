"""Functions in terms of other operations, for compilers that do not know all of JAX's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.extend import core


def replace_operations(
    function: Callable[..., Any], replacements: Mapping[str, Callable[..., Any]]
) -> Callable[..., Any]:
    """Returns ``function`` with some of JAX's operations made by other functions.

    Those within `jax.jit` are replaced as well; those within loops and branches are not.

    Args:
      function: pure, of pytrees of arrays.
      replacements: by the name of JAX's primitive: a function of its operands.
    """

    def call(*args: Any) -> Any:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        results = _evaluate(replacements, program, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return call


def _evaluate(replacements: Mapping[str, Any], program: Any, operands: Sequence[Any]) -> list[Any]:
    names = (*program.jaxpr.constvars, *program.jaxpr.invars)
    known = dict(zip(names, (*program.consts, *operands), strict=True))
    read = lambda x: x.val if isinstance(x, core.Literal) else known[x]  # noqa: E731
    for equation in program.jaxpr.eqns:
        inputs, name = [read(x) for x in equation.invars], equation.primitive.name
        if name in replacements:
            outputs = [replacements[name](*inputs)]
        elif name in ("jit", "pjit"):
            outputs = _evaluate(replacements, equation.params["jaxpr"], inputs)
        else:
            outputs = equation.primitive.bind(*inputs, **equation.params)
            outputs = outputs if equation.primitive.multiple_results else [outputs]
        known |= zip(equation.outvars, outputs, strict=True)
    return [read(x) for x in program.jaxpr.outvars]
