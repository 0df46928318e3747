"""Testing the scripted principals on the same agents, their one number chosen in training."""

import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax.evaluation.protocol import Scores, evaluate
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


def test_scripted(name: str, config: StudyConfig, setting: Setting) -> tuple[Scores, np.ndarray]:
    """Scores ``[S, m]`` on the test agents, and the number ``[S]`` chosen on the training agents.

    Args:
      name: a scripted principal.
      config: the study.
      setting: its game and agents.
    """
    game = setting.game
    principal, candidates = scripted_principal(name, game, config)

    def one_stream(key, train_key, train_tasks, test_tasks):
        value = candidates[0]
        if candidates.shape[0] > 1:
            value = tune(train_key, game, principal, candidates, train_tasks, _TUNING_EPISODES)
        episodes = config.evaluation.episodes
        return evaluate(key, game, principal, value, test_tasks, episodes), value

    run = over_streams(one_stream, len(setting.streams))
    keys_play, keys_tune = (stream_keys(setting, use) for use in ("play", "tune"))
    result = run(keys_play, keys_tune, setting.train, setting.test)
    return jax.tree.map(np.asarray, result)
