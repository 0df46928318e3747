"""Learning on games whose optimum is known: the whole of training, from the uniform policy on."""

import jax
import jax.numpy as jnp
import numpy as np
import probe
from streams import keys

from mermaide_jax import agents, games
from mermaide_jax.evaluation.protocol import k_shot
from mermaide_jax.networks.world_model_policy import NetworkConfig
from mermaide_jax.principals import learned_principal
from mermaide_jax.training import (
    TrainingConfig,
    make_adapt,
    make_trainer,
    train,
    warm_up_phases,
)

TERMS = games.Economics()


def trained(keys, config, learned, game, tasks):
    """Streams of one principal, from its warm-up to the end."""
    own = (config, learned, (game,), TERMS)
    before = warm_up_phases(*own)
    return train(keys, make_trainer(*own), (tasks,), config.updates, before=before)


def test_mermaide_reaches_the_optimum_of_the_probe_game():
    """The whole of MERMAIDE: world model, warm-up, second-order meta-learning, entropy bonus.

    The agent's next action follows from what is observed, so the world model can be certain of it,
    and the policy can pay for the target alone. Paying at random earns nothing.
    """
    cost = 0.5
    config = TrainingConfig(
        updates=150,
        world_model_updates=30,
        tasks_per_update=3,
        episodes_per_task=16,
        inner_learning_rate=0.01,
        outer_learning_rate=0.03,
        final_learning_rate=0.1,
        variation="none",
        target_first=False,
    )
    learned = probe.principal(NetworkConfig("gru", 8, 1))
    tasks = jax.tree.map(lambda x: x[None], probe.tasks(cost=cost))
    _, history = trained(keys(0, 1), config, learned, probe.GAME, tasks)
    last = {name: curve[0, -10:].mean() for name, curve in history._asdict().items()}
    uniform = 0.5 * (probe.OPTIMUM - cost * (probe.STEPS - probe.OPTIMUM))
    assert abs(history.score[0, :30].mean() - uniform) < 0.2
    assert last["score"] > 0.95 * probe.OPTIMUM
    assert last["adapted_score"] > 0.95 * probe.OPTIMUM
    np.testing.assert_allclose(last["interventions"], probe.OPTIMUM, rtol=0.05)
    np.testing.assert_allclose(history.world_model_log_likelihood[0, 0], -np.log(3), atol=0.05)
    assert last["world_model_log_likelihood"] > -0.02


def test_the_world_model_alone_learns_a_deterministic_agent():
    config = TrainingConfig(
        updates=60,
        world_model_updates=60,
        tasks_per_update=3,
        episodes_per_task=4,
        meta_gradient="none",
        outer_learning_rate=0.1,
        variation="none",
        target_first=False,
    )
    learned = probe.principal(NetworkConfig("mlp", 8))
    tasks = jax.tree.map(lambda x: x[None], probe.tasks())
    state, history = trained(keys(0, 1), config, learned, probe.GAME, tasks)
    curve = history.world_model_log_likelihood[0]
    assert curve[0] < -1.0
    assert curve[-1] > -0.01
    np.testing.assert_allclose(state.learner.params["policy"]["head"]["kernel"], 0.0)


def test_paying_a_best_responder_is_learned_where_it_is_worth_it():
    """Two streams that differ in the cost alone: always is the optimum of one, never of the other.

    The bonus exceeds every gap, so the agent takes the target exactly when it is paid to.
    """
    steps, arms, costs = 5, 3, (0.5, 1.5)
    config = TrainingConfig(
        updates=60,
        world_model_updates=0,
        tasks_per_update=4,
        episodes_per_task=8,
        meta_gradient="none",
        outer_learning_rate=0.1,
        entropy_start=0.05,
    )
    game = games.make_intervention_game(agents.best_response(arms), games.GameConfig(arms, steps))
    rewards = jnp.asarray([[0.1, 0.9, 0.4], [0.8, 0.2, 0.3]])
    bandits = games.Bandit(
        mean_rewards=rewards,
        noise=jnp.zeros(2),
        target=jnp.asarray([2, 1]),
        cost=jnp.ones(2),
        bonus=jnp.ones(2),
    )
    tasks = games.Task(agents.BestResponseParams(rewards), bandits)
    tasks = jax.tree.map(lambda x: jnp.stack([x, x]), tasks)
    own_costs = jnp.asarray(costs)[:, None] * jnp.ones((2, 2))
    tasks = tasks._replace(env=tasks.env._replace(cost=own_costs))
    network = NetworkConfig("mlp", 4, world_model=False)
    learned = learned_principal(network, game.observation_size, arms, game.num_interventions)
    _, history = trained(keys(1, 2), config, learned, game, tasks)
    always, never = steps * (1 - costs[0]), 0.0
    np.testing.assert_allclose(history.score[:, 0], [always / 2, -steps / 4], atol=0.5)
    np.testing.assert_allclose(history.score[:, -5:].mean(1), [always, never], atol=0.05 * steps)
    np.testing.assert_allclose(
        history.interventions[:, -5:].mean(1), [steps, 0.0], atol=0.05 * steps
    )


def test_what_one_episode_showed_is_known_in_the_next():
    """Agents that take one arm, whatever they are paid: its name is all that there is to learn.

    Arms have new names in every update, so the first action is a guess at 0-shot (between the two
    arms that are not the target), and known to a principal that remembers one episode. The second
    action follows from the first.
    """
    steps, arms = 2, 3
    config = TrainingConfig(
        updates=150,
        world_model_updates=150,
        tasks_per_update=6,
        episodes_per_task=4,
        inner_learning_rate=1e-3,
        outer_learning_rate=0.03,
    )
    game = games.make_intervention_game(agents.best_response(arms), games.GameConfig(arms, steps))
    rewards = jnp.asarray([[0.9, 0.2, 0.1], [0.1, 0.9, 0.2], [0.2, 0.1, 0.9]])
    same = jnp.zeros(3)
    bandits = games.Bandit(rewards, same, jnp.asarray([1, 2, 0]), same + 1, same)
    tasks = games.Task(agents.BestResponseParams(rewards), bandits)
    sizes = game.observation_size, arms, game.num_interventions
    unknown = -np.log(2) / steps
    for memory in (True, False):
        network = NetworkConfig("arms", 8, memory=memory)
        learned = learned_principal(network, *sizes)
        streams = jax.tree.map(lambda x: x[None], tasks)
        state, _ = trained(keys(0, 1), config, learned, game, streams)
        params = jax.tree.map(lambda x: x[0], state.learner.params)
        play = jax.jit(k_shot, static_argnums=(1, 2, 3, 6, 7))
        adapt = make_adapt(config, learned)
        told = [
            play(jax.random.key(1), game, learned, adapt, params, fresh(game, tasks), shots, 8)
            for shots in (0, 1)
        ]
        zero, one = (float(jnp.mean(x.world_model_log_likelihood)) for x in told)
        np.testing.assert_allclose(zero, unknown, atol=0.1)
        np.testing.assert_allclose(one, 0.0 if memory else unknown, atol=0.1)


def fresh(game, tasks):
    """The same agents under names that they had in no update's order, the target first."""
    agent = game.agent
    renamed = jax.vmap(lambda key, task: games.relabel_arms(key, agent, task))(keys(5, 3), tasks)
    return jax.vmap(lambda task: games.target_first(agent, task))(renamed)
