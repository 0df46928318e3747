"""Who steers: scripted principals, the learned principal, and planning through its world model."""

from mermaide_jax.principals.learned import (
    Decision,
    DecisionAndActivations,
    LearnedPrincipal,
    learned_principal,
)
from mermaide_jax.principals.offers import OfferPrincipal, offer_principal
from mermaide_jax.principals.scripted import first_k, random, random_rate

__all__ = [
    "Decision",
    "DecisionAndActivations",
    "LearnedPrincipal",
    "OfferPrincipal",
    "first_k",
    "learned_principal",
    "offer_principal",
    "random",
    "random_rate",
]
