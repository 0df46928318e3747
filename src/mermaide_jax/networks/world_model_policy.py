"""The networks of a learned principal: a world model, and a policy that reads its prediction."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from mermaide_jax import errors, registry
from mermaide_jax.networks.gru.loops import Implementation

Params = dict[str, Any]

Recurrence = Literal[Implementation, "reference"]
"""How known sequences are unrolled; see `NetworkConfig`."""


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Static side of a learned principal."""

    architecture: str = "gru"
    """Kind of network; see `mermaide list`."""
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
        member = registry.get("network", self.architecture, "architecture")
        errors.check_choice("recurrence", self.recurrence, get_args(Recurrence))
        errors.check_at_least("features", self.features, 1)
        errors.check_at_least("num_layers", self.num_layers, 1)
        if self.memory and not member.traits.get("has_memory"):
            expected = f"False for the architecture {self.architecture!r}, which has none"
            errors.refuse("memory", self.memory, expected)


class Sizes(NamedTuple):
    """What networks need to know of a game; static.

    Attributes:
      observation_size: ``O``.
      num_arms: ``A``.
      num_interventions: ``U``.
      pays_arms: whether intervention ``i`` is the payment of arm ``i - 1``.
    """

    observation_size: int
    num_arms: int
    num_interventions: int
    pays_arms: bool = False


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


def make_pair(config: NetworkConfig, sizes: Sizes) -> NetworkPair:
    """Makes both networks of a registered architecture; see `principals.learned_principal`.

    Args:
      config: static side of the networks.
      sizes: of the game.

    Example:
      >>> config = NetworkConfig(architecture="mlp", features=4)
      >>> pair = make_pair(config, Sizes(observation_size=7, num_arms=3, num_interventions=2))
      >>> params = pair.init_params(jax.random.key(0))
      >>> pair.unroll(params, jnp.zeros((5, 7))).logits.shape
      (5, 2)
    """
    return registry.make("network", config.architecture, config, sizes)


def _coupling(config: NetworkConfig, sizes: Sizes) -> Callable[..., Outputs]:
    """How the policy reads the world model: ``outputs_of(observations, logits_of) -> Outputs``.

    ``logits_of(name, inputs)`` runs one of the networks.
    """
    # A number, not an array: under a `jit` an array would belong to it.
    uniform = -math.log(sizes.num_arms)

    def outputs_of(
        observations: jax.Array, logits_of: Callable[[str, jax.Array], jax.Array]
    ) -> Outputs:
        prediction = jnp.full((*observations.shape[:-1], sizes.num_arms), uniform, jnp.float32)
        if config.world_model:
            prediction = jax.nn.log_softmax(logits_of("world_model", observations))
        inputs = _policy_inputs(config, observations, prediction)
        return Outputs(prediction, logits_of("policy", inputs))

    return outputs_of


def _policy_inputs(
    config: NetworkConfig, observations: jax.Array, prediction: jax.Array
) -> jax.Array:
    if not config.world_model:
        return observations
    # Probabilities, not their logarithms: these have no bound, and a policy reads numbers near one.
    belief = jnp.exp(prediction)
    if not config.policy_gradient_to_world_model:
        belief = jax.lax.stop_gradient(belief)
    return jnp.concatenate([observations, belief], axis=-1)


def _initialiser(
    config: NetworkConfig, sizes: Sizes, heads: Mapping[str, Any]
) -> Callable[[chex.PRNGKey], Params]:
    """How the params of both start: each network from a key of its own."""

    def init_params(key: chex.PRNGKey) -> Params:
        key_policy, key_model = jax.random.split(key)
        observation = jnp.zeros((sizes.observation_size,), jnp.float32)
        nothing = jnp.zeros((sizes.num_arms,), jnp.float32)
        inputs = _policy_inputs(config, observation, nothing)
        params = {"policy": _init(heads["policy"], key_policy, inputs)}
        if config.world_model:
            params["world_model"] = _init(heads["world_model"], key_model, observation)
        return params

    return init_params


def head_sizes(config: NetworkConfig, sizes: Sizes) -> dict[str, int]:
    """Gives the outputs of the networks that there are, by name.

    Example:
      >>> head_sizes(NetworkConfig(), Sizes(observation_size=7, num_arms=3, num_interventions=2))
      {'policy': 2, 'world_model': 3}
    """
    outputs = {"policy": sizes.num_interventions}
    return outputs | ({"world_model": sizes.num_arms} if config.world_model else {})


def recurrent_pair(
    config: NetworkConfig,
    sizes: Sizes,
    heads: Mapping[str, Any],
    *,
    keeps_activations: bool = False,
) -> NetworkPair:
    """Couples two networks, each with a carry of its own.

    Args:
      config: static side.
      sizes: of the game.
      heads: ``"policy"`` and, if there is one, ``"world_model"``: Flax modules with
        ``initial_carry()``, ``__call__(carry, inputs) -> (carry, logits)`` and
        ``unroll(inputs [T, ..., I]) -> logits``.
      keeps_activations: whether they also have ``prepare()`` and ``step_with_activations(carry,
        inputs, preparation) -> (carry, logits, activations)``, and ``unroll`` takes activations.

    Example:
      >>> from mermaide_jax.networks.heads import MLPHead
      >>> config, sizes = NetworkConfig(features=4), Sizes(7, num_arms=3, num_interventions=2)
      >>> heads = {name: MLPHead(size, 4) for name, size in head_sizes(config, sizes).items()}
      >>> pair = recurrent_pair(config, sizes, heads)
      >>> sorted(pair.init_params(jax.random.key(0)))
      ['policy', 'world_model']
    """
    outputs_of = _coupling(config, sizes)

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
        init_params=_initialiser(config, sizes, heads),
        stepper=stepper_of(lambda head, params: head.initial_carry(), play),
        stepper_with_activations=(
            stepper_of(prepare, step_with_activations) if keeps_activations else None
        ),
        unroll=unroll,
        lasting_activations=False,
    )


def reading_pair(
    config: NetworkConfig, sizes: Sizes, heads: Mapping[str, Any], reader: Any
) -> NetworkPair:
    """Couples two networks that read the same history, which has no weights.

    Args:
      config: static side.
      sizes: of the game.
      heads: ``"policy"`` and, if there is one, ``"world_model"``: Flax modules with
        ``initial_carry()``, ``__call__`` and ``logits(reading, inputs)``.
      reader: with ``start()``, ``step(history, observation) -> (history, reading)`` and
        ``unroll(observations) -> readings``; the readings are the activations.

    Example:
      >>> config = NetworkConfig(architecture="arms", features=4)  # made by this function
      >>> pair = networks.make_pair(config, Sizes(7, num_arms=3, num_interventions=2))
      >>> pair.lasting_activations
      True
    """
    outputs_of = _coupling(config, sizes)

    def read(params: Params, observations: jax.Array, reading: Any) -> Outputs:
        logits_of = lambda name, inputs: _apply(  # noqa: E731
            heads[name], params[name], reading, inputs, method="logits"
        )
        return outputs_of(observations, logits_of)

    def step(params: Params, history: Any, observation: jax.Array):
        history, reading = reader.step(history, observation)
        return history, read(params, observation, reading), reading

    def unroll(params: Params, observations: jax.Array, activations: Any = None) -> Outputs:
        reading = reader.unroll(observations) if activations is None else activations
        return read(params, observations, reading)

    stepper = Stepper(lambda params: reader.start(), step)
    return NetworkPair(
        init_params=_initialiser(config, sizes, heads),
        stepper=stepper,
        stepper_with_activations=stepper,
        unroll=unroll,
        lasting_activations=True,
    )


def _init(head: Any, key: chex.PRNGKey, inputs: jax.Array) -> Any:
    return head.init(key, head.initial_carry(), inputs)["params"]


def _apply(head: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
    """``head.apply``, whose declared type also covers mutable collections, which we have not."""
    return head.apply({"params": params}, *args, **kwargs)
