"""MERMAIDE and its baselines in JAX: principals that steer learning agents they never met."""

from importlib.metadata import version

__version__ = version("mermaide-jax")
