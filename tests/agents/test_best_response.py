"""The best response against numpy's argmax."""

import jax
import numpy as np
import numpy_oracles as oracles
import pytest
from streams import keys

from mermaide_jax.agents import BestResponseParams, best_response

ARMS, NUMBER = 5, 4000
AGENT = best_response(ARMS)
act = jax.jit(jax.vmap(lambda key, mu, offer: AGENT.act(key, BestResponseParams(mu), (), offer)))


def test_it_takes_the_best_of_reward_and_offer():
    rng = np.random.default_rng(0)
    mu, offer = rng.normal(size=(2, NUMBER, ARMS)).astype(np.float32)
    np.testing.assert_array_equal(act(keys(0, NUMBER), mu, offer), (mu + offer).argmax(1))


def test_ties_are_shared_evenly():
    rng = np.random.default_rng(1)
    mu, offer = (rng.integers(0, 3, (2, NUMBER, ARMS)) / 4).astype(np.float32)
    actions = np.asarray(act(keys(1, NUMBER), mu, offer))
    tied = oracles.optimal(mu + offer)
    assert np.take_along_axis(tied, actions[:, None], 1).all()
    pairs = tied.sum(1) == 2
    assert pairs.sum() > 500
    oracles.assert_binomial((actions == tied.argmax(1))[pairs].sum(), pairs.sum(), 0.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_offer_decides(sign):
    mu = np.linspace(0, 1, ARMS).astype(np.float32)
    offer = np.zeros(ARMS, np.float32)
    offer[1] = sign * 2
    choice = act(keys(2, 3), np.tile(mu, (3, 1)), np.tile(offer, (3, 1)))
    assert set(np.asarray(choice).tolist()) == {1 if sign > 0 else ARMS - 1}
