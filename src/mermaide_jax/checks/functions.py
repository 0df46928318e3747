"""What every pure function promises, whatever it computes: purity, keys, jit, vmap, one trace."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params

from mermaide_jax.checks import trees
from mermaide_jax.errors import ContractError

_MAKES_KEYS = ("random_seed", "random_wrap")


def check_function(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Checks that a function of JAX arrays is pure, and the same alone, compiled and batched.

    Promises: ``call``, ``shapes`` (no implicit promotion of dtypes), ``purity``, ``keys``, ``jit``,
    ``vmap`` and ``one trace``.

    Args:
      name: what the error calls it.
      function: one stream's; keys among its arguments are typed.
      *args: samples of its arguments: pytrees whose leaves have a leading axis ``N``, at least 2.

    Returns:
      What it gives for all of them, leading axis ``N``.

    Raises:
      ContractError: the first promise that is broken.

    Example:
      >>> check_function("double", lambda x: 2 * x, jnp.arange(3.0)).tolist()
      [0.0, 2.0, 4.0]
      >>> check_function("positive", lambda x: x if x > 0 else -x, jnp.arange(3.0))
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: positive breaks 'jit': got TracerBoolConversionError: ...
    """
    number = min((len(leaf) for leaf in jax.tree.leaves(args)), default=1)
    samples = [trees.take(args, index) for index in range(number)]
    check_shapes(name, function, *samples[0])
    eager = _check_purity(name, function, samples[0])
    _check_own_keys(name, function, samples[0])
    alone = _check_jit(name, function, samples, eager)
    if not jax.tree.leaves(args):
        return trees.repeat(eager, 1)
    together = call(name, "vmap", jax.jit(jax.vmap(function)), *args)
    if (found := trees.difference(together, trees.stack(alone))) is not None:
        raise ContractError(name, "vmap", found, "a batch that does what its members do alone")
    return together


def check_shapes(name: str, function: Callable[..., Any], *args: Any, like: Any = None) -> Any:
    """Checks what a function gives: structure, shapes and dtypes, with strict promotion.

    Args:
      name: what the error calls it.
      function: any.
      *args: arguments, or their `jax.ShapeDtypeStruct`.
      like: what it should give, as a tree of `jax.ShapeDtypeStruct`; None: anything.

    Returns:
      What it gives, as a tree of `jax.ShapeDtypeStruct`.

    Raises:
      ContractError: ``call`` or ``shapes``.

    Example:
      >>> check_shapes("half", lambda x: x / 2, jnp.float32(1)).shape
      ()
      >>> check_shapes("half", lambda x: x / jnp.int32(2), jnp.float32(1))
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: half breaks 'shapes': got TypePromotionError: ...
    """
    with jax.numpy_dtype_promotion("strict"):
        given = call(name, "call", lambda *x: jax.eval_shape(function, *x), *args)
    if like is not None and trees.describe(given) != trees.describe(like):
        raise ContractError(name, "shapes", trees.describe(given), trees.describe(like))
    return given


def check_carry(name: str, before: Any, after: Any) -> None:
    """Checks that what is carried from step to step keeps its form, and that no type is weak.

    A carry that hardens is traced twice by `jax.lax.scan`; a key in it would be state.

    Args:
      name: of the function that gave ``after``.
      before: tree of `jax.ShapeDtypeStruct`.
      after: the same after a step.

    Raises:
      ContractError: ``carry``, or ``keys``.

    Example:
      >>> strong = jax.eval_shape(lambda: jnp.float32(0))
      >>> check_carry("update", strong, strong)
      >>> check_carry("update", strong, jax.eval_shape(lambda: jnp.asarray(0.0)))
      Traceback (most recent call last):
      mermaide_jax.errors.ContractError: update breaks 'carry': got weak float32[], ...
    """
    strong = trees.describe(before)
    for tree in (before, after):
        if trees.describe(tree, weak=True) != strong:
            raise ContractError(name, "carry", trees.describe(tree, weak=True), strong)
    if any(map(trees.is_key, jax.tree.leaves(before))):
        raise ContractError(name, "keys", "a key that is carried", "keys as arguments alone")


def check_remade(name: str, made: Any, remake: Callable[[], Any] | None) -> None:
    """Checks that what is made anew from equal arguments is equal, and can be static under ``jit``.

    Args:
      name: what the error calls it.
      made: what was made.
      remake: makes it anew; None: only its hash is asked for.

    Raises:
      ContractError: ``one trace``.

    Example:
      >>> check_remade("ucb", agents.ucb(3), lambda: agents.ucb(num_arms=3))
    """
    expected = "an equal one from equal arguments, so that jit knows it again"
    try:
        same = remake is None or (remake() == made and hash(remake()) == hash(made))
        hash(made)
    except TypeError as error:
        raise ContractError(name, "one trace", str(error), expected) from error
    if not same:
        raise ContractError(name, "one trace", "another one", expected)


def call(name: str, promise: str, function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function on copies of the arguments; what goes wrong is a broken promise.

    Args:
      name: what the error calls it.
      promise: which promise an exception breaks that tells no other.
      function: any.
      *args: its arguments; keys among them count as unused.

    Raises:
      ContractError: for any exception.

    Example:
      >>> call("add", "call", lambda x, y: x + y, 1, 2)
      3
    """
    try:
        with jax.debug_key_reuse(True):
            return function(*trees.copy(args))
    except ContractError:
        raise
    except Exception as error:
        told = {
            "KeyReuseError": ("keys", "every key used once"),
            "TypePromotionError": ("shapes", "explicit dtypes"),
            "UnexpectedTracerError": ("purity", "no tracer that outlives its trace"),
        }
        if isinstance(error, _NEEDS_VALUES):
            promise = "jit"
        plain = (promise, f"no exception{_WHERE.get(promise, '')}")
        broken, expected = told.get(type(error).__name__, plain)
        got = f"{type(error).__name__}: {error}"
        raise ContractError(name, broken, got, expected) from error


_NEEDS_VALUES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)
_WHERE = {"jit": " under jax.jit", "vmap": " under jax.vmap"}


def _check_purity(name: str, function: Callable[..., Any], args: Any) -> Any:
    """What the function gives uncompiled; the same twice, its arguments untouched, nothing kept."""

    def untouched(*given: Any) -> Any:
        leaves, form = jax.tree.flatten(given)
        outputs = function(*given)
        now, form_now = jax.tree.flatten(given)
        if form_now != form or any(a is not b for a, b in zip(now, leaves, strict=True)):
            raise ContractError(name, "purity", "changed arguments", "arguments left as they are")
        return outputs

    first, second = (call(name, "call", untouched, *args) for _ in range(2))
    if (found := trees.difference(first, second, tolerance=0.0)) is not None:
        raise ContractError(name, "purity", found, "the same from the same arguments")
    _check_leaks(name, function, args)
    return first


def _check_leaks(name: str, function: Callable[..., Any], args: Any) -> None:
    try:
        with jax.checking_leaks():
            jax.eval_shape(function, *trees.copy(args))
    except Exception as error:
        # JAX names who holds the tracer, and fails at that where there is nobody left to be named.
        if "Leaked" not in str(error) and not isinstance(error, IndexError):
            raise
        raise ContractError(name, "purity", "a tracer that is kept", "nothing kept") from error


def _check_own_keys(name: str, function: Callable[..., Any], args: Any) -> None:
    """A key that is made inside, or taken from outside, is not the one that was given."""
    closed = call(name, "jit", jax.make_jaxpr(function), *args)
    made = any(equation.primitive.name in _MAKES_KEYS for equation in _equations(closed.jaxpr))
    if made or any(map(trees.is_key, closed.consts)):
        raise ContractError(name, "keys", "a key of its own", "no key but the one that is given")


def _equations(jaxpr: Any) -> Iterator[Any]:
    """All equations, those of the programs within included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)


def _check_jit(
    name: str, function: Callable[..., Any], samples: list[Any], eager: Any
) -> list[Any]:
    """What the compiled function gives for each sample: as uncompiled, and from a single trace."""
    traces = []

    def counted(*args: Any) -> Any:
        traces.append(None)
        return function(*args)

    compiled = jax.jit(counted)
    given = [call(name, "jit", compiled, *sample) for sample in samples]
    if (found := trees.difference(given[0], eager)) is not None:
        raise ContractError(name, "jit", found, "compiled and uncompiled to agree")
    if len(traces) != 1:
        raise ContractError(name, "one trace", f"{len(traces)} traces", "one for equal shapes")
    return given
