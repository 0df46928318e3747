"""Many agents on their own bandits at once, with no learning principal: fast, and exact."""

from mermaide_jax.simulation.mixed import simulate_families
from mermaide_jax.simulation.results import Bandits, Simulation
from mermaide_jax.simulation.runner import IMPLEMENTATIONS, simulate

__all__ = ["IMPLEMENTATIONS", "Bandits", "Simulation", "simulate", "simulate_families"]
