"""Populations: a mixed set of agents, sorted by family so that each runs its own program part.

Under ``vmap`` a branch on who an agent is becomes a choice among what *all* families would do. So
a set is cut into its families before anything is compiled: each family plays alone, side by side
with its like, and what comes of it is put together in the order of the set. A set of several
families costs what its parts cost, and what an agent does depends on its own key and task alone.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.errors import check_at_least, check_in_range, refuse


@dataclasses.dataclass(frozen=True)
class Population:
    """Which family each of ``N`` agents is of; static and value-equal.

    Attributes:
      family: for each agent, the number of its family, from 0 on.
    """

    family: tuple[int, ...]

    def __post_init__(self) -> None:
        check_at_least("number of agents", len(self.family), 1)
        for number in self.family:
            check_in_range("family", number, 0, len(self.family) - 1)
        missing = set(range(max(self.family) + 1)) - set(self.family)
        if missing:
            refuse("family", min(missing), "numbers from 0 on, each of some agent")

    @property
    def num_families(self) -> int:
        """Number of families."""
        return max(self.family) + 1

    @property
    def places(self) -> tuple[np.ndarray, ...]:
        """For each family, where its agents stand in the set."""
        family = np.asarray(self.family)
        return tuple(np.flatnonzero(family == number) for number in range(self.num_families))

    def split(self, tree: Any) -> tuple[Any, ...]:
        """Leaves ``[N, ...]`` of all agents to one tree for each family, ``[n, ...]``."""
        slices = [_slice(at) for at in self.places]
        return tuple(jax.tree.map(lambda leaf, at=at: _take(leaf, at), tree) for at in slices)

    def merge(self, parts: Sequence[Any]) -> Any:
        """Undoes `split`: one tree for each family to leaves ``[N, ...]`` in the order of the set.

        The parts must be alike but for their first axis.
        """
        whole = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        order = np.argsort(np.concatenate(self.places))
        if (order == np.arange(order.size)).all():
            return whole
        return jax.tree.map(lambda leaf: leaf[order], whole)

    def run(self, functions: Sequence[Callable[..., Any]], *parts: Sequence[Any]) -> Any:
        """What each family's function makes of its part, in the order of the set.

        Args:
          functions: one for each family, called as ``function(*part)``.
          parts: arguments, each a sequence of one tree for each family (`split`).
        """
        return self.merge([f(*own) for f, *own in zip(functions, *parts, strict=True)])


def population(sizes: Sequence[int]) -> Population:
    """Makes a set that is sorted already: ``sizes[0]`` agents of one family, then of the next.

    Example:
      >>> population([2, 1]).family
      (0, 0, 1)
    """
    return Population(tuple(int(f) for f in np.repeat(np.arange(len(sizes)), sizes)))


def sort_by_family(names: Sequence[str]) -> tuple[Population, tuple[str, ...]]:
    """Sorts agents by the name of each one's family.

    Returns:
      the population, and the names of its families in order of first appearance.

    Example:
      >>> several, families = sort_by_family(["ucb", "thompson", "ucb"])
      >>> several.family, families
      ((0, 1, 0), ('ucb', 'thompson'))
      >>> [part.tolist() for part in several.split(jnp.array([1.0, 2.0, 3.0]))]
      [[1.0, 3.0], [2.0]]
    """
    families = tuple(dict.fromkeys(names))
    return Population(tuple(families.index(name) for name in names)), families


def _take(leaf: Any, places: Any) -> Any:
    """``leaf[places]``; the places of the families are apart, so that no key is used twice."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.clone(leaf)  # the key-reuse check of JAX takes any two parts for one
    return leaf[places]


def _slice(places: np.ndarray) -> Any:
    """A slice where the places are neighbours, which costs no gather; else the places."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first + 1 == places.size else places
