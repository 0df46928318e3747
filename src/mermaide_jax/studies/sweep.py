"""Sweeps: every seed at every level of something, side by side as streams of one training.

The ``M`` members are all levels of the first seed, then of the next. Members of one seed have the
same keys at all levels, so that levels differ in nothing else.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from mermaide_jax.errors import check_at_least, check_distinct
from mermaide_jax.results.records import Record, tidy
from mermaide_jax.studies.kit import seed_keys

__all__ = ["Sweep"]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Seeds and levels.

    Attributes:
      seeds: number of seeds.
      levels: what is swept, each once.

    >>> noises = Sweep(seeds=2, levels=(0.0, 0.5))
    >>> noises.at_levels().tolist()
    [0.0, 0.5, 0.0, 0.5]
    >>> noises.records("noise", {}, score=[1.0, 2.0, 3.0, 4.0])[1]
    {'seed': 0, 'noise': 0.5, 'score': 2.0}
    """

    seeds: int
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        check_at_least("seeds", self.seeds, 1)
        check_at_least("number of levels", len(self.levels), 1)
        check_distinct("levels", self.levels)

    @property
    def members(self) -> int:
        """``M``."""
        return self.seeds * len(self.levels)

    def keys(self, use: int = 0) -> chex.PRNGKey:
        """``[M]`` keys of one use, see `kit.seed_keys`."""
        return seed_keys(np.repeat(np.arange(self.seeds), len(self.levels)), use)

    def at_levels(self, values: Sequence[float] | None = None) -> jax.Array:
        """``[M]`` float32: each member's level, or the value that goes with its level."""
        return jnp.tile(
            jnp.asarray(self.levels if values is None else values, jnp.float32), self.seeds
        )

    def draw(
        self, use: int, number: int, draw: Callable[..., Any], *terms: Any
    ) -> tuple[chex.PRNGKey, Any]:
        """Draws several things for each member, such as the agents that it meets.

        Args:
          use: of the keys.
          number: of things, ``N``; a larger one need not begin with the smaller.
          draw: ``draw(key, *terms)`` of one thing.
          terms: with leading axis ``[M]``.

        Returns:
          Keys ``[M]`` to go on by, and the things, leading axes ``[M, N]``.
        """

        def one(key: chex.PRNGKey, *terms: Any) -> tuple[chex.PRNGKey, Any]:
            key_draw, key_rest = jax.random.split(key)
            things = jax.vmap(lambda k: draw(k, *terms))(jax.random.split(key_draw, number))
            return key_rest, things

        return jax.jit(jax.vmap(one))(self.keys(use), *terms)

    def choose(
        self, candidates: Sequence[float], score: Callable[[jax.Array], ArrayLike]
    ) -> tuple[float, ...]:
        """Chooses for each level the candidate with the best mean score over seeds.

        Args:
          candidates: what to choose from; the first of equals is taken.
          score: ``score(values [M]) -> [M]``, with one candidate for all members at a time.
        """
        every = [jnp.full((self.members,), value, jnp.float32) for value in candidates]
        scores = np.asarray([score(values) for values in every])
        means = scores.reshape(len(candidates), self.seeds, -1).mean(axis=1)
        return tuple(candidates[best] for best in np.argmax(means, axis=0))

    def records(
        self, level: str, axes: Mapping[str, Sequence[Any]], /, **values: ArrayLike
    ) -> list[Record]:
        """Makes one record for each seed, level and cell of further axes.

        Args:
          level: what the levels are called.
          axes: as of `results.records.tidy`.
          values: name to an array ``[M, ...]``.
        """
        every = {"seed": range(self.seeds), level: self.levels, **axes}
        shape = tuple(len(along) for along in every.values())
        return tidy(every, **{name: np.reshape(table, shape) for name, table in values.items()})
