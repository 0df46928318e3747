"""The bound by which laws are compared with draws: right laws pass, wrong ones do not."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from mermaide_jax import checks
from mermaide_jax.checks.law import critical_value, divergence
from mermaide_jax.errors import ContractError

pytestmark = pytest.mark.contract

LAWS = [
    np.array([0.5, 0.5]),
    np.array([1.0, 0.0]),
    np.array([0.7, 0.3, 0.0]),
    np.full(10, 0.1),
    np.array([0.997, 1e-3, 1e-3, 1e-3]),
]


@pytest.mark.parametrize("law", LAWS)
def test_draws_by_the_law_pass(law):
    rng = np.random.default_rng(0)
    for _ in range(20):
        checks.check_law("act", law, rng.choice(law.size, size=1000, p=law))


@pytest.mark.parametrize("law", LAWS)
def test_draws_by_another_law_do_not(law):
    other = 0.8 * law + 0.2 * np.eye(law.size)[np.argmin(law)]
    draws = np.random.default_rng(0).choice(law.size, size=2000, p=other)
    with pytest.raises(ContractError, match="act breaks 'law': got frequencies"):
        checks.check_law("act", law, draws)


def test_what_cannot_be_may_never_be_drawn():
    draws = np.zeros(10_000, np.int32)
    draws[0] = 1
    with pytest.raises(ContractError, match="'law'"):
        checks.check_law("act", np.array([1.0, 0.0]), draws)


@pytest.mark.parametrize("action", [-1, 2])
def test_actions_out_of_range_are_named(action):
    with pytest.raises(ContractError, match=rf"'range': got the action {action}, expected one in"):
        checks.check_law("act", np.array([0.5, 0.5]), np.array([0, action]))


@pytest.mark.parametrize(
    "law", [[0.5, 0.4], [1.5, -0.5], [math.nan, 1.0]], ids=["sum", "negative", "nan"]
)
def test_what_is_no_law_is_refused(law):
    with pytest.raises(ContractError, match="act breaks 'range'"):
        checks.check_law("act", jnp.asarray(law), np.array([0, 1]))


def test_the_divergence_is_that_of_scipy():
    f, p = np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.4, 0.5])
    assert divergence(f, p) == pytest.approx(scipy.stats.entropy(f, p))
    assert divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == math.inf


@pytest.mark.parametrize("size", [2, 4, 10])
@pytest.mark.parametrize("level", [1e-2, 1e-6])
def test_the_critical_value_is_where_the_bound_is_the_level(size, level):
    x, k = critical_value(size, level), size - 1
    assert x > k
    assert (math.e * x / k) ** k * math.exp(-x) == pytest.approx(level, rel=1e-6)


def test_right_laws_are_refused_no_more_often_than_the_level():
    """By simulation at a level that can be seen: the bound holds for small samples and zeros."""
    law, number, level = np.array([0.6, 0.3, 0.1, 0.0]), 30, 0.05
    rng = np.random.default_rng(0)
    counts = rng.multinomial(number, law, size=4000)
    beyond = [number * divergence(c / number, law) > critical_value(4, level) for c in counts]
    assert np.mean(beyond) <= level
