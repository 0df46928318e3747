"""Ratios of payoffs by hand."""

import doctest

import numpy as np

from mermaide_jax.studies.stackelberg import needs


def test_ratio_is_of_the_means():
    found = needs.payoff_ratio([[0.1, 0.3], [0.3, 0.5]], [0.25, 0.75])
    np.testing.assert_allclose(found, [0.4, 0.8])


def test_examples_of_the_documentation():
    found = doctest.testmod(needs)
    assert found.attempted > 0 and found.failed == 0
