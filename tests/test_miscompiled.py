"""XLA's fusion of products with what follows them, which JAX before 0.12 gets wrong on CPUs.

Two products, one of them summed after a multiplication, differ silently under ``jit``. Every
network, loss, meta-gradient and update is compiled at full size with that fusion and without.
"""

import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mermaide_jax import agents, games, losses, meta, networks, principals, registry
from mermaide_jax._jax.compiling import RIGHT_PRODUCTS, CpuJit
from mermaide_jax.studies.mermaide.learned import build_trainer
from mermaide_jax.studies.mermaide.setting import make_setting
from mermaide_jax.training import TrainingConfig
from mermaide_jax.training.objective import advantages, make_adapt, outer_loss, to_episodes

pytestmark = pytest.mark.exact

ARMS, STEPS, EPISODES, UNITS = 10, 100, 8, 128


def check_without_the_fusion(function, *arguments, tolerance=1e-4):
    """Each array with the fusion to within rounding, by its largest entry, of that without."""
    lowered = jax.jit(function).lower(*arguments)
    options: tuple[Any, ...] = ({}, dict(RIGHT_PRODUCTS))
    fused, right = (lowered.compile(o)(*arguments) for o in options)
    for (path, mine), other in zip(
        jax.tree_util.tree_leaves_with_path(fused), jax.tree.leaves(right), strict=True
    ):
        if jnp.issubdtype(mine.dtype, jnp.floating):
            scale = max(float(jnp.max(jnp.abs(other), initial=0.0)), 1e-3)
            name = jax.tree_util.keystr(path)
            np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance * scale, err_msg=name)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def trap(h, e):
    g = jnp.broadcast_to(e[:, None], (64, 1200, 4))
    both = jnp.concatenate([jnp.broadcast_to(h, (64, 1200, 16)), g], -1)
    return (both @ normal(2, 20, 1)).sum(-1) + jnp.sum((h @ normal(3, 16, 4)) * g, -1)


def test_the_trap_is_avoided_by_an_option():
    arguments = normal(0, 1200, 16), normal(1, 64, 4)
    right = CpuJit(trap, RIGHT_PRODUCTS)
    np.testing.assert_allclose(right(*arguments), trap(*arguments), atol=1e-3)
    assert right.tuned._cache_size() == 1
    assert "ynn_fusion" not in str(right.lower(*arguments).compile().as_text())
    if jax.__version_info__ >= (0, 12):
        check_without_the_fusion(trap, *arguments)


def public_functions(module):
    own = lambda f: inspect.isfunction(f) and f.__module__ == module.__name__  # noqa: E731
    return [n for n, f in inspect.getmembers(module, own) if not n.startswith("_")]


@pytest.mark.parametrize("name", public_functions(losses))
def test_losses(name):
    log_probs, rewards = -jnp.abs(normal(0, STEPS)), normal(1, STEPS)
    actions = jax.random.randint(jax.random.key(2), (STEPS,), 0, ARMS)
    values = {
        "log_probs": log_probs,
        "log_predictions": jax.nn.log_softmax(normal(3, STEPS, ARMS)),
        "rewards": rewards,
        "advantages": rewards,
        "actions": actions,
        "returns": normal(4, EPISODES, STEPS),
    }
    loss = getattr(losses, name)
    needed = [p.name for p in inspect.signature(loss).parameters.values() if p.default is p.empty]
    arguments = [values[name] for name in needed]
    check_without_the_fusion(loss, *arguments)
    check_without_the_fusion(jax.grad(lambda *a: jnp.sum(loss(*a))), *arguments)


@functools.cache
def played(architecture):
    """A learned principal of full size, and episodes with an agent."""
    agent, config = agents.ucb(ARMS), games.GameConfig(num_arms=ARMS, horizon=STEPS)
    game = games.make_intervention_game(agent, config)
    # "native" has its products in C, where XLA fuses none.
    config = networks.NetworkConfig(architecture, UNITS, num_layers=2, recurrence="in_place")
    learned = principals.learned_principal(config, game.observation_size, ARMS, 2)
    task = games.draw_task(
        *(jax.random.key(0), "ucb", agent, jnp.array([0.3]), ARMS, games.Economics())
    )
    key = jax.random.split(jax.random.key(1), EPISODES)
    scripted = principals.random(game.pay_target)
    episode = jax.vmap(lambda k: games.rollout(k, game, scripted, 0.5, task))(key)
    params = jax.jit(learned.init_params)(jax.random.key(2))
    return learned, params, to_episodes(episode)


@pytest.mark.parametrize("architecture", registry.names("network"))
def test_networks(architecture):
    learned, params, episodes = played(architecture)
    loss = lambda p: outer_loss(learned, 0.1, p, episodes, advantages(episodes.reward[None])[0])  # noqa: E731
    check_without_the_fusion(jax.value_and_grad(loss, has_aux=True), params)


@pytest.mark.parametrize("kind", registry.names("meta_gradient"))
@pytest.mark.parametrize("architecture", registry.names("network"))
def test_meta_gradients(kind, architecture):
    learned, params, episodes = played(architecture)
    adapt = make_adapt(TrainingConfig(meta_gradient=kind), learned)
    outer = lambda p, d: outer_loss(learned, 0.1, p, d, advantages(d.reward[None])[0])[0]  # noqa: E731
    support = jax.tree.map(lambda x: x[:1], episodes)
    check_without_the_fusion(meta.meta_gradient(adapt, outer), params, support, episodes)


@pytest.mark.parametrize("preset", ["default", "standard"])
def test_updates(preset):
    config = dataclasses.replace(registry.get("preset", preset).value, seeds=1)
    setting = make_setting(config)
    trainer, _ = build_trainer(config.principals[0], config, setting)
    data = jax.tree.map(lambda x: x[0], (setting.index, setting.train))
    state = jax.jit(trainer.init)(jax.random.key(1))

    def update(key, state, data):
        state, metrics = trainer.update(key, state, data)
        # Adam makes a step of what rounding leaves of a gradient of zero: see its mean gradient.
        return state.optimizer, metrics

    check_without_the_fusion(update, jax.random.key(0), state, data)
