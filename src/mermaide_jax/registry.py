"""Where every member of the library is named once: register it, list what there is, make one.

A *member* is a family of agents, a principal, a game, an environment, a network, a meta-gradient, a
preset or a study. Each is registered by one line in the file that defines it, with its label, a
one-line summary and its parameters; lists, help texts, checks, figures and tables read them here.
Nothing else keeps a list of names.

Members of the library are found in its packages when they are first asked for. Those of other
people come from Python (`register`), from a module or file that is named (`load`; on the command
line ``--load``), or from installed distributions with entry points in the group
``mermaide_jax.members``, each the name of a module that registers.

    >>> from mermaide_jax import registry
    >>> registry.names("family")[:2]
    ['ucb', 'epsilon_greedy']
    >>> agent = registry.make("family", "ucb", 10)
"""

import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.util
import math
import numbers
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal, get_args

from mermaide_jax.errors import ConfigError, check_choice, refuse, shorten

__all__ = [
    "Kind",
    "Member",
    "Parameter",
    "get",
    "label",
    "load",
    "make",
    "members",
    "names",
    "register",
]

Kind = Literal[
    "family", "principal", "game", "environment", "network", "meta_gradient", "preset", "study"
]
"""What can be registered."""

ENTRY_POINTS = "mermaide_jax.members"
"""Group of entry points whose modules are imported for what they register."""

_ROOMS: Mapping[str, tuple[str, ...]] = {
    "family": ("agents",),
    "principal": ("principals", "oracles"),
    "game": ("games",),
    "environment": ("environments",),
    "network": ("networks",),
    "meta_gradient": ("meta",),
    "preset": ("studies",),
    "study": ("studies",),
}
"""Kind to the packages of the library whose modules register such members."""

_DOORS = {"preset": "presets", "study": "study"}
"""Kinds whose members are registered in modules of one name alone: the rest loads much more."""

_LOADED = "mermaide_jax_loaded_"
"""What the names of modules begin with that are loaded by their path."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One number of a member, and the values that studies give it.

    Attributes:
      name: as it appears in labels, such as ``"beta"``.
      grid: published or default values, ascending; or a function that gives them. A principal's is
        called as ``grid(game, options)``, with the options of the evaluation.
      low: least value that makes sense.
      high: greatest value.
    """

    name: str
    grid: tuple[float, ...] | Callable[..., Any] = ()
    low: float = 0.0
    high: float = math.inf

    def check(self, value: float) -> float:
        """Returns ``value``, or refuses one that is not finite or outside of ``[low, high]``.

        Raises:
          ConfigError: it is.

        Example:
          >>> Parameter("rate", high=1.0).check(0.5)
          0.5
        """
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not self.low <= value <= self.high:
            low = "" if math.isinf(self.low) else f" >= {self.low:g}"
            high = "" if math.isinf(self.high) else f"{' and' if low else ''} <= {self.high:g}"
            refuse(self.name, value, f"a finite number{low}{high}")
        return value


@dataclasses.dataclass(frozen=True)
class Member:
    """What is known of one member.

    Attributes:
      kind: see `Kind`.
      name: what users write, lower case with underscores.
      value: what `register` was given: the factory, or the thing itself.
      label: what people read in tables and figures.
      summary: one line for lists and help.
      parameters: its numbers; the first is the one that studies sweep.
      traits: what only members of its kind have, by name; see `register`.
      rank: place in lists, tables and figures, low first.
      origin: module that registered it, or the file if it was loaded by its path.
    """

    kind: Kind
    name: str
    value: Any
    label: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
    traits: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rank: float = 100.0
    origin: str = ""


_members: dict[tuple[str, str], Member] = {}


def register(
    kind: Kind,
    name: str,
    value: Any,
    *,
    label: str,
    summary: str,
    parameters: Sequence[Parameter] = (),
    rank: float = 100.0,
    **traits: Any,
) -> Any:
    """Names a member, once, where it is defined.

    Args:
      kind: what it is. What ``value`` is depends on it:

        - family: ``make(num_arms, **options) -> Agent``; traits ``params``, a function of the first
          parameter that gives the agent's params, ``options``, names of options it takes, and
          ``index``, what it maximises (`games.informed`).
        - principal: ``make(game) -> Principal`` with at most one number as params, chosen on
          training agents among the grid of its parameter; or a `principals.members.Learned` or
          `principals.members.Planned`; traits ``role``, see `principals.members.Role`, ``note``, a
          line under tables that say what it knows, and ``attained``, 0 or 1, of those whose score
          is that share of the attainable (the best of those at 0).
        - game: ``make(agent, config) -> Game``.
        - environment: ``make(...) -> Environment``.
        - network: ``make(config, sizes) -> networks.NetworkPair``.
        - meta_gradient: a `meta.MetaGradient`.
        - preset: a config of a study.
        - study: a `studies.kit.Study`.
      name: lower case letters, digits and underscores.
      value: see above.
      label: what people read.
      summary: one line.
      parameters: its numbers.
      rank: place in lists; members without one come after those of the library.
      traits: see above.

    Returns:
      ``value``.

    Raises:
      ConfigError: no such kind, an impossible name, or one that another module has registered.

    Example:
      >>> shy = lambda num_arms: agents.ucb(num_arms)
      >>> _ = register(
      ...     "family", "shy_example", shy, label="Shy", summary="UCB with another grid",
      ...     parameters=[Parameter("beta", (0.05, 0.1))], params=agents.UCBParams,
      ... )
      >>> agents.grid_of("shy_example")
      (0.05, 0.1)
    """
    check_choice("kind", kind, get_args(Kind))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        refuse("name", name, "lower case letters, digits and underscores, a letter first")
    frozen = MappingProxyType(dict(traits))
    origin = _origin_of(sys._getframe(1).f_globals)
    member = Member(kind, name, value, label, summary, tuple(parameters), frozen, rank, origin)
    former = _members.get((kind, name))
    # The same module may say it again, as when it is reloaded or a cell of a notebook is run anew.
    if former is not None and former.origin != origin:
        known = f"a {kind} that is not registered yet: {former.origin} has one of this name"
        refuse("name", name, f"{known}, {origin} needs another")
    _members[kind, name] = member
    return value


def members(kind: Kind) -> list[Member]:
    """Lists all members of a kind, in the order in which they are shown.

    Raises:
      ConfigError: no such kind.

    Example:
      >>> [member.label for member in members("game")][:2]
      ['Bandit intervention game', 'Stackelberg game']
    """
    check_choice("kind", kind, get_args(Kind))
    _open_rooms(kind)
    _open_entry_points()
    return sorted((m for m in _members.values() if m.kind == kind), key=lambda m: m.rank)


def names(kind: Kind) -> list[str]:
    """Lists the names of all members of a kind, in the order in which they are shown.

    Example:
      >>> names("network")
      ['gru', 'arms', 'mlp']
    """
    return [member.name for member in members(kind)]


def get(kind: Kind, name: str, argument: str | None = None) -> Member:
    """Finds the member of that name.

    Args:
      kind: see `Kind`.
      name: its name.
      argument: what the error names; None: the kind.

    Raises:
      ConfigError: there is none; the line names those there are, and the nearest.

    Example:
      >>> get("family", "ucb").parameters[0].name
      'beta'
      >>> get("family", "usb")
      Traceback (most recent call last):
      mermaide_jax.errors.ConfigError: family: got 'usb', expected one of ucb, ...
    """
    check_choice(argument or kind, name, names(kind))
    return _members[kind, name]


def make(kind: Kind, name: str, *args: Any, **kwargs: Any) -> Any:
    """Makes a member from arguments, by its factory.

    Raises:
      ConfigError: there is no such member, or it refuses the arguments.

    Example:
      >>> make("family", "ucb", 3) is agents.ucb(3)
      True
    """
    return get(kind, name).value(*args, **kwargs)


def label(kind: Kind, name: str) -> str:
    """Gives what people read for a name; one that is not registered is shown as it is.

    Example:
      >>> label("family", "epsilon_greedy"), label("family", "unheard_of")
      ('Epsilon-greedy', 'unheard_of')
    """
    return next((member.label for member in members(kind) if member.name == name), name)


def load(module: str) -> ModuleType:
    """Imports a module, or a file, for what it registers; its code is run.

    Args:
      module: a dotted name that can be imported, or the path of a ``.py`` file.

    Returns:
      The module.

    Raises:
      ConfigError: there is no such module or file, or it cannot be imported.

    Example:
      >>> load("mermaide_jax.agents.ucb").__name__
      'mermaide_jax.agents.ucb'
    """
    path = Path(module)
    is_file = module.endswith(".py") or len(path.parts) > 1
    if is_file and not path.is_file():
        refuse("--load", module, "a module that can be imported, or a .py file that is there")
    with _telling("--load", module, str(path.resolve()) if is_file else module):
        return _import_file(path) if is_file else importlib.import_module(module)


@contextlib.contextmanager
def _telling(name: str, value: str, where: str) -> Iterator[None]:
    """Makes one line of what goes wrong while a module of other people is imported.

    Args:
      name: what the error names.
      value: what was asked for.
      where: the file or the module whose line is told, if the error comes from it.
    """
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{name} {value}: {error}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == where]
        line = f"line {lines[-1]}: " if lines else ""
        reason = shorten(f"{line}{type(error).__name__}: {error}")
        raise ConfigError(
            f"{name}: got {value!r}, expected a module that can be imported ({reason})"
        ) from error


def _import_file(path: Path) -> ModuleType:
    """A file as a module of its own; the same file is run once a process."""
    path = path.resolve()
    name = f"{_LOADED}{abs(hash(path)):x}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        refuse("--load", path, "a file of Python code")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look for their module while it is run
    try:
        specification.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _origin_of(names: Mapping[str, Any]) -> str:
    """How people know the module with these globals: by its name, or by the file loaded."""
    module = str(names.get("__name__", "?"))
    return str(names.get("__file__", module)) if module.startswith(_LOADED) else module


@functools.cache
def _open_rooms(kind: str) -> None:
    """Imports the modules of the library that register members of a kind."""
    for room in _ROOMS[kind]:
        name = f"mermaide_jax.{room}"
        if importlib.util.find_spec(name) is not None:
            for module in _modules_below(importlib.import_module(name)):
                if _DOORS.get(kind) in (None, module.rpartition(".")[2]):
                    importlib.import_module(module)


def _modules_below(package: ModuleType) -> Iterator[str]:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield found.name


@functools.cache
def _open_entry_points() -> None:
    """Imports what installed distributions name in the group `ENTRY_POINTS`."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        owner = f"{point.dist.name} {point.dist.version}" if point.dist else "a distribution"
        with _telling(f"entry point {point.name!r} of {owner}", point.value, point.module):
            point.load()
