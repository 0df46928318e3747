"""What other people register, for the time of a test."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mermaide_jax import registry


@contextmanager
def guests_leave() -> Iterator[None]:
    """Whoever is registered inside is gone afterwards, and may be loaded again."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("family", "principal", "game", "network", "meta_gradient", "preset", "study"):
            registry.names(kind)  # members of the library are there before
        patch.setattr(registry, "_members", dict(registry._members))
        loaded = set(sys.modules)
        yield
        for name in set(sys.modules) - loaded:
            if name.startswith("mermaide_jax_loaded_"):
                del sys.modules[name]
