"""The learned principal: a world model of the agent and a policy that reads its belief.

MERMAIDE's principal (arXiv 2304.04668, section 4): the world model ``p_omega(a_t | h_t)`` predicts
the agent's next action from what has been observed, the policy ``pi_theta(u_t | h_t, p_omega)``
chooses the intervention. Its baselines are the same code with parts switched off.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mermaide_jax._jax.caching import memoize
from mermaide_jax._jax.distributions import Categorical
from mermaide_jax.base import Principal
from mermaide_jax.errors import check_at_least, refuse
from mermaide_jax.networks.arms import summarise_episodes
from mermaide_jax.networks.world_model_policy import (
    NetworkConfig,
    Outputs,
    Params,
    Sizes,
    Stepper,
    make_pair,
)


class Decision(NamedTuple):
    """The outputs of the networks before one step; with leading axis ``T`` when replayed.

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


class DecisionAndActivations(NamedTuple):
    """What the recording principal tells of one step; with leading axis ``T`` of an episode.

    Attributes:
      decision: the outputs of the networks.
      activations: what `LearnedPrincipal.replay` can go by instead of running the networks again.
    """

    decision: Decision
    activations: Any


class LearnedPrincipal(NamedTuple):
    """A trainable principal as pure functions.

    Attributes:
      principal: the `Principal` whose params are ``{"policy": ..., "world_model": ...}``.
      with_activations: the same, but its ``info`` is `DecisionAndActivations`; None if `replay` has
        no use for activations.
      init_params: ``init_params(key) -> params``.
      replay: ``replay(params, observations [T, ..., O], interventions [T, ...], activations=None)``
        gives the `Decision`, ``[T, ...]``: the outputs of the networks for known histories, with
        any batch axes after time; equals those while they were played. With ``activations`` of the
        same steps under the same params, the networks are not run again; derivatives are the same.
      remember: ``remember(params, actions [K, T], interventions [K, T])`` gives params that hold
        what ``K`` episodes with one agent showed; the same params if there is no memory.
      config: the `NetworkConfig`.
      lasting_activations: whether activations hold under any params, or only under those that
        played.
    """

    principal: Principal
    with_activations: Principal | None
    init_params: Callable[[chex.PRNGKey], Params]
    replay: Callable[..., Decision]
    remember: Callable[[Params, jax.Array, jax.Array], Params]
    config: NetworkConfig
    lasting_activations: bool


def _decide(outputs: Outputs, intervention: jax.Array) -> Decision:
    policy = Categorical(logits=outputs.logits)
    return Decision(
        log_prob=jnp.asarray(policy.log_prob(intervention)),
        entropy=jnp.asarray(policy.entropy()),
        pay_prob=1.0 - jnp.asarray(policy.probs)[..., 0],
        prediction=outputs.prediction,
    )


@memoize
def learned_principal(
    config: NetworkConfig,
    observation_size: int,
    num_arms: int,
    num_interventions: int,
    pays_arms: bool | None = None,
) -> LearnedPrincipal:
    """Binds a config and the sizes of a game into a `LearnedPrincipal`.

    Args:
      config: static side of the networks.
      observation_size: ``O``, see `games.Game`.
      num_arms: ``A``.
      num_interventions: ``U``.
      pays_arms: whether intervention ``i`` is the payment of arm ``i - 1``, which networks over
        arms go by (`games.Game.payment_kind`); None: if ``U - 1 = A``.

    Raises:
      ConfigError: sizes below 1, or interventions other than ``A`` and "do nothing" with
        ``pays_arms``.

    Example:
      >>> config = NetworkConfig(architecture="mlp", features=4)
      >>> learned = learned_principal(config, observation_size=7, num_arms=3, num_interventions=2)
      >>> params = learned.init_params(jax.random.key(0))
      >>> decisions = learned.replay(params, jnp.zeros((5, 7)), jnp.zeros(5, jnp.int32))
      >>> decisions.prediction.shape
      (5, 3)
    """
    check_at_least("observation_size", observation_size, 1)
    check_at_least("num_arms", num_arms, 1)
    check_at_least("num_interventions", num_interventions, 1)
    one_each = num_interventions - 1 == num_arms
    if pays_arms and not one_each:
        refuse("num_interventions", num_interventions, f"{num_arms + 1}, if each pays one arm")
    of_arms = one_each if pays_arms is None else pays_arms
    pair = make_pair(config, Sizes(observation_size, num_arms, num_interventions, of_arms))

    def play(stepper: Stepper, info_of: Callable[[Decision, Any], Any]) -> Principal:
        """A principal, from the networks step by step and what its ``info`` is."""

        def act(key: chex.PRNGKey, params: Params, carry: Any, observation: jax.Array):
            carry, outputs, activations = stepper.step(params, carry, observation)
            intervention = Categorical(logits=outputs.logits).sample(seed=key).astype(jnp.int32)
            return intervention, carry, info_of(_decide(outputs, intervention), activations)

        return Principal(stepper.init_carry, act)

    def replay(
        params: Params, observations: jax.Array, interventions: jax.Array, activations: Any = None
    ) -> Decision:
        return _decide(pair.unroll(params, observations, activations), interventions)

    def remember(params: Params, actions: jax.Array, interventions: jax.Array) -> Params:
        if not config.memory:
            return params
        memory = summarise_episodes(actions, interventions, num_arms)
        return {
            name: {**part, "memory": memory.astype(part["memory"].dtype)}
            for name, part in params.items()
        }

    return LearnedPrincipal(
        principal=play(pair.stepper, lambda decision, activations: decision),
        with_activations=pair.stepper_with_activations
        and play(pair.stepper_with_activations, DecisionAndActivations),
        init_params=pair.init_params,
        replay=replay,
        remember=remember,
        config=config,
        lasting_activations=pair.lasting_activations,
    )
