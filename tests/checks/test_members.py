"""Every registered member keeps the promises of its kind."""

import functools
from typing import Any

import jax
import pytest

from mermaide_jax import agents, checks, games, principals, registry
from mermaide_jax.networks import NetworkConfig
from mermaide_jax.principals.members import Learned, Planned, candidates_of
from mermaide_jax.studies.mermaide.config import GameOptions, StudyConfig
from mermaide_jax.training.config import TrainingConfig

pytestmark = pytest.mark.contract

ARMS, STEPS = 4, 5


def played_as(kind):
    """Names of the registered principals whose value is of that type."""
    names = registry.names("principal")
    return [name for name in names if isinstance(registry.get("principal", name).value, kind)]


LEARNED, PLANNED = played_as(Learned), played_as(Planned)
SCRIPTED = [name for name in registry.names("principal") if name not in LEARNED + PLANNED]


def task_of(agent, family="ucb", seed=1):
    bandit = games.draw_bandit(jax.random.key(seed), ARMS, games.Economics())
    grid = agents.grid_of(family)
    return games.make_task(agent, agents.make_params(family, grid[len(grid) // 2]), bandit)


@functools.cache
def bandit_game(kind: Any = "binary"):
    return games.make_intervention_game(agents.ucb(ARMS), games.GameConfig(ARMS, STEPS, kind))


@pytest.mark.parametrize("family", registry.names("family"))
def test_every_family_keeps_the_contract(family):
    agent = agents.make_agent(family, ARMS)
    remake = lambda: agents.make_agent(family, num_arms=ARMS)  # noqa: E731
    checks.check_agent(agent, task_of(agent, family).agent, remake=remake)


def test_options_of_a_family_keep_it_too():
    agent = agents.epsilon_greedy(ARMS, initial_pull=False)
    checks.check_agent(agent, agents.EpsilonGreedyParams(0.3, 0.5))


@pytest.mark.parametrize("name", registry.names("game"))
def test_every_game_keeps_the_contract(name):
    member, agent = registry.get("game", name), agents.best_response(ARMS)
    config = member.traits["config"](num_arms=ARMS, horizon=STEPS)
    game = member.value(agent, config)
    remake = lambda: member.value(agent, config)  # noqa: E731
    checks.check_game(game, task_of(agent, "best_response"), remake=remake)


@pytest.mark.parametrize("kind", ["arm", "penalty", "magnitude"])
def test_every_kind_of_intervention_keeps_it(kind):
    checks.check_game(bandit_game(kind), task_of(agents.ucb(ARMS)))


@pytest.mark.parametrize("kind", ["binary", "arm", "magnitude"])
def test_every_kind_of_offer_keeps_it(kind):
    config = games.StackelbergConfig(ARMS, STEPS, kind, observe="both")
    agent = agents.best_response(ARMS)
    checks.check_game(games.make_stackelberg_game(config), task_of(agent, "best_response"))


@pytest.mark.parametrize("name", SCRIPTED)
def test_every_scripted_principal_keeps_the_contract(name):
    game = bandit_game()
    study = StudyConfig(game=GameOptions(num_arms=ARMS, horizon=STEPS))
    numbers = candidates_of(name, game, study)
    principal = registry.make("principal", name, game)
    remake = lambda: registry.make("principal", name, game)  # noqa: E731
    params = numbers[len(numbers) // 2]
    checks.check_principal(principal, params, game, task_of(game.agent), remake=remake)


@pytest.mark.parametrize("architecture", registry.names("network"))
@pytest.mark.parametrize("name", LEARNED)
def test_every_learned_principal_keeps_the_contract(name, architecture):
    game = bandit_game()
    parts = NetworkConfig(architecture, features=4, num_layers=1), TrainingConfig()
    network, _ = registry.get("principal", name).value.configure(*parts)
    sizes = (game.observation_size, ARMS, game.num_interventions)
    learned = principals.learned_principal(network, *sizes)
    params = learned.init_params(jax.random.key(2))
    checks.check_principal(learned.principal, params, game, task_of(game.agent))
    if learned.with_activations is not None:
        checks.check_principal(learned.with_activations, params, game, task_of(game.agent))


def test_a_principal_that_explores_keeps_it():
    game = bandit_game("magnitude")
    principal = principals.random_rate(game.num_interventions)
    checks.check_principal(principal, (), game, task_of(game.agent))


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_a_principal_that_makes_offers_keeps_it(kind):
    game = games.make_stackelberg_game(games.StackelbergConfig(ARMS, STEPS, kind))
    made = principals.offer_principal(game.observation_size, game.num_interventions, 4)
    params, task = made.init_params(jax.random.key(2)), task_of(game.agent, "best_response")
    checks.check_principal(made.principal, params, game, task)
