"""Testing the scripted principals on the same agents, their one number chosen in training."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.evaluation.oracles.planner import play_planned
from mermaide_jax.evaluation.protocol import Scores, evaluate, summarise
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.games import Game
from mermaide_jax.principals import Principal, first_k, prescient, random
from mermaide_jax.study.config import StudyConfig
from mermaide_jax.study.learned import stream_keys
from mermaide_jax.study.setting import Setting
from mermaide_jax.training import over_streams

_LEADS = tuple(float(lead) for lead in np.round(np.linspace(0.0, 1.0, 21), 2))
_TUNING_EPISODES = 16


def scripted_principal(name: str, game: Game, config: StudyConfig) -> tuple[Principal, jax.Array]:
    """The principal called ``name`` and the values among which its number is chosen."""
    fixed = {"never": 0.0, "always": 1.0, "random": config.evaluation.random_rate}
    if name in fixed:
        return random(game.pay_target), jnp.asarray([fixed[name]], jnp.float32)
    if name == "first_k":
        return first_k(game.pay_target), jnp.arange(game.horizon + 1, dtype=jnp.int32)
    leads = (-jnp.inf, *_LEADS, jnp.inf)
    return prescient(game.pay_target), config.game.bonus * jnp.asarray(leads, jnp.float32)


def test_scripted(
    name: str, config: StudyConfig, setting: Setting
) -> tuple[Scores, np.ndarray | None]:
    """Scores ``[S, m]`` on the test agents, and the number ``[S]`` chosen on the training agents.

    Args:
      name: a scripted principal; the planner has no number.
      config: the study.
      setting: its game and agents.
    """
    if name == "planner":
        return _test_planner(config, setting), None
    principal, candidates = scripted_principal(name, setting.game, config)
    num_streams = len(setting.streams)
    run = _tester(setting.game, principal, config.evaluation.episodes, num_streams)
    keys_play, keys_tune = (stream_keys(setting, use) for use in ("play", "tune"))
    values = jnp.broadcast_to(candidates, (num_streams, *candidates.shape))
    return jax.tree.map(np.asarray, run(keys_play, keys_tune, values, setting.train, setting.test))


def _test_planner(config: StudyConfig, setting: Setting) -> Scores:
    """Plans the very episodes that the others play."""
    num_episodes, width = config.evaluation.episodes, config.evaluation.planner_beam

    def one_stream(key, tasks):
        return summarise(play_planned(key, setting.game, tasks, num_episodes, width))

    run = over_streams(one_stream, len(setting.streams))
    return jax.tree.map(np.asarray, run(stream_keys(setting, "play"), setting.test))


@functools.cache
def _tester(
    game: Game, principal: Principal, num_episodes: int, num_streams: int
) -> Callable[..., tuple[Scores, jax.Array]]:
    """Chooses the number and tests it; never, always and random share one program."""

    def one_stream(key, tune_key, candidates, train_tasks, test_tasks):
        value = candidates[0]
        if candidates.shape[0] > 1:
            value = tune(tune_key, game, principal, candidates, train_tasks, _TUNING_EPISODES)
        return evaluate(key, game, principal, value, test_tasks, num_episodes), value

    return over_streams(one_stream, num_streams)
