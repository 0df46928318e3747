"""Who steers: scripted principals, the prescient reference, the learned principal."""

from mermaide_jax.principals.base import Preview, Principal, Privileged
from mermaide_jax.principals.learned import (
    Decision,
    LearnedPrincipal,
    Recorded,
    learned_principal,
)
from mermaide_jax.principals.network_pair import NetworkConfig
from mermaide_jax.principals.offers import OfferPrincipal, offer_principal
from mermaide_jax.principals.prescient import prescient
from mermaide_jax.principals.scripted import first_k, random, random_rate

__all__ = [
    "Decision",
    "LearnedPrincipal",
    "NetworkConfig",
    "OfferPrincipal",
    "Preview",
    "Principal",
    "Privileged",
    "Recorded",
    "first_k",
    "learned_principal",
    "offer_principal",
    "prescient",
    "random",
    "random_rate",
]
