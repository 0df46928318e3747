"""The meta-step in straightforward JAX, as one would write it first.

Flax's own GRU cells, one scan that plays the episode and collects the log-probabilities as it goes
(sampling lies inside the differentiated graph), ``grad`` through ``grad``, ``vmap`` over tasks.
Nothing of the library's losses, networks or inner loops is used: this is also their oracle.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from benchmarks.workloads import meta_workload
from benchmarks.workloads.meta_workload import MetaWorkload, Tasks
from mermaide_jax.throughput.timing import Run, compile_program

Params = Any


class Network(nn.Module):
    """GRU cells, each reading the one below, and a linear read-out; one step of one stream."""

    num_outputs: int
    features: int
    num_layers: int

    @nn.compact
    def __call__(self, carry: tuple[jax.Array, ...], inputs: jax.Array):
        """``(carry, [I]) -> (carry, [num_outputs])``."""
        new_carry = []
        for hidden in carry:
            hidden, inputs = nn.GRUCell(self.features)(hidden, inputs)
            new_carry.append(hidden)
        return tuple(new_carry), nn.Dense(self.num_outputs)(inputs)


class Played(NamedTuple):
    """What happened in an episode, without gradient: ``[T]`` each.

    Attributes:
      intervention: int32.
      action: int32, the agent's.
      reward: the principal's.
    """

    intervention: jax.Array
    action: jax.Array
    reward: jax.Array


class Episode(NamedTuple):
    """One episode, ``[T]`` each; all but ``played`` carry gradient.

    Attributes:
      log_prob: of the intervention.
      entropy: of the policy.
      log_likelihood: of the agent's action under the world model.
      played: what happened.
    """

    log_prob: jax.Array
    entropy: jax.Array
    log_likelihood: jax.Array
    played: Played


Play = Callable[..., Episode]


def make_play(work: MetaWorkload, remat: bool = False) -> Play:
    """``play(params, key, task, given=None) -> Episode``: sampled, or replayed if given."""
    networks = {
        name: Network(work.outputs[name], work.features, work.num_layers) for name in work.outputs
    }

    def play(params: Params, key: jax.Array, task: Tasks, given: Played | None = None) -> Episode:
        step = functools.partial(_step, networks, params, task, work.num_arms)
        zeros = jnp.zeros((work.features,), jax.tree.leaves(params)[0].dtype)
        memory = {name: (zeros,) * work.num_layers for name in networks}
        statistics = jnp.zeros((2, work.num_arms))
        carry = (key, jnp.int32(-1), jnp.int32(0), statistics, memory)
        step = jax.checkpoint(step) if remat else step
        return jax.lax.scan(step, carry, given, work.horizon)[1]

    return play


def _step(networks: dict[str, Network], params: Params, task: Tasks, num_arms: int, carry, given):
    key, action, intervention, (counts, means), memory = carry
    key, key_policy, key_ties, key_noise = jax.random.split(key, 4)
    one_hot = functools.partial(jax.nn.one_hot, num_classes=num_arms)
    observed = jnp.concatenate([one_hot(action), intervention[None] * 1.0, one_hot(task.target)])

    def apply(name: str, inputs: jax.Array):
        network: Any = networks[name]  # the declared type of `apply` has mutable collections too
        carry, logits = network.apply({"params": params[name]}, memory[name], inputs)
        return carry, jax.nn.log_softmax(logits)

    model_memory, prediction = apply("world_model", observed)
    belief = jax.lax.stop_gradient(jnp.exp(prediction))
    policy_memory, policy = apply("policy", jnp.concatenate([observed, belief]))
    intervention = jax.random.categorical(key_policy, policy).astype(jnp.int32)
    width = meta_workload.EXPLORATION * jnp.sqrt(
        jnp.log(jnp.maximum(counts.sum(), 1.0)) / jnp.maximum(counts, 1.0)
    )
    untried = 1e3 + jax.random.uniform(key_ties, (num_arms,))
    action = jnp.argmax(jnp.where(counts == 0, untried, means + width)).astype(jnp.int32)
    reward = (action == task.target) - meta_workload.COST * intervention
    if given is not None:
        intervention, action, reward = given
    noise = meta_workload.NOISE * jax.random.normal(key_noise)
    bonus = meta_workload.BONUS * intervention * (action == task.target)
    counts = counts.at[action].add(1.0)
    error = task.mean_rewards[action] + noise + bonus - means[action]
    means = means.at[action].add(error / counts[action])
    entropy = -jnp.sum(jnp.exp(policy) * policy)
    played = Played(intervention, action, reward)
    episode = Episode(policy[intervention], entropy, prediction[action], played)
    memory = {"world_model": model_memory, "policy": policy_memory}
    return (key, action, intervention, jnp.stack([counts, means]), memory), episode


def make_meta_loss(work: MetaWorkload, play: Play) -> Callable[..., jax.Array]:
    """``loss(params, keys, tasks, given=(None, None)) -> scalar`` of the meta-step.

    ``keys`` is ``[N, 2, E]``; what is given has the axes ``[N, E, T]``.
    """

    def inner_loss(params, keys, task, given):
        episode = jax.vmap(play, in_axes=(None, 0, None, 0))(params, keys, task, given)
        returns = jax.vmap(_rewards_to_go)(episode.played.reward)
        steps = -episode.log_prob * jax.lax.stop_gradient(returns) - episode.log_likelihood
        return jnp.mean(jnp.sum(steps, axis=1))

    def one_task(params, keys, task, given):
        gradient = jax.grad(inner_loss)(params, keys[0], task, given[0])
        if work.order == "first":
            gradient = jax.lax.stop_gradient(gradient)
        adapted = jax.tree.map(lambda p, g: p - meta_workload.INNER_RATE * g, params, gradient)
        return jax.vmap(play, in_axes=(None, 0, None, 0))(adapted, keys[1], task, given[1])

    def loss(params, keys, tasks, given=(None, None)):
        episode = jax.vmap(one_task, in_axes=(None, 0, 0, 0))(params, keys, tasks, given)
        advantage = jax.lax.stop_gradient(_advantages(episode.played.reward))
        policy_loss = -episode.log_prob * advantage - meta_workload.ENTROPY_BONUS * episode.entropy
        return jnp.mean(policy_loss - episode.log_likelihood)

    return loss


def _rewards_to_go(rewards: jax.Array) -> jax.Array:
    return jnp.cumsum(rewards[..., ::-1], axis=-1)[..., ::-1]


def _advantages(rewards: jax.Array) -> jax.Array:
    returns = _rewards_to_go(rewards)
    others = returns.sum(1, keepdims=True) - returns
    centred = returns - others / max(returns.shape[1] - 1, 1)
    return centred / (jnp.sqrt(jnp.mean(centred**2)) + 1e-6)


def flax_cells(*, remat: bool = False, updates: int = 1, **options: Any) -> Run:
    """Contender: the whole meta-step as one compiled program of straightforward JAX.

    Args:
      updates: meta-steps in one program, one after the other.
      remat: recompute each step of the scan when going back (`jax.checkpoint`): less memory.
      **options: fields of `MetaWorkload`.

    Raises:
      ConfigError: an option out of its range.
    """
    work = MetaWorkload(**options)
    gradient = jax.value_and_grad(make_meta_loss(work, make_play(work, remat)))
    networks = optax.partition(
        {name: _adam() for name in work.inputs}, lambda params: {name: name for name in params}
    )

    def meta_step(tasks, carry):
        params, state, key, _ = carry
        key, key_now = jax.random.split(key)
        keys = jax.random.split(key_now, (work.num_tasks, 2, work.episodes))
        _, gradients = gradient(params, keys, tasks)
        updates, state = networks.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, key, _norm(gradients)

    @jax.jit
    def several(tasks, carry):
        return jax.lax.fori_loop(0, updates, lambda _, c: meta_step(tasks, c), carry)

    params = from_library(meta_workload.make_params(work))
    tasks = jax.tree.map(jnp.asarray, meta_workload.make_tasks(work))
    carry = (params, networks.init(params), jax.random.key(work.seed), jnp.float32(0))
    program = compile_program(several, tasks, carry)

    def run() -> float:
        nonlocal carry
        carry = jax.block_until_ready(program.call(tasks, carry))
        return float(carry[-1])

    return Run(run, program.call, **program.facts)


def _norm(tree: Params) -> jax.Array:
    return jnp.linalg.norm(ravel_pytree(tree)[0])


def _adam() -> optax.GradientTransformation:
    clip = optax.clip_by_global_norm(meta_workload.MAX_GRADIENT_NORM)
    return optax.chain(clip, optax.adam(meta_workload.OUTER_RATE))


def from_library(params: Params) -> Params:
    """Parameters of `meta_workload.make_params` in the layout of `Network`: a kernel a gate."""

    def network(tree: Params) -> Params:
        layers = tree["body"]
        cells = {
            f"GRUCell_{i}": meta_workload.cell_of_layer(layers[f"layers_{i}"])
            for i in range(len(layers))
        }
        return jax.tree.map(jnp.asarray, cells | {"Dense_0": tree["head"]})

    return {name: network(tree) for name, tree in params.items()}


def to_library(params: Params) -> Params:
    """The inverse of `from_library`; it serves gradients too."""

    def layer(cell: Params) -> Params:
        join = lambda names, leaf: jnp.concatenate([cell[n][leaf] for n in names], -1)  # noqa: E731
        return {
            "input": {
                "kernel": join(("ir", "iz", "in"), "kernel"),
                "bias": join(("ir", "iz", "in"), "bias"),
            },
            "recurrent_kernel": join(("hr", "hz", "hn"), "kernel"),
            "candidate_bias": cell["hn"]["bias"],
        }

    def network(tree: Params) -> Params:
        cells = [tree[f"GRUCell_{i}"] for i in range(len(tree) - 1)]
        body = {f"layers_{i}": layer(cell) for i, cell in enumerate(cells)}
        return {"body": body, "head": tree["Dense_0"]}

    return {name: network(tree) for name, tree in params.items()}
