"""Testing the scripted principals on the same agents, their one number chosen in training."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.base import Game, Principal
from mermaide_jax.evaluation.protocol import Scores, evaluate, summarise
from mermaide_jax.evaluation.tuning import tune
from mermaide_jax.oracles import leads
from mermaide_jax.oracles.all_knowing import play_all_knowing
from mermaide_jax.oracles.clairvoyant import play_clairvoyant
from mermaide_jax.oracles.prescient import prescient
from mermaide_jax.principals import first_k, random
from mermaide_jax.studies.mermaide.config import EvaluationOptions, StudyConfig
from mermaide_jax.studies.mermaide.learned import stream_keys
from mermaide_jax.studies.mermaide.setting import Setting
from mermaide_jax.training import over_streams

_TUNING_EPISODES = 16


def scripted_principal(name: str, game: Game, config: StudyConfig) -> tuple[Principal, jax.Array]:
    """The principal called ``name`` and the values among which its number is chosen."""
    fixed = {"never": 0.0, "always": 1.0, "random": config.evaluation.random_rate}
    if name in fixed:
        return random(game.pay_target), jnp.asarray([fixed[name]], jnp.float32)
    if name == "first_k":
        return first_k(game.pay_target), jnp.arange(game.horizon + 1, dtype=jnp.int32)
    return prescient(game.pay_target), leads(config.game.bonus)


def evaluate_scripted(
    name: str, config: StudyConfig, setting: Setting
) -> tuple[Scores, np.ndarray | None]:
    """Scores ``[S, m]`` on the test agents, and the number ``[S]`` chosen on the training agents.

    Args:
      name: a scripted principal; those that plan have no number.
      config: the study.
      setting: its game and agents.
    """
    if name in ("clairvoyant", "all_knowing"):
        return _play_planner(name, config, setting), None
    principal, candidates = scripted_principal(name, setting.game, config)
    num_streams = len(setting.streams)
    run = _tester(setting.game, principal, config.evaluation.episodes, num_streams)
    keys_play, keys_tune = (stream_keys(setting, use) for use in ("play", "tune"))
    values = jnp.broadcast_to(candidates, (num_streams, *candidates.shape))
    return jax.tree.map(np.asarray, run(keys_play, keys_tune, values, setting.train, setting.test))


def _play_planner(name: str, config: StudyConfig, setting: Setting) -> Scores:
    """Plans the very episodes that the others play, or the first of them."""
    options, game = config.evaluation, setting.game

    def one_stream(key, tune_key, tasks):
        if name == "clairvoyant":
            played = play_clairvoyant(key, game, tasks, options.episodes, options.clairvoyant_beam)
        else:
            played = play_all_knowing(
                key,
                tune_key,
                game,
                tasks,
                episodes_played(name, options),
                options.all_knowing_rollouts,
                tuning_episodes=options.all_knowing_tuning,
            )
        return summarise(played)

    run = over_streams(one_stream, len(setting.streams))
    keys = (stream_keys(setting, use) for use in ("play", "tune"))
    return jax.tree.map(np.asarray, run(*keys, setting.test))


def episodes_played(name: str, options: EvaluationOptions) -> int:
    """Fresh episodes that principal ``name`` plays with each test agent."""
    few = min(options.episodes, options.all_knowing_episodes)
    return few if name == "all_knowing" else options.episodes


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
