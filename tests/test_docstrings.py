"""Every example in a docstring runs and gives what it says, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mermaide_jax

WITHOUT = ("cli", "studies", "throughput")
"""Packages whose functions need no example each: some take whole studies or the runs of one.
How they are used is shown by `studies.kit` and the pages; what examples they have are run too."""

DEVICES = ("mermaide_jax.networks.gru.mosaic.", "mermaide_jax.simulation.mosaic.")
"""Parts of programs that need a GPU: `unroll_gru` and `simulate` use them and have examples."""

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules():
    """The names of all public modules."""
    found = pkgutil.walk_packages(mermaide_jax.__path__, "mermaide_jax.")
    names = ["mermaide_jax", *(module.name for module in found)]
    private = lambda name: any(part.startswith("_") for part in name.split(".")[1:])  # noqa: E731
    return [name for name in names if not private(name)]


def public(module):
    """The functions and classes that a module defines, and the methods of these, by name."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value):
            yield name, value
            own = {n: v for n, v in vars(value).items() if isinstance(v, types.FunctionType)}
            yield from ((f"{name}.{n}", v) for n, v in own.items() if not n.startswith("_"))
        elif callable(value):
            yield name, value


def names_of_readers():
    """What every example may use: the usual imports, and the packages as users import them."""
    packages = ("agents", "checks", "games", "meta", "networks", "oracles", "principals")
    packages += ("evaluation", "losses", "registry", "simulation", "statistics", "training")
    shared = {name: importlib.import_module(f"mermaide_jax.{name}") for name in packages}
    return shared | {"jax": jax, "jnp": jnp, "np": np, "optax": optax}


def examples(module):
    """The examples of a module and of what it defines."""
    parser = doctest.DocTestParser()
    documented = [("", module), *public(module)]
    for name, value in documented:
        text = inspect.getdoc(value) or ""
        where = f"{module.__name__}.{name}".rstrip(".")
        names = names_of_readers() | vars(module)
        test = parser.get_doctest(text, names, where, module.__file__, 0)
        if test.examples:
            yield test


@pytest.mark.parametrize("name", modules())
def test_examples_give_what_they_say(name, guest_registry):
    module = importlib.import_module(name)
    told = []
    for test in examples(module):
        doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=told.append)
    assert not told, "".join(told)


def test_every_public_function_has_an_example():
    bare = []
    for name in modules():
        if name.split(".")[1:2] and name.split(".")[1] in WITHOUT:
            continue
        module = importlib.import_module(name)
        for which, value in public(module):
            function = inspect.isfunction(inspect.unwrap(value)) and "." not in which
            part = f"{name}.{which}".startswith(DEVICES)
            if function and not part and ">>>" not in (value.__doc__ or ""):
                bare.append(f"{name}.{which}")
    assert not bare, f"{len(bare)} without an example: {', '.join(bare)}"


def test_every_docstring_begins_with_a_sentence():
    """The first line stands alone: it ends in a full stop, a colon or what it quotes."""
    wrong = []
    for name in modules():
        module = importlib.import_module(name)
        for which, value in [("", module), *public(module)]:
            first = (inspect.getdoc(value) or "").partition("\n")[0]
            if not first or first[-1] not in ".:?`" or first[0].islower():
                wrong.append(f"{name}.{which}: {first!r}")
    assert not wrong, "\n".join(wrong)
