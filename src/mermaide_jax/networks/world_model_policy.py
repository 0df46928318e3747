"""The networks of a learned principal: a world model, and a policy that reads its prediction."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors
from mermaide_jax.networks.arms import ArmHead, ArmHistory, ArmReader, Reading, empty_history
from mermaide_jax.networks.heads import MLPHead, Recurrence, RecurrentHead

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
    """Layers of each network (mlp has one hidden layer)."""
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
    native (in C, on CPUs with a C compiler; so neither), pallas (one kernel; interpreted, slowly,
    on a CPU), fastest or auto (native from 64 units on where it can run, in_place on other CPUs,
    else scan) or reference (Flax's cell stepped and differentiated by JAX, the definition that the
    others are tested against)."""

    def __post_init__(self) -> None:
        errors.check_choice("architecture", self.architecture, get_args(Architecture))
        errors.check_choice("recurrence", self.recurrence, get_args(Recurrence))
        errors.check_at_least("features", self.features, 1)
        errors.check_at_least("num_layers", self.num_layers, 1)
        if self.memory and self.architecture != "arms":
            errors.refuse("memory", self.memory, "False for every architecture but 'arms'")


class Outputs(NamedTuple):
    """The outputs of the two networks, of one step or with any leading axes.

    Attributes:
      prediction: ``[..., A]``, the world model's log-probabilities of the agent's next action;
        uniform if there is no world model.
      logits: ``[..., U]``, the policy's, of the intervention.
    """

    prediction: jax.Array
    logits: jax.Array


Step = Callable[[Params, Any, jax.Array], tuple[Any, Outputs, Any]]


class Stepper(NamedTuple):
    """How both networks are run step by step.

    Attributes:
      init_carry: ``init_carry(params) -> carry``, before the first step.
      step: ``step(params, carry, observation) -> (carry, Outputs, activations)``.
    """

    init_carry: Callable[[Params], Any]
    step: Step


class NetworkPair(NamedTuple):
    """Both networks as pure functions of their params, ``{"policy": ..., "world_model": ...}``.

    Attributes:
      init_params: ``init_params(key) -> params``.
      stepper: step by step.
      stepper_with_activations: the same, which also gives activations that ``unroll`` can go by;
        None if it has no use for any.
      unroll: ``unroll(params, observations [T, ..., O], activations=None) -> Outputs``, of known
        sequences; with the ``activations`` of the same steps these are not computed again.
      lasting_activations: whether activations hold under any params, or only under those that
        played.
    """

    init_params: Callable[[chex.PRNGKey], Params]
    stepper: Stepper
    stepper_with_activations: Stepper | None
    unroll: Callable[..., Outputs]
    lasting_activations: bool


def make_pair(
    config: NetworkConfig,
    observation_size: int,
    num_arms: int,
    num_interventions: int,
    pays_arms: bool,
) -> NetworkPair:
    """Binds a config and the sizes of a game; see `learned_principal`."""
    heads = _make_heads(config, num_arms, num_interventions, pays_arms)
    # A number, not an array: under a `jit` an array would belong to it.
    uniform = -math.log(num_arms)

    def policy_inputs(observations: jax.Array, prediction: jax.Array) -> jax.Array:
        if not config.world_model:
            return observations
        belief = jnp.exp(prediction)
        if not config.policy_gradient_to_world_model:
            belief = jax.lax.stop_gradient(belief)
        return jnp.concatenate([observations, belief], axis=-1)

    def outputs_of(
        observations: jax.Array, logits_of: Callable[[str, jax.Array], jax.Array]
    ) -> Outputs:
        """Of both, where ``logits_of(name, inputs)`` runs one of them."""
        prediction = jnp.full((*observations.shape[:-1], num_arms), uniform, jnp.float32)
        if config.world_model:
            prediction = jax.nn.log_softmax(logits_of("world_model", observations))
        return Outputs(prediction, logits_of("policy", policy_inputs(observations, prediction)))

    def init_params(key: chex.PRNGKey) -> Params:
        key_policy, key_model = jax.random.split(key)
        observation = jnp.zeros((observation_size,), jnp.float32)
        inputs = policy_inputs(observation, jnp.zeros((num_arms,), jnp.float32))
        params = {"policy": _init(heads["policy"], key_policy, inputs)}
        if config.world_model:
            params["world_model"] = _init(heads["world_model"], key_model, observation)
        return params

    if config.architecture == "arms":
        reader = ArmReader(num_arms, num_interventions - 1, pays_arms)
        return _reading_pair(heads, reader, outputs_of, init_params)
    keeps_activations = config.architecture == "gru" and config.recurrence != "reference"
    return _recurrent_pair(heads, keeps_activations, outputs_of, init_params)


def _recurrent_pair(
    heads: dict[str, Any],
    keeps_activations: bool,
    outputs_of: Callable[..., Outputs],
    init_params: Callable[..., Any],
) -> NetworkPair:
    """Each network with a carry of its own; activations are those of the layers."""

    def stepper_of(init_of: Callable[..., Any], step_of: Callable[..., Any]) -> Stepper:
        def init_carry(params: Params) -> dict[str, Any]:
            return {name: init_of(head, params[name]) for name, head in heads.items()}

        def step(params: Params, carry: dict[str, Any], observation: jax.Array):
            carry, activations = dict(carry), {}

            def logits_of(name: str, inputs: jax.Array) -> jax.Array:
                carry[name], logits, activations[name] = step_of(
                    heads[name], params[name], carry[name], inputs
                )
                return logits

            outputs = outputs_of(observation, logits_of)
            return carry, outputs, activations

        return Stepper(init_carry, step)

    def play(head: Any, params: Any, carry: Any, inputs: jax.Array):
        return *_apply(head, params, carry, inputs), None

    def prepare(head: Any, params: Any):
        return head.initial_carry(), _apply(head, params, method="prepare")

    def step_with_activations(head: Any, params: Any, carry: Any, inputs: jax.Array):
        carry, preparation = carry
        carry, *rest = _apply(
            head, params, carry, inputs, preparation, method="step_with_activations"
        )
        return (carry, preparation), *rest

    def unroll(params: Params, observations: jax.Array, activations: Any = None) -> Outputs:
        def logits_of(name: str, inputs: jax.Array) -> jax.Array:
            known = () if activations is None else (activations[name],)
            return _apply(heads[name], params[name], inputs, *known, method="unroll")

        return outputs_of(observations, logits_of)

    return NetworkPair(
        init_params=init_params,
        stepper=stepper_of(lambda head, params: head.initial_carry(), play),
        stepper_with_activations=(
            stepper_of(prepare, step_with_activations) if keeps_activations else None
        ),
        unroll=unroll,
        lasting_activations=False,
    )


def _reading_pair(
    heads: dict[str, Any],
    reader: ArmReader,
    outputs_of: Callable[..., Outputs],
    init_params: Callable[..., Any],
) -> NetworkPair:
    """Networks that read the same history, which has no weights; activations are what they read."""

    def read(params: Params, observations: jax.Array, reading: Reading) -> Outputs:
        logits_of = lambda name, inputs: _apply(  # noqa: E731
            heads[name], params[name], reading, inputs, method="logits"
        )
        return outputs_of(observations, logits_of)

    def step(params: Params, history: ArmHistory, observation: jax.Array):
        history, reading = reader.step(history, observation)
        return history, read(params, observation, reading), reading

    def unroll(
        params: Params, observations: jax.Array, activations: Reading | None = None
    ) -> Outputs:
        reading = reader.unroll(observations) if activations is None else activations
        return read(params, observations, reading)

    stepper = Stepper(lambda params: empty_history(reader.num_arms), step)
    return NetworkPair(
        init_params=init_params,
        stepper=stepper,
        stepper_with_activations=stepper,
        unroll=unroll,
        lasting_activations=True,
    )


def _init(head: Head, key: chex.PRNGKey, inputs: jax.Array) -> Any:
    return head.init(key, head.initial_carry(), inputs)["params"]


def _apply(head: Head, params: Any, *args: Any, **kwargs: Any) -> Any:
    """``head.apply``, whose declared type also covers mutable collections, which we have not."""
    return head.apply({"params": params}, *args, **kwargs)


def _make_heads(
    config: NetworkConfig, num_arms: int, num_interventions: int, pays_arms: bool
) -> dict[str, Head]:
    """The networks that there are, by name."""
    sizes = {"policy": num_interventions}
    if config.world_model:
        sizes["world_model"] = num_arms
    # Second derivatives here are forward over reverse.
    recurrence = "fastest" if config.recurrence == "auto" else config.recurrence

    def head(name: str) -> Head:
        if config.architecture == "mlp":
            return MLPHead(sizes[name], config.features)
        if config.architecture == "arms":
            return ArmHead(
                sizes[name],
                num_arms,
                num_interventions - 1,
                pays_arms,
                name == "world_model",
                config.features,
                config.num_layers,
                config.memory,
            )
        return RecurrentHead(sizes[name], config.features, config.num_layers, recurrence)

    return {name: head(name) for name in sizes}
