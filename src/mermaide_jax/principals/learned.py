"""The learned principal: a world model of the agent and a policy that reads its belief.

MERMAIDE's principal (arXiv 2304.04668, section 4): the world model ``p_omega(a_t | h_t)`` predicts
the agent's next action from what has been observed, the policy ``pi_theta(u_t | h_t, p_omega)``
chooses the intervention. Its baselines are the same code with parts switched off.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import _checks
from mermaide_jax._distributions import Categorical
from mermaide_jax.networks import MLPHead, Recurrence, RecurrentHead
from mermaide_jax.networks_arms import ArmHead, recollect
from mermaide_jax.principals.base import Principal

Architecture = Literal["gru", "mlp", "arms"]
Params = dict[str, Any]
Head = RecurrentHead | MLPHead | ArmHead


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Static side of a learned principal."""

    architecture: Architecture = "gru"
    """Recurrent networks (gru, published for the bandits), networks that share their weights over
    arms and read each arm's running statistics (arms), or a feed-forward policy (mlp)."""
    features: int = 128
    """Hidden units of each layer."""
    num_layers: int = 2
    """Layers of each GRU stack."""
    world_model: bool = True
    """Whether there is a world model, whose prediction the policy reads."""
    memory: bool = False
    """Whether the networks also remember, for each arm, what the episodes showed that they adapted
    on (architecture arms alone; of use to principals that adapt in training)."""
    policy_gradient_to_world_model: bool = False
    """Whether the policy's gradient passes into the world model through its prediction."""
    recurrence: Recurrence = "auto"
    """How recurrences over known sequences are run: scan (hand-written derivatives), in_place (the
    same without transposed copies under vmap; not to be differentiated twice in reverse mode),
    pallas (one kernel; interpreted, slowly, on a CPU), auto (in_place on CPUs, as second
    derivatives here are forward over reverse; else scan) or reference (Flax's cell stepped and
    differentiated by JAX, the definition that the others are tested against)."""

    def __post_init__(self) -> None:
        _checks.check_choice("architecture", self.architecture, get_args(Architecture))
        _checks.check_choice("recurrence", self.recurrence, get_args(Recurrence))
        _checks.check_at_least("features", self.features, 1)
        _checks.check_at_least("num_layers", self.num_layers, 1)
        if self.memory and self.architecture != "arms":
            _checks.refuse("memory", self.memory, "False for every architecture but 'arms'")


class Decision(NamedTuple):
    """What the networks said before one step; with leading axis ``T`` when replayed.

    Attributes:
      log_prob: float32 scalar, log-probability of the intervention that was chosen.
      entropy: float32 scalar, nats, entropy of the policy.
      pay_prob: float32 scalar, probability of any intervention but "do nothing".
      prediction: ``[A]`` float32, the world model's log-probabilities of the agent's next action;
        uniform if there is no world model.
    """

    log_prob: jax.Array
    entropy: jax.Array
    pay_prob: jax.Array
    prediction: jax.Array


class Recorded(NamedTuple):
    """What the recording principal tells of one step; with leading axis ``T`` of an episode.

    Attributes:
      decision: what the networks said.
      record: what `LearnedPrincipal.replay` can go by instead of running the networks again.
    """

    decision: Decision
    record: Any


class LearnedPrincipal(NamedTuple):
    """A trainable principal as pure functions.

    Attributes:
      principal: the `Principal` whose params are ``{"policy": ..., "world_model": ...}``.
      recording: the same, but its ``info`` is `Recorded`; None if there is nothing to record.
      init_params: ``init_params(key) -> params``.
      replay: ``replay(params, observations [T, ..., O], interventions [T, ...], record=None)``
        gives the `Decision`, ``[T, ...]``: what the networks say to known histories, with any batch
        axes after time; equals what they said while these were played. With the ``record`` of the
        same steps under the same params, the networks are not run again; derivatives are the same.
      remember: ``remember(params, actions [K, T], interventions [K, T])`` gives params that hold
        what ``K`` episodes with one agent showed; the same params if there is no memory.
      config: the `NetworkConfig`.
    """

    principal: Principal
    recording: Principal | None
    init_params: Callable[[chex.PRNGKey], Params]
    replay: Callable[..., Decision]
    remember: Callable[[Params, jax.Array, jax.Array], Params]
    config: NetworkConfig


def _decide(logits: jax.Array, intervention: jax.Array, prediction: jax.Array) -> Decision:
    policy = Categorical(logits=logits)
    return Decision(
        log_prob=jnp.asarray(policy.log_prob(intervention)),
        entropy=jnp.asarray(policy.entropy()),
        pay_prob=1.0 - jnp.asarray(policy.probs)[..., 0],
        prediction=prediction,
    )


@functools.cache
def learned_principal(
    config: NetworkConfig, observation_size: int, num_arms: int, num_interventions: int
) -> LearnedPrincipal:
    """Binds a config and the sizes of a game into a `LearnedPrincipal`.

    Args:
      config: static side of the networks.
      observation_size: ``O``, see `games.Game`.
      num_arms: ``A``.
      num_interventions: ``U``.
    """
    policy, world_model = _heads(config, num_arms, num_interventions)
    # A number, not an array: this function is cached, and may first be called under a `jit`.
    uniform = -math.log(num_arms)

    def policy_inputs(observations: jax.Array, prediction: jax.Array) -> jax.Array:
        if not config.world_model:
            return observations
        belief = jnp.exp(prediction)
        if not config.policy_gradient_to_world_model:
            belief = jax.lax.stop_gradient(belief)
        return jnp.concatenate([observations, belief], axis=-1)

    def init_params(key: chex.PRNGKey) -> Params:
        key_policy, key_model = jax.random.split(key)
        observation = jnp.zeros((observation_size,), jnp.float32)
        belief = jnp.zeros((num_arms,), jnp.float32)
        inputs = policy_inputs(observation, belief)
        params = {"policy": policy.init(key_policy, policy.initial_carry(), inputs)["params"]}
        if config.world_model:
            carry = world_model.initial_carry()
            params["world_model"] = world_model.init(key_model, carry, observation)["params"]
        return params

    def init(params: Params):
        del params
        model_carry = world_model.initial_carry() if config.world_model else ()
        return policy.initial_carry(), model_carry

    def make_act(step: Callable[..., tuple[Any, jax.Array, Any]], told: Callable[..., Any]):
        """A principal's ``act``, from a step of one network and what is told of the decision."""

        def act(key: chex.PRNGKey, params: Params, carry, observation: jax.Array):
            policy_carry, model_carry = carry
            prediction, records = jnp.full((num_arms,), uniform, jnp.float32), {}
            if config.world_model:
                weights = params["world_model"]
                model_carry, logits, record = step(world_model, weights, model_carry, observation)
                prediction, records["world_model"] = jax.nn.log_softmax(logits), record
            inputs = policy_inputs(observation, prediction)
            policy_carry, logits, records["policy"] = step(
                policy, params["policy"], policy_carry, inputs
            )
            intervention = Categorical(logits=logits).sample(seed=key).astype(jnp.int32)
            decision = _decide(logits, intervention, prediction)
            return intervention, (policy_carry, model_carry), told(decision, records)

        return act

    def replay(
        params: Params, observations: jax.Array, interventions: jax.Array, record: Any = None
    ) -> Decision:
        def unroll(head: Head, name: str, inputs: jax.Array) -> jax.Array:
            known = () if record is None else (record[name],)
            return _apply(head, {"params": params[name]}, inputs, *known, method="unroll")

        prediction = jnp.full((*observations.shape[:-1], num_arms), uniform, jnp.float32)
        if config.world_model:
            prediction = jax.nn.log_softmax(unroll(world_model, "world_model", observations))
        logits = unroll(policy, "policy", policy_inputs(observations, prediction))
        return _decide(logits, interventions, prediction)

    def remember(params: Params, actions: jax.Array, interventions: jax.Array) -> Params:
        if not config.memory:
            return params
        memory = recollect(actions, interventions, num_arms)
        return {
            name: {**part, "memory": memory.astype(part["memory"].dtype)}
            for name, part in params.items()
        }

    recording = None
    if config.architecture == "gru" and config.recurrence != "reference":
        recording = Principal(init, make_act(_recorded_step, Recorded))
    plain = Principal(init, make_act(_plain_step, lambda decision, record: decision))
    return LearnedPrincipal(plain, recording, init_params, replay, remember, config)


def _plain_step(head: Head, params: Any, carry: Any, inputs: jax.Array):
    """Carry, logits, and no record."""
    return *_apply(head, {"params": params}, carry, inputs), None


def _recorded_step(head: Head, params: Any, carry: Any, inputs: jax.Array):
    """Carry, logits, and the record."""
    return _apply(head, {"params": params}, carry, inputs, method="record")


def _apply(module: Head, *args: Any, **kwargs: Any) -> Any:
    """``module.apply``, whose declared type also covers mutable collections, which we have not."""
    return module.apply(*args, **kwargs)


def _heads(config: NetworkConfig, num_arms: int, num_interventions: int) -> tuple[Head, Head]:
    """The policy and the world model."""
    sizes = {"policy": num_interventions, "world_model": num_arms}
    recurrence = config.recurrence
    if recurrence == "auto" and jax.default_backend() == "cpu":
        recurrence = "in_place"

    def head(name: str) -> Head:
        if config.architecture == "mlp":
            return MLPHead(sizes[name], config.features)
        if config.architecture == "arms":
            payments, per_arm = num_interventions - 1, name == "world_model"
            return ArmHead(
                sizes[name],
                num_arms,
                payments,
                per_arm,
                config.features,
                config.num_layers,
                config.memory,
            )
        return RecurrentHead(sizes[name], config.features, config.num_layers, recurrence)

    return head("policy"), head("world_model")
