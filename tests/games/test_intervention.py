"""The intervention game against a plain replay of its equations."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
from families import FAMILIES, coefficient_of, games_of, tasks_of
from streams import assert_same, keys, reward_noise

from mermaide_jax import agents, base, games, principals
from mermaide_jax.errors import ConfigError
from mermaide_jax.games.rollout import pay_target_of, preview_of

ARMS, STEPS, NUMBER = 5, 12, 20
KINDS = ("binary", "arm", "penalty", "magnitude")
KNOWN = ("ucb", "epsilon_greedy", "thompson", "best_response")
"""Families whose estimates are known in closed form."""
FLAGS = list(itertools.product((True, False), repeat=3))
# Each kind under each rule of cost, and between them every way of observing.
CONFIGS = [
    games.GameConfig(ARMS, STEPS, kind, (0.5, 2.0, 0.125), cost_on, *flags)
    for (kind, cost_on), flags in zip(
        itertools.product(KINDS, ("offer", "uptake")), FLAGS, strict=True
    )
]


def describe(config):
    flags = (config.observe_target, config.observe_intervention, config.observe_time)
    return f"{config.kind}-{config.cost_on}-{''.join(str(int(f)) for f in flags)}"


@functools.cache
def random_tasks():
    """Agents of every family, each on its own terms; a quarter of them without noise."""
    rng = np.random.default_rng(0)

    def draw(low, high):
        return rng.uniform(low, high, NUMBER).astype(np.float32)

    def of_family(family):
        @jax.vmap
        def make(coefficient, mu, target, cost, bonus, noise):
            economics = games.Economics(cost=cost, bonus=bonus, noise=noise)
            params = agents.make_params(family, coefficient_of(family, coefficient))
            bandit = games.make_bandit(mu, target, economics)
            return games.make_task(agents.make_agent(family, ARMS), params, bandit)

        mu = rng.normal(size=(NUMBER, ARMS)).astype(np.float32)
        noise = np.where(np.arange(NUMBER) % 4, draw(0.1, 1), np.float32(0))
        target = rng.integers(0, ARMS, NUMBER)
        return make(draw(0.1, 0.9), mu, target, draw(0, 2), draw(-0.5, 2), noise)

    return tuple(of_family(family) for family in FAMILIES)


def play(config):
    """One episode with every agent, and the noise of its rewards; families one after the other."""
    several = games_of(FAMILIES, config)
    explorer = principals.random_rate(several[0].num_interventions)

    @jax.jit
    def run(keys, tasks):
        of_agent = lambda key: reward_noise(jax.random.split(key, 1)[0], STEPS)  # noqa: E731
        noise = jax.vmap(of_agent)(jax.random.clone(keys))
        played = games.collect(keys, several, explorer, None, tasks, 1)
        return jax.tree.map(lambda leaf: leaf[:, 0], played), noise

    played = run(keys(7, NUMBER * len(FAMILIES)), random_tasks())
    return jax.tree.map(np.asarray, played)


def assert_agent_follows_its_rule(family, task, trajectory, replay):
    """Its estimates are those of the rewards it got, its action is a best one by its own rule."""
    actions, mu = trajectory.step.action, np.asarray(task.env.mean_rewards)
    counts, means = oracles.sample_means(actions, replay.agent_reward, ARMS)
    if family == "best_response":
        estimates, values = np.tile(mu, (STEPS, 1)), mu + replay.bonus
    else:
        estimates, values = means, means
    if family == "ucb":
        values = oracles.ucb_index(np.full(STEPS, task.agent.beta), counts, means)
    np.testing.assert_allclose(trajectory.step.agent_estimates, estimates, rtol=0, atol=2e-6)
    if family in ("ucb", "best_response"):
        assert np.take_along_axis(oracles.optimal(values), actions[:, None], 1).all()


@pytest.mark.parametrize("config", CONFIGS, ids=describe)
def test_whole_episodes_equal_a_plain_replay(config):
    trajectories, noises = play(config)
    for case, (number, place) in enumerate(itertools.product(range(len(FAMILIES)), range(NUMBER))):
        at = functools.partial(jax.tree.map, lambda leaf, i=place: np.asarray(leaf[i]))
        task = at(random_tasks()[number])
        trajectory = jax.tree.map(lambda leaf, i=case: leaf[i], trajectories)
        replay = oracles.replay(
            config,
            {name: float(getattr(task.env, name)) for name in ("cost", "bonus", "noise")},
            task.env.mean_rewards,
            task.env.target,
            trajectory.step.action,
            trajectory.intervention,
            noises[case],
        )
        np.testing.assert_array_equal(trajectory.step.hit, replay.hit)
        # One product and two sums of float32 of order 1 apart from the double-precision replay.
        close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-6)
        close(trajectory.step.agent_reward, replay.agent_reward)
        close(trajectory.reward, replay.reward)
        close(trajectory.observation, replay.observation, atol=1e-7)
        if FAMILIES[number] in KNOWN:
            assert_agent_follows_its_rule(FAMILIES[number], task, trajectory, replay)
    assert len(np.unique(trajectories.intervention)) == games.num_interventions(config)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", FLAGS)
def test_observation_has_the_size_and_content_it_says(kind, flags):
    config = games.GameConfig(3, 8, kind, (0.5, 1.0), "offer", *flags)
    game = games.make_intervention_game(agents.ucb(3), config)
    number = games.num_interventions(config)
    assert number == game.num_interventions == {"arm": 4, "magnitude": 3}.get(kind, 2)
    for action, intervention, target, time in [(-1, 0, 0, 0), (2, number - 1, 1, 8), (0, 1, 2, 3)]:
        arguments = (jnp.int32(x) for x in (action, intervention, target, time))
        seen = games.encode_observation(config, *arguments)
        assert seen.dtype == jnp.float32
        assert seen.shape == (game.observation_size,)
        expected = oracles.observation(config, number, action, intervention, target, time)
        np.testing.assert_array_equal(seen, np.asarray(expected, np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_offers_equal_the_plain_reading(kind):
    config = games.GameConfig(ARMS, kind=kind, magnitudes=(0.5, 2.0))
    decode = jax.jit(functools.partial(games.decode_intervention, config))
    for intervention, target in itertools.product(
        range(games.num_interventions(config)), range(ARMS)
    ):
        bonus, size = decode(jnp.int32(intervention), jnp.int32(target))
        expected = oracles.offer(kind, config.magnitudes, intervention, target, ARMS)
        np.testing.assert_array_equal(bonus, np.asarray(expected[0], np.float32))
        assert size == np.float32(expected[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_step_gives_six_values_and_truncates_exactly_at_the_horizon(family):
    horizon = 4
    (game,) = games_of([family], games.GameConfig(ARMS, horizon))
    task = jax.tree.map(lambda leaf: leaf[0], tasks_of(jax.random.key(0), family, 1, ARMS))
    observation, state = game.reset(jax.random.key(1), task)
    step = jax.jit(game.step)
    for time, key in enumerate(keys(2, horizon)):
        out = step(key, state, jnp.int32(1), task)
        assert len(out) == 6
        following, state, reward, terminated, truncated, info = out
        assert (following.shape, following.dtype) == (observation.shape, observation.dtype)
        assert (reward.shape, reward.dtype) == ((), jnp.float32)
        assert terminated.dtype == truncated.dtype == info.hit.dtype == jnp.bool_
        assert not terminated
        assert bool(truncated) == (time == horizon - 1)
        assert int(state.time) == time + 1
        assert info.agent_reward.dtype == jnp.float32


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("kind", KINDS)
def test_pay_target_pays_the_target_most(kind, flags):
    config = games.GameConfig(ARMS, 9, kind, (0.5, 2.0, 0.125), "offer", *flags)
    game = games.make_intervention_game(agents.ucb(ARMS), config)
    for target in (0, 3):
        arguments = (jnp.int32(x) for x in (1, 1, target, 2))
        seen = games.encode_observation(config, *arguments)
        if kind == "arm" and not config.observe_target:
            with pytest.raises(ConfigError, match=r"^observe_target: got False, expected True"):
                pay_target_of(game)(seen)
            continue
        paid = pay_target_of(game)(seen)
        assert paid.dtype == jnp.int32
        lead = []
        for intervention in range(game.num_interventions):
            bonus, _ = oracles.offer(kind, config.magnitudes, intervention, target, ARMS)
            lead.append(bonus[target] - max(np.delete(bonus, target)))
        assert int(paid) == int(np.argmax(lead))


def test_a_game_is_an_environment_and_what_principals_need_beside():
    config = games.GameConfig(ARMS, 4, "arm")
    agent = agents.ucb(ARMS)
    game = games.make_intervention_game(agent, config)
    environment = game.environment
    assert environment == base.Environment(
        game.reset, game.step, 1 + ARMS, game.observation_size, 4
    )
    assert (game.agent, game.num_arms, game.payment_kind) == (agent, ARMS, "arms")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_preview_is_what_the_agent_does_if_nothing_is_offered(family):
    (game,) = games_of([family], games.GameConfig(ARMS, 6))
    tasks = tasks_of(jax.random.key(3), family, 8, ARMS)

    @jax.jit
    @jax.vmap
    def both(key, task):
        key_reset, key_first, key = jax.random.split(key, 3)
        _, state = game.reset(key_reset, task)
        state = game.step(key_first, state, jnp.int32(1), task)[1]
        preview = preview_of(game)(jax.random.clone(key), state, task)
        return preview, game.step(key, state, jnp.int32(0), task)[-1], state, task

    preview, info, state, task = both(keys(4, 8), tasks)
    np.testing.assert_array_equal(preview.action, info.action)
    assert_same(preview.estimates, info.agent_estimates)
    assert_same((preview.state, preview.task), (state, task))
    np.testing.assert_array_equal(preview.target, tasks.env.target)
    taken = np.take_along_axis(
        np.asarray(preview.probabilities), np.asarray(info.action)[:, None], 1
    )
    assert (taken > 0).all()


def test_equal_configs_give_one_game():
    first = games.make_intervention_game(agents.ucb(3), games.GameConfig(3, 7))
    second = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3, horizon=7))
    assert first is second
    other = dataclasses.replace(games.GameConfig(3, 7), horizon=8)
    assert games.make_intervention_game(agents.ucb(3), other) is not first


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("num_arms", 1, "num_arms: got 1, expected an integer >= 2"),
        ("horizon", 0, "horizon: got 0, expected an integer >= 1"),
        ("horizon", 2.0, "horizon: got 2.0, expected an integer >= 1"),
        ("kind", "arms", "kind: got 'arms', expected one of binary, arm, penalty, magnitude (did"),
        ("cost_on", "", "cost_on: got '', expected one of offer, uptake"),
        ("magnitudes", (), "number of magnitudes: got 0, expected an integer >= 1"),
        ("magnitudes", (0.5, 0.0), "magnitudes: got 0.0, expected a finite number > 0"),
    ],
)
def test_bad_configs_are_refused_in_one_line(field, value, line):
    with pytest.raises(ConfigError) as refusal:
        games.GameConfig(**{field: value})
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)
