"""An all-knowing planner: it knows the agent and its state, but none of the draws to come.

At each step it plays every intervention to the end of the episode in its mind, many times, with the
true game and fresh draws, and takes the one that earns most on average. The rest of an imagined
episode is played by one of a few rules, so what it does is one step of policy improvement over
them (a rollout algorithm). It may be compared with principals that learn: it is not told
what no model of the agent could tell. Being a policy that can be followed, it earns at most the
all-knowing optimum ``V`` of `exact.solve_exact`; the clairvoyant `planner` may earn more than that.

Source: Tesauro and Galperin (1997); Bertsekas, Tsitsiklis and Wu (1997).
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mermaide_jax import errors
from mermaide_jax._jax.caching import memoize
from mermaide_jax.base import Game, Preview, Principal, Privileged, Task, Trajectory
from mermaide_jax.evaluation.protocol import evaluate
from mermaide_jax.games import collect
from mermaide_jax.games.rollout import pay_target_of, preview_of
from mermaide_jax.principals.members import Planned
from mermaide_jax.principals.planning import surely_better
from mermaide_jax.registry import register

_CHANCES = (0.02, 0.05, 0.1, 0.2, 0.5)
_LEADS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
_QUIET_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


class Script(NamedTuple):
    """When to pay, told the agent's mind: a `guided.Guide` that sees chances in place of the draw.

    Attributes:
      chance: float32 scalar, the target is paid for only if its probability is at least this.
      lead: float32 scalar, and only while its estimate leads the others' by less than this, in
        units of the task's bonus ``delta``.
      quiet: float32 scalar, the last steps of the episode in which nothing is paid.
    """

    chance: chex.Numeric
    lead: chex.Numeric
    quiet: chex.Numeric


def script_grid(horizon: int) -> Script:
    """Lists the rules that are tried, with one that never pays; leading axis ``[C]``, ``C = 246``.

    Args:
      horizon: ``T``.

    Example:
      >>> script_grid(horizon=10).chance.shape
      (246,)
    """
    members = [(1.0, -np.inf, 0.0)]
    members += [(p, d, q * horizon) for p in _CHANCES for d in _LEADS for q in _QUIET_SHARES]
    chance, lead, quiet = np.asarray(members, np.float32).T
    return Script(jnp.asarray(chance), jnp.asarray(lead), jnp.asarray(quiet))


def _wants(script: Script, seen: Preview, remaining: jax.Array) -> jax.Array:
    """Whether the rule pays, with ``remaining`` steps to go."""
    on_target = jnp.arange(seen.estimates.shape[0]) == seen.target
    lead = seen.estimates[seen.target] - jnp.max(jnp.where(on_target, -jnp.inf, seen.estimates))
    likely = seen.probabilities[seen.target] >= script.chance
    return likely & (lead < script.lead * seen.task.env.bonus) & (remaining > script.quiet)


@memoize
def by_script(game: Game) -> Principal:
    """Makes the privileged principal that follows a `Script`, its params.

    Example:
      >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
      >>> by_script(game).privileged
      True
    """
    pay_target = pay_target_of(game)

    def init(params: Script) -> jax.Array:
        del params
        return jnp.int32(game.horizon)

    def act(key, params: Script, remaining: jax.Array, seen: Privileged):
        del key
        pays = _wants(params, seen.preview, remaining)
        return jnp.where(pays, pay_target(seen.observation), 0), remaining - 1, ()

    return Principal(init, act, privileged=True)


@memoize
def all_knowing(game: Game, num_rollouts: int) -> Principal:
    """Makes a principal that looks one step ahead and completes by rules, with the true game.

        w(u) = max_c 1/M sum_m [ R^p(u; xi_m) + score of rule c from there, by xi_m ]

    The same draws ``xi_m`` serve every intervention and rule. It does what the first rule does,
    unless another intervention is `surely_better`. Its params are a `Script` with leading axis
    ``[C]``, the one to follow first.

    Args:
      game: the game.
      num_rollouts: ``M``, at least 2.

    Raises:
      ConfigError: ``num_rollouts`` is below 2.

    Example:
      >>> game = games.make_intervention_game(agents.ucb(3), games.GameConfig(num_arms=3))
      >>> all_knowing(game, num_rollouts=2).privileged
      True
    """
    errors.check_at_least("num_rollouts", num_rollouts, 2)
    pay_target = pay_target_of(game)
    show = preview_of(game)

    def complete(key, observation, state, task: Task, remaining: jax.Array, script: Script):
        def body(_, carry):
            key, state, left, earned = carry
            key, key_step = jax.random.split(key)
            preview = show(jax.random.clone(key_step), state, task)
            pays = _wants(script, preview, left)
            choice = jnp.where(pays, pay_target(observation), 0)
            _, state, reward, _, _, _ = game.step(key_step, state, choice, task)
            return key, state, left - 1, earned + reward

        carry = (key, state, remaining, jnp.float32(0))
        return jax.lax.fori_loop(0, remaining, body, carry)[3]

    def init(params: Script) -> jax.Array:
        del params
        return jnp.int32(game.horizon)

    def act(key, params: Script, remaining: jax.Array, seen: Privileged):
        state, task = seen.preview.state, seen.preview.task
        keys = jax.random.split(key, num_rollouts)

        def imagined(key, script: Script, choice: jax.Array) -> jax.Array:
            key_step, key_rest = jax.random.split(key)
            _, after, reward, _, _, _ = game.step(key_step, state, choice, task)
            return reward + complete(key_rest, seen.observation, after, task, remaining - 1, script)

        over_keys = jax.vmap(imagined, (0, None, None))
        over_rules = jax.vmap(lambda script, u: over_keys(keys, script, u), (0, None))
        choices = jnp.arange(game.num_interventions, dtype=jnp.int32)
        totals = jax.vmap(lambda u: over_rules(params, u))(choices)  # [U, C, M]
        best = jnp.argmax(jnp.mean(totals, axis=-1), axis=-1)
        worth = jnp.take_along_axis(totals, best[:, None, None], axis=1)[:, 0]
        pays = _wants(jax.tree.map(lambda leaf: leaf[0], params), seen.preview, remaining)
        usual = jnp.where(pays, pay_target(seen.observation), 0)
        return surely_better(worth, usual), remaining - 1, ()

    return Principal(init, act, privileged=True)


def best_scripts(
    key: chex.PRNGKey, game: Game, tasks: Task, scripts: Script, num_episodes: int, number: int
) -> Script:
    """Finds for each agent the ``number`` rules with the best mean score on it, best first.

    Args:
      key: typed key, consumed; other than that of the reported episodes.
      game: the game.
      tasks: ``N`` agents.
      scripts: leading axis ``[C]``.
      num_episodes: episodes with each agent for each rule, the same for all.
      number: at most ``C``.

    Returns:
      Rule with leading axes ``[N, number]``.

    Example:
      >>> agent, config = agents.ucb(3), games.GameConfig(num_arms=3, horizon=4)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 3, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> few = jax.tree.map(lambda leaf: leaf[:3], script_grid(4))
      >>> best_scripts(jax.random.key(1), game, tasks, few, 2, number=2).chance.shape
      (2, 2)
    """

    def scores(script: Script) -> jax.Array:
        return evaluate(
            jax.random.clone(key), game, by_script(game), script, tasks, num_episodes
        ).score

    per_agent = jax.lax.map(scores, scripts).T
    _, chosen = jax.lax.top_k(per_agent, number)
    return jax.tree.map(lambda leaf: leaf[chosen], scripts)


def play_all_knowing(
    key: chex.PRNGKey,
    tune_key: chex.PRNGKey,
    game: Game,
    tasks: Task,
    num_episodes: int,
    num_rollouts: int,
    num_scripts: int = 3,
    tuning_episodes: int = 64,
) -> Trajectory:
    """Plays ``M`` episodes with each of ``N`` agents, the first of those of `games.collect`.

    Args:
      key: typed key, consumed.
      tune_key: another one, for the episodes on which rules are chosen.
      game: the game.
      tasks: ``N`` agents.
      num_episodes: ``M``.
      num_rollouts: imagined episodes for each intervention and rule, at least 2.
      num_scripts: rules that complete imagined episodes, the best of `script_grid` for each agent.
      tuning_episodes: episodes with each agent, on which these are chosen.

    Returns:
      Trajectory with leading axes ``[N, M, T]``. Cost: about ``num_rollouts * num_rules * U * T**2
      / 2`` steps of the game for each episode.

    Raises:
      ConfigError: ``num_rollouts`` is below 2.

    Example:
      >>> agent, config = agents.ucb(2), games.GameConfig(num_arms=2, horizon=2)
      >>> tasks = games.finite_tasks(
      ...     jax.random.key(0), "ucb", agent, (0.3, 0.5), 2, 2, games.Economics()
      ... )
      >>> game = games.make_intervention_game(agent, config)
      >>> keys = jax.random.split(jax.random.key(1))
      >>> play_all_knowing(*keys, game, tasks, 1, num_rollouts=2, tuning_episodes=1).reward.shape
      (2, 1, 2)
    """
    principal = all_knowing(game, num_rollouts)
    grid = script_grid(game.horizon)
    scripts = best_scripts(tune_key, game, tasks, grid, tuning_episodes, num_scripts)
    return collect(key, game, principal, scripts, tasks, num_episodes, params_axis=0)


def _play(key, tune_key, game: Game, tasks: Task, options: Any) -> Trajectory:
    """Plays as a study asks for it."""
    return play_all_knowing(
        key,
        tune_key,
        game,
        tasks,
        _episodes(options),
        options.all_knowing_rollouts,
        tuning_episodes=options.all_knowing_tuning,
    )


def _episodes(options: Any) -> int:
    return min(options.episodes, options.all_knowing_episodes)


register(
    "principal",
    "all_knowing",
    Planned(_play, _episodes),
    label="All-knowing (has the agent; upper reference)",
    summary="plans with the true agent, knows no draw to come: the reference of Attained",
    role="reference",
    attained=1,
    note="All-knowing plans with the true agent, but knows none of the draws to come.",
    rank=22,
)
