"""For each promise of a principal, one that breaks it is refused by the name of the promise."""

import jax
import jax.numpy as jnp
import pytest

from mermaide_jax import agents, checks, games, principals
from mermaide_jax.errors import ConfigError, ContractError
from mermaide_jax.games.rollout import pay_target_of
from mermaide_jax.oracles.prescient import prescient

pytestmark = pytest.mark.contract

ARMS, STEPS = 3, 6
AGENT = agents.ucb(ARMS)
GAME = games.make_intervention_game(AGENT, games.GameConfig(ARMS, STEPS))
BANDIT = games.make_bandit(jnp.array([0.2, 0.5, 0.8]), 0, games.Economics())
TASK = games.make_task(AGENT, agents.UCBParams(0.3), BANDIT)
PAY_TARGET = pay_target_of(GAME)
GOOD = principals.random(PAY_TARGET)


def refusal(promise, function, principal, game=GAME, **options):
    with pytest.raises(ContractError) as caught:
        checks.check_principal(principal, 0.5, game, TASK, **options)
    assert (caught.value.promise, caught.value.function) == (promise, function), str(caught.value)
    return str(caught.value)


def acting(change):
    """The principal whose three values are changed."""
    return GOOD._replace(act=lambda *args: change(*GOOD.act(*args)))


def test_one_that_keeps_all_of_them_passes():
    again = lambda: principals.random(pay_target=PAY_TARGET)  # noqa: E731
    checks.check_principal(GOOD, 0.5, GAME, TASK, remake=again)


def test_an_intervention_of_another_dtype():
    floating = acting(lambda u, *rest: (u.astype(jnp.float32), *rest))
    line = refusal("shapes", "act", floating)
    assert line == "act breaks 'shapes': got float32[], expected int32[]"


def test_an_act_without_three_values():
    assert "(intervention, carry, info)" in refusal("shapes", "act", acting(lambda u, *rest: u))


def test_a_memory_that_hardens():
    refusal("carry", "init", GOOD._replace(init=lambda params: jnp.asarray(0)))


def test_a_memory_that_changes_its_form():
    refusal("carry", "act", acting(lambda u, carry, info: (u, carry[None], info)))


def test_an_intervention_that_the_game_has_not():
    beyond = acting(lambda u, *rest: (u + jnp.int32(1), *rest))
    assert "expected one in [0, 2)" in refusal("range", "act", beyond)


def test_an_offer_that_is_no_number():
    game = games.make_stackelberg_game(games.StackelbergConfig(ARMS, STEPS, "continuous"))
    task = games.draw_stackelberg_task(jax.random.key(0), ARMS, games.Economics())
    nan = GOOD._replace(act=lambda key, params, carry, seen: (jnp.float32(jnp.nan), carry, ()))
    with pytest.raises(ContractError, match="act breaks 'range': got the intervention nan"):
        checks.check_principal(nan, 0.5, game, task)


def test_a_key_that_is_used_twice():
    def act(key, params, carry, seen):
        intervention, carry, info = GOOD.act(key, params, carry, seen)
        return intervention * jax.random.randint(key, (), 0, 2, jnp.int32), carry, info

    refusal("keys", "act", GOOD._replace(act=act))


def test_a_memory_outside_of_the_carry():
    seen_before = []

    def act(key, params, carry, seen):
        intervention, carry, info = GOOD.act(key, params, carry, seen)
        seen_before.append(None)
        return intervention, carry + jnp.int32(len(seen_before)), info

    refusal("purity", "act", GOOD._replace(act=act))


def test_a_decision_in_python():
    def act(key, params, carry, seen):
        del key
        paid = PAY_TARGET(seen) if params > 0.4 else jnp.int32(0)
        return paid, carry, ()

    refusal("jit", "act", GOOD._replace(act=act))


def test_one_that_is_made_anew():
    anew = lambda: GOOD._replace(init=lambda params: jnp.int32(0))  # noqa: E731
    refusal("one trace", "the principal", anew(), remake=anew)


def test_a_privileged_principal_passes_with_previews_and_is_refused_without():
    principal = prescient(PAY_TARGET)
    checks.check_principal(principal, 0.5, GAME, TASK)
    with pytest.raises(ConfigError, match="expected one with previews"):
        checks.check_principal(principal, 0.5, GAME._replace(preview=None), TASK)
