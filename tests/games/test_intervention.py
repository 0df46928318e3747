"""The intervention game against a plain replay of its equations."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpy_oracles as oracles
import pytest
from streams import keys, reward_noise

from mermaide_jax import agents, games, principals
from mermaide_jax.errors import ConfigError

ARMS, STEPS, NUMBER = 5, 12, 60
KINDS = ("binary", "arm", "penalty", "magnitude")
FLAGS = list(itertools.product((True, False), repeat=3))
# Each kind under each rule of cost, and between them every way of observing.
CONFIGS = [
    games.GameConfig(ARMS, STEPS, kind, (0.5, 2.0, 0.125), cost_on, *flags)
    for (kind, cost_on), flags in zip(
        itertools.product(KINDS, ("offer", "uptake")), FLAGS, strict=True
    )
]
AGENT = agents.standard_population(ARMS)


def describe(config):
    flags = (config.observe_target, config.observe_intervention, config.observe_time)
    return f"{config.kind}-{config.cost_on}-{''.join(str(int(f)) for f in flags)}"


@functools.cache
def random_tasks():
    """Tasks of all rules, each on its own terms; a quarter of them without noise."""
    rng = np.random.default_rng(0)

    def draw(low, high):
        return rng.uniform(low, high, NUMBER).astype(np.float32)

    @jax.vmap
    def make(family, coefficient, mu, target, cost, bonus, noise):
        economics = games.Economics(cost=cost, bonus=bonus, noise=noise)
        return games.make_task(family, coefficient, mu, target, economics)

    family = np.arange(NUMBER) % len(agents.RULES)
    mu = rng.normal(size=(NUMBER, ARMS)).astype(np.float32)
    target = rng.integers(0, ARMS, NUMBER)
    noise = np.where(np.arange(NUMBER) % 4, draw(0.1, 1), np.float32(0))
    return family, make(family, draw(0.1, 0.9), mu, target, draw(0, 2), draw(-0.5, 2), noise)


def play(config):
    game = games.make_intervention_game(AGENT, config)
    explorer = principals.random_rate(game.num_interventions)

    @jax.jit
    @jax.vmap
    def run(key, task):
        noise = reward_noise(jax.random.clone(key), STEPS)
        return games.rollout(key, game, explorer, None, task), noise

    return jax.tree.map(np.asarray, run(keys(7, NUMBER), random_tasks()[1]))


def assert_agent_follows_its_rule(family, task, trajectory, replay):
    """Its estimates are those of the rewards it got, its action is a best one by its own rule."""
    actions, mu = trajectory.step.action, np.asarray(task.mean_rewards)
    counts, means = oracles.sample_means(actions, replay.agent_reward, ARMS)
    if agents.RULES[family] == "best_response":
        estimates, values = np.tile(mu, (STEPS, 1)), mu + replay.bonus
    else:
        estimates, values = means, means
    if agents.RULES[family] == "ucb":
        beta = np.full(STEPS, task.agent.members[0].beta)
        values = oracles.ucb_index(beta, counts, means)
    np.testing.assert_allclose(trajectory.step.agent_estimates, estimates, rtol=0, atol=2e-6)
    if agents.RULES[family] != "epsilon_greedy":
        assert np.take_along_axis(oracles.optimal(values), actions[:, None], 1).all()


@pytest.mark.parametrize("config", CONFIGS, ids=describe)
def test_whole_episodes_equal_a_plain_replay(config):
    families, tasks = random_tasks()
    tasks = jax.tree.map(np.asarray, tasks)
    trajectories, noises = play(config)
    for case in range(NUMBER):
        task, trajectory = jax.tree.map(lambda leaf, i=case: leaf[i], (tasks, trajectories))
        replay = oracles.replay(
            config,
            {name: float(getattr(task, name)) for name in ("cost", "bonus", "noise")},
            task.mean_rewards,
            task.target,
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
        assert_agent_follows_its_rule(families[case], task, trajectory, replay)
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
        np.testing.assert_array_equal(seen, np.float32(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_offers_equal_the_plain_reading(kind):
    config = games.GameConfig(ARMS, kind=kind, magnitudes=(0.5, 2.0))
    decode = jax.jit(functools.partial(games.decode_intervention, config))
    for intervention, target in itertools.product(
        range(games.num_interventions(config)), range(ARMS)
    ):
        bonus, size = decode(jnp.int32(intervention), jnp.int32(target))
        expected = oracles.offer(kind, config.magnitudes, intervention, target, ARMS)
        np.testing.assert_array_equal(bonus, np.float32(expected[0]))
        assert size == np.float32(expected[1])


def test_step_gives_six_values_and_truncates_exactly_at_the_horizon():
    horizon = 4
    game = games.make_intervention_game(AGENT, games.GameConfig(ARMS, horizon))
    task = games.draw_task(jax.random.key(0), 0, (0.3,), ARMS, games.Economics())
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
                game.pay_target(seen)
            continue
        paid = game.pay_target(seen)
        assert paid.dtype == jnp.int32
        lead = []
        for intervention in range(game.num_interventions):
            bonus, _ = oracles.offer(kind, config.magnitudes, intervention, target, ARMS)
            lead.append(bonus[target] - max(np.delete(bonus, target)))
        assert int(paid) == int(np.argmax(lead))


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
