"""Every registered meta-gradient: its loop descends, and its derivative is what its name says."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mermaide_jax import losses, meta, registry
from mermaide_jax.meta import MetaGradient

MEMBERS = {member.name: member for member in registry.members("meta_gradient")}
RNG = np.random.default_rng(0)
START, CENTRE = RNG.normal(size=(2, 3))
LOG_PROBS, REWARDS = np.log(RNG.uniform(0.2, 0.8, 5)), RNG.normal(size=5)


def cubic(theta, centre):
    """Its Hessian is ``diag(6 (theta - centre))``."""
    return jnp.sum((theta - centre) ** 3)


def adapt_of(name, num_steps=1, **options):
    """Called as the objective calls it, `training.make_adapt`."""
    options = {"adapts": True, "reference": False} | options
    return MEMBERS[name].value.inner_loop(cubic, optax.sgd(0.01), num_steps, **options)


def test_the_published_kinds_are_there_and_described():
    assert list(MEMBERS)[:4] == ["none", "second_order", "first_order", "dice"]
    for member in MEMBERS.values():
        assert isinstance(member.value, MetaGradient)
        assert member.label and member.summary
    assert [name for name, m in MEMBERS.items() if not m.value.in_training] == ["none"]


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("name", MEMBERS)
def test_every_kind_descends_and_serves_every_form(name, num_steps, reference, x64):
    """The same steps for all: they differ in derivatives alone."""
    adapt = adapt_of(name, num_steps, reference=reference)
    theta = np.array(START)
    for _ in range(num_steps):
        theta = theta - 0.01 * 3 * (theta - CENTRE) ** 2
    np.testing.assert_allclose(adapt(START, CENTRE), theta, rtol=1e-12)
    value, gradient = meta.meta_gradient(adapt, cubic)(START, CENTRE, CENTRE + 1)
    np.testing.assert_allclose(value, np.sum((theta - CENTRE - 1) ** 3), rtol=1e-12)
    mean, pulled, _ = meta.maml_gradient(
        adapt, cubic, lambda adapted, query: query, lambda data: data,
        START, CENTRE[None], CENTRE[None] + 1,
    )  # fmt: skip
    np.testing.assert_allclose(mean, value, rtol=1e-12)
    np.testing.assert_allclose(pulled, gradient, rtol=1e-10)
    held = adapt_of(name, num_steps, reference=reference, adapts=False)(START, CENTRE)
    np.testing.assert_array_equal(held, START)


@pytest.mark.parametrize(
    ("name", "hessian"), [("first_order", 0.0), ("second_order", 1.0), ("dice", 1.0)]
)
def test_the_hessian_is_there_or_dropped(name, hessian, x64):
    jacobian = jax.jacobian(adapt_of(name))(START, CENTRE)
    expected = np.eye(3) - hessian * 0.01 * np.diag(6 * (START - CENTRE))
    np.testing.assert_allclose(jacobian, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_policy_loss_has_the_gradient_of_reinforce(name, x64):
    """At the params that played, the gradient of all is ``-G_t``; DiCE has more derivatives."""
    loss = MEMBERS[name].value.policy_loss
    gradient = jax.grad(loss)(LOG_PROBS, REWARDS)
    returns = np.cumsum(REWARDS[::-1])[::-1]
    np.testing.assert_allclose(gradient, -returns, rtol=1e-12)
    second = jax.hessian(loss)(LOG_PROBS, REWARDS)
    if name != "dice":
        assert loss is losses.reinforce_to_go_loss
        np.testing.assert_array_equal(second, 0.0)
        return
    later = np.maximum(*np.indices((5, 5)))  # both actions come before a reward
    np.testing.assert_allclose(second, -returns[later], rtol=1e-12)
