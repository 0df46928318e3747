"""The offering principal: its densities against scipy, its samples against its densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from streams import keys

from mermaide_jax.errors import ConfigError
from mermaide_jax.networks.laws import LEAST_DEVIATION, NO_OFFER, START_DEVIATION
from mermaide_jax.principals.offers import offer_principal

SIZE = 3


def params_with(principal, bias):
    """Params whose outputs are ``bias``, whatever is observed."""
    params = principal.init_params(jax.random.key(0))
    return {**params, "head": {**params["head"], "bias": jnp.asarray(bias, jnp.float32)}}


def said(principal, name, params, observations, *interventions):
    """What a principal's law says of its outputs."""
    return getattr(principal.law, name)(principal.outputs(params, observations), *interventions)


def test_discrete_offers_follow_their_logits():
    principal = offer_principal(SIZE, 3, 4)
    logits = np.log([0.5, 0.3, 0.2])
    params = params_with(principal, logits)
    seen = jnp.ones((3, SIZE))
    for name in ("log_prob", "natural"):
        got = said(principal, name, params, seen, jnp.arange(3))
        np.testing.assert_allclose(got, logits, atol=1e-6)
    np.testing.assert_allclose(
        said(principal, "entropy", params, seen[0]), scipy.stats.entropy(np.exp(logits)), atol=1e-6
    )
    assert int(said(principal, "mode", params, seen[0])) == 0
    sample = jax.vmap(lambda key: principal.principal.act(key, params, (), seen[0])[0])
    shares = np.bincount(jax.jit(sample)(keys(0, 4000)), minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.04)


def test_continuous_offers_are_none_or_gaussian():
    principal = offer_principal(SIZE, 0, 4)
    params = params_with(principal, [1.0, 0.1, -1.0])
    chance, sd = 1 / (1 + np.exp(-1.0)), LEAST_DEVIATION + 0.4 / (1 + np.exp(1.0))
    seen = jnp.ones((3, SIZE))
    offers = jnp.asarray([NO_OFFER, 0.3, 0.9], jnp.float32)
    density = scipy.stats.norm.logpdf([0.3, 0.9], 0.6, sd)
    expected = np.log([1 - chance, chance, chance])
    density = np.array([0.0, *density])
    np.testing.assert_allclose(
        said(principal, "log_prob", params, seen, offers), expected + density, rtol=1e-5
    )
    weighted = expected + density * (sd / START_DEVIATION) ** 2
    np.testing.assert_allclose(
        said(principal, "natural", params, seen, offers), weighted, rtol=1e-5
    )
    np.testing.assert_allclose(said(principal, "mode", params, seen[0]), 0.6, rtol=1e-6)
    assert said(principal, "mode", params_with(principal, [-1.0, 0.1, 0.0]), seen[0]) == NO_OFFER

    sample = jax.vmap(lambda key: principal.principal.act(key, params, (), seen[0]))
    drawn, _, log_prob = jax.jit(sample)(keys(1, 4000))
    np.testing.assert_allclose(
        log_prob,
        said(principal, "log_prob", params, jnp.ones((4000, SIZE)), drawn),
        rtol=1e-4,
        atol=1e-5,
    )
    drawn = np.asarray(drawn)
    np.testing.assert_allclose((drawn != NO_OFFER).mean(), chance, atol=0.04)
    standardised = (drawn[drawn != NO_OFFER] - 0.6) / sd
    assert scipy.stats.kstest(standardised, "norm").pvalue > 1e-3


@pytest.mark.parametrize("arguments", [(0, 2, 4), (3, -1, 4), (3, 2, 0)])
def test_impossible_sizes_are_refused(arguments):
    with pytest.raises(ConfigError):
        offer_principal(*arguments)
