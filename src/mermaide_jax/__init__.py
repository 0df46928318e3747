"""MERMAIDE and its baselines in JAX: principals that steer learning agents they never met."""

from importlib.metadata import version

from mermaide_jax.errors import ConfigError

__all__ = ["ConfigError", "__version__"]

__version__ = version("mermaide-jax")
