"""Networks that share their weights over the arms, so that no name of an arm means anything.

Each arm has a history of its own: when it was pulled, and when it was paid for. It is kept as a few
running statistics, which are functions of what was observed and of nothing else. The same small
network reads every arm's statistics; the arms see each other through a mean and through the target:

    e_a = tanh(W x_a + b)                               x_a: statistics, target flag, g_a v_a
    y_a = tanh(V e_a + P [mean_b e_b, e_target] + d)    once for every further layer
    world model: logit_a = w . y_a        policy: logits = R [mean_b y_b, y_target] + r

The number of arms is nowhere in the weights but for ``v_a``, an embedding of each arm that starts
at zero. Under relabelled arms training gives it no direction; adapting to one agent does, since it
is where what was learned of *this* arm can go. ``g``, its gain, decides how far one step moves it.

With a memory the network also reads ``m_a``, what the episodes that it adapted on showed of each
arm (`summarise_episodes`), zeros before. Gradient steps do not move it: it is written by
adapting, and training decides what is made of it.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from mermaide_jax.errors import refuse
from mermaide_jax.networks.activations import tanh
from mermaide_jax.networks.world_model_policy import (
    NetworkConfig,
    NetworkPair,
    Sizes,
    head_sizes,
    reading_pair,
)
from mermaide_jax.registry import register

DECAYS = (0.5, 0.8, 0.95)
"""Of the fading counts of pulls, a step."""

EMBEDDING = 4
"""Length of the embedding of an arm."""


SEGMENTS = (0.0, 0.125, 0.25, 0.5, 1.0)
"""Bounds of the parts of an episode that are remembered apart, as shares of it."""

MEMORY = 3 * (len(SEGMENTS) - 1) + 1
"""Numbers that are remembered of each arm."""


def summarise_episodes(actions: jax.Array, interventions: jax.Array, num_arms: int) -> jax.Array:
    """Summarises what former episodes with one agent showed of each arm.

    For each part of the episode (`SEGMENTS`), over all ``K`` episodes together:

        (pulls in unpaid steps) / (unpaid steps + 1)    (pulls in paid steps) / (paid steps + 1)

    and the share of paid steps; last a 1, which says that there is something to remember.

    Args:
      actions: ``[K, T]`` int32.
      interventions: ``[K, T]`` int32, 0 for none.
      num_arms: ``A``.

    Returns:
      ``[A, MEMORY]`` float32.

    Example:
      >>> actions, paid = jnp.zeros((2, 8), jnp.int32), jnp.ones((2, 8), jnp.int32)
      >>> memory = summarise_episodes(actions, paid, num_arms=3)
      >>> memory.shape == (3, MEMORY), memory[:, -1].tolist()
      (True, [1.0, 1.0, 1.0])
    """
    pulls = jax.nn.one_hot(actions, num_arms, dtype=jnp.float32)
    paid = (interventions > 0).astype(jnp.float32)[..., None]
    bounds = [round(share * actions.shape[-1]) for share in SEGMENTS]
    columns = []
    for start, stop in itertools.pairwise(bounds):
        part, bought = pulls[:, start:stop], paid[:, start:stop]
        steps = max(bought.size, 1)
        for when in (1.0 - bought, bought):
            columns.append(jnp.sum(part * when, axis=(0, 1)) / (jnp.sum(when) + 1.0))
        columns.append(jnp.full((num_arms,), jnp.sum(bought) / steps))
    return jnp.stack([*columns, jnp.ones((num_arms,), jnp.float32)], axis=-1)


class ArmHistory(NamedTuple):
    """Running statistics of what was observed; ``[..., A]``, and ``[...]`` for the last three.

    Attributes:
      pulls: pulls of each arm.
      paid: those that were paid for.
      fading: ``[..., A, 3]``, pulls that fade at the rates of `DECAYS`.
      since: steps since the last pull; since the start, for an arm that was never pulled.
      last: 1 for the arm of the last step.
      payments: interventions so far.
      refused: interventions after which another arm than the paid one was pulled.
      time: steps so far.
    """

    pulls: jax.Array
    paid: jax.Array
    fading: jax.Array
    since: jax.Array
    last: jax.Array
    payments: jax.Array
    refused: jax.Array
    time: jax.Array


class Seen(NamedTuple):
    """The parts of an observation, float32.

    Attributes:
      action: ``[..., A]`` one-hot of the last action; zeros before the first.
      payment: ``[..., U - 1]`` one-hot of the last intervention.
      target: ``[..., A]`` one-hot.
      rest: ``[..., R]``, what else was observed.
      beliefs: ``[..., A, B]``, any more numbers for each arm.
    """

    action: jax.Array
    payment: jax.Array
    target: jax.Array
    rest: jax.Array
    beliefs: jax.Array


def empty_history(num_arms: int) -> ArmHistory:
    """Gives the history before the first step.

    Example:
      >>> empty_history(3).pulls.tolist()
      [0.0, 0.0, 0.0]
    """
    zeros, zero = jnp.zeros((num_arms,), jnp.float32), jnp.zeros((), jnp.float32)
    fading = jnp.zeros((num_arms, len(DECAYS)), jnp.float32)
    return ArmHistory(zeros, zeros, fading, zeros, zeros, zero, zero, zero)


def update_history(history: ArmHistory, seen: Seen, pays_arms: bool) -> ArmHistory:
    """Adds what the last step showed; before the first step it showed nothing.

    Example:
      >>> seen = Seen(
      ...     action=jnp.array([0.0, 1.0]),
      ...     payment=jnp.array([1.0]),
      ...     target=jnp.array([0.0, 1.0]),
      ...     rest=jnp.zeros(0),
      ...     beliefs=jnp.zeros((2, 0)),
      ... )
      >>> update_history(empty_history(2), seen, pays_arms=False).paid.tolist()
      [0.0, 1.0]
    """
    began = jnp.sum(seen.action, axis=-1)
    paid = jnp.sum(seen.payment, axis=-1)
    paid_arm = seen.payment if pays_arms else seen.target * paid[..., None]
    taken = seen.action * paid_arm
    decays = jnp.asarray(DECAYS, jnp.float32)
    return ArmHistory(
        pulls=history.pulls + seen.action,
        paid=history.paid + taken,
        fading=history.fading * decays + seen.action[..., None] * (1.0 - decays),
        since=(history.since + began[..., None]) * (1.0 - seen.action),
        last=seen.action,
        payments=history.payments + paid,
        refused=history.refused + paid - jnp.sum(taken, axis=-1),
        time=history.time + began,
    )


class Reading(NamedTuple):
    """What networks read of the history of arms, numbers of order one; no weights enter it.

    Attributes:
      own: ``[..., A, F]``, running statistics of each arm.
      fading: ``[..., A, 3]``, see `ArmHistory`.
      common: ``[..., 1, C]``, the same for all arms.
    """

    own: jax.Array
    fading: jax.Array
    common: jax.Array


def arm_features(history: ArmHistory, seen: Seen, pays_arms: bool) -> Reading:
    """Makes of a history what the networks read at one step, or at all.

    Example:
      >>> seen = Seen(jnp.zeros(2), jnp.zeros(1), jnp.array([1.0, 0.0]), jnp.zeros(0), None)
      >>> arm_features(empty_history(2), seen, pays_arms=False).own.shape
      (2, 9)
    """
    time = history.time[..., None]
    tried = jnp.maximum(history.pulls, 1.0)
    common = jnp.concatenate(
        [
            jnp.log1p(time) / 3.0,
            history.payments[..., None] / jnp.maximum(time, 1.0),
            jnp.log1p(history.refused[..., None]),
            time[..., :0] if pays_arms else seen.payment,
            seen.rest,
        ],
        axis=-1,
    )
    own = [
        history.last,
        seen.target,
        (history.pulls == 0).astype(jnp.float32),
        jnp.log1p(history.pulls) / 3.0,
        history.pulls / jnp.maximum(time, 1.0),
        jnp.sqrt(jnp.log1p(time) / tried),
        jnp.log1p(history.since) / 3.0,
        history.paid / tried,
        jnp.log1p(history.paid) / 3.0,
    ]
    return Reading(jnp.stack(own, axis=-1), history.fading, common[..., None, :])


class ArmReader(NamedTuple):
    """How networks over arms read what was observed; static, and free of weights.

    Attributes:
      num_arms: ``A``.
      num_payments: ``U - 1``.
      pays_arms: whether each is the payment of one arm, or all are of the target.
    """

    num_arms: int
    num_payments: int
    pays_arms: bool

    def start(self) -> ArmHistory:
        """See `empty_history`."""
        return empty_history(self.num_arms)

    def step(self, history: ArmHistory, observation: jax.Array) -> tuple[ArmHistory, Reading]:
        """One step: the history with what was just observed, and what is read of it."""
        seen = self.parts(observation)
        history = update_history(history, seen, self.pays_arms)
        return history, arm_features(history, seen, self.pays_arms)

    def unroll(self, observations: jax.Array) -> Reading:
        """Whole sequences, ``[T, ..., O]``. They are data: nothing here is differentiated."""
        observations = jax.lax.stop_gradient(observations)
        seen = self.parts(observations)
        known = seen._replace(beliefs=seen.beliefs[..., :0])

        def step(history: ArmHistory, seen: Seen) -> tuple[ArmHistory, ArmHistory]:
            history = update_history(history, seen, self.pays_arms)
            return history, history

        start = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, (*observations.shape[1:-1], *leaf.shape)),
            empty_history(self.num_arms),
        )
        return arm_features(jax.lax.scan(step, start, known)[1], seen, self.pays_arms)

    def parts(self, observation: jax.Array) -> Seen:
        """Takes an observation, and beliefs behind it, apart (`games.encode_observation`).

        Raises:
          ConfigError: for an observation of another length.
        """
        arms, payments = self.num_arms, self.num_payments
        own = 2 * arms + payments
        beliefs, rest = divmod(observation.shape[-1] - own, arms)
        if beliefs < 0 or rest not in (0, 1):
            refuse(
                "observation",
                observation.shape[-1],
                f"action, intervention and target for the architecture 'arms', {own} or {own + 1}",
            )
        stop = own + rest
        # Beliefs are one number for each arm after the other.
        behind = observation[..., stop:].reshape(*observation.shape[:-1], beliefs, arms)
        return Seen(
            action=observation[..., :arms],
            payment=observation[..., arms : arms + payments],
            target=observation[..., arms + payments : own],
            rest=observation[..., own:stop],
            beliefs=jnp.swapaxes(behind, -1, -2),
        )


class FlatDense(nn.Module):
    """A dense layer on the concatenation of its inputs, that spreads none of them out.

        y = b + sum_i x_i W_i

    Inputs that are the same for several arms, or at all times, are multiplied once. Its params are
    those of `flax.linen.Dense`.

    Attributes:
      features: number of outputs.
    """

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, *inputs: jax.Array) -> jax.Array:
        """``[..., F_i]`` that broadcast against each other to ``[..., features]``."""
        sizes = [x.shape[-1] for x in inputs]
        init = nn.initializers.lecun_normal()
        kernel = self.param("kernel", init, (sum(sizes), self.features))
        starts = itertools.accumulate([0, *sizes[:-1]])
        parts = [
            # Flat, since XLA transposes arrays of more axes for the gradient of the weights.
            (x.reshape(-1, n) @ kernel[start : start + n]).reshape(*x.shape[:-1], self.features)
            for x, start, n in zip(inputs, starts, sizes, strict=True)
        ]
        if self.use_bias:
            parts.append(self.param("bias", nn.initializers.zeros_init(), (self.features,)))
        return functools.reduce(jnp.add, parts)


class ArmHead(nn.Module):
    """World model or policy that shares its weights over arms.

    It has no activations of its own: what it reads has no weights, so that both networks share it.

    Attributes:
      num_outputs: number of logits.
      num_arms: ``A``.
      num_payments: ``U - 1``.
      pays_arms: whether each is the payment of one arm, or all are of the target.
      per_arm: whether the logits are one for each arm (the world model), or of interventions.
      features: hidden size.
      num_layers: layers.
      memory: whether a param ``memory``, ``[A, MEMORY]``, is read beside the embedding.
    """

    num_outputs: int
    num_arms: int
    num_payments: int
    pays_arms: bool
    per_arm: bool
    features: int = 32
    num_layers: int = 2
    memory: bool = False

    def setup(self) -> None:
        zeros = nn.initializers.zeros_init()
        self.embedding = self.param("embedding", zeros, (self.num_arms, EMBEDDING))
        self.gain = self.param("gain", nn.initializers.ones_init(), (EMBEDDING,))
        if self.memory:
            self.remembered = self.param("memory", zeros, (self.num_arms, MEMORY))
        self.first = FlatDense(self.features)
        self.own = [FlatDense(self.features) for _ in range(self.num_layers - 1)]
        self.common = [FlatDense(self.features, use_bias=False) for _ in range(self.num_layers - 1)]
        # Zero logits at the start: every action, or intervention, is as likely.
        if self._speaks_of_arms or self.per_arm:
            self.arm_head = nn.Dense(1, kernel_init=zeros)
        if not self.per_arm:
            self.head = nn.Dense(1 if self._speaks_of_arms else self.num_outputs, kernel_init=zeros)

    @property
    def _speaks_of_arms(self) -> bool:
        return not self.per_arm and self.pays_arms

    @property
    def reader(self) -> ArmReader:
        """What this network is fed by."""
        return ArmReader(self.num_arms, self.num_payments, self.pays_arms)

    def initial_carry(self) -> ArmHistory:
        """See `empty_history`."""
        return empty_history(self.num_arms)

    def __call__(self, carry: ArmHistory, inputs: jax.Array) -> tuple[ArmHistory, jax.Array]:
        """One step: ``(carry, [I]) -> (carry, [num_outputs] logits)``."""
        carry, reading = self.reader.step(carry, inputs)
        return carry, self.logits(reading, inputs)

    def unroll(self, inputs: jax.Array) -> jax.Array:
        """Whole sequences: ``[T, ..., I] -> [T, ..., num_outputs]`` logits."""
        return self.logits(self.reader.unroll(inputs), inputs)

    def logits(self, reading: Reading, inputs: jax.Array) -> jax.Array:
        """``[..., num_outputs]`` logits, of one step or of all.

        Args:
          reading: what the `reader` made of the same inputs, or of them without beliefs.
          inputs: ``[..., I]``, observations and beliefs.
        """
        seen = self.reader.parts(inputs)
        arms = jnp.concatenate([reading.own, seen.beliefs, reading.fading], axis=-1)
        fixed = [self.gain * self.embedding]
        if self.memory:
            fixed.append(jax.lax.stop_gradient(self.remembered))
        hidden = tanh(self.first(arms, reading.common, jnp.concatenate(fixed, axis=-1)))
        for own, common in zip(self.own, self.common, strict=True):
            hidden = tanh(own(hidden) + common(_summary(hidden, seen.target))[..., None, :])
        if self.per_arm:
            return self.arm_head(hidden)[..., 0]
        logits = self.head(_summary(hidden, seen.target))
        if self._speaks_of_arms:
            return jnp.concatenate([logits, self.arm_head(hidden)[..., 0]], axis=-1)
        return logits


def _summary(hidden: jax.Array, target: jax.Array) -> jax.Array:
    """``[..., A, H]`` to ``[..., 2H]``: the mean over arms, and the target's own."""
    of_target = jnp.sum(hidden * target[..., None], axis=-2)
    return jnp.concatenate([jnp.mean(hidden, axis=-2), of_target], axis=-1)


def _over_arms(config: NetworkConfig, sizes: Sizes) -> NetworkPair:
    """Both networks over arms, fed by one reader."""
    payments = sizes.num_interventions - 1
    heads = {
        name: ArmHead(
            size,
            sizes.num_arms,
            payments,
            sizes.pays_arms,
            name == "world_model",
            config.features,
            config.num_layers,
            config.memory,
        )
        for name, size in head_sizes(config, sizes).items()
    }
    reader = ArmReader(sizes.num_arms, payments, sizes.pays_arms)
    return reading_pair(config, sizes, heads, reader)


register(
    "network",
    "arms",
    _over_arms,
    label="shared over arms",
    summary="weights shared over arms, which read each arm's running statistics",
    has_memory=True,
    reads=("observe_target", "observe_intervention"),
    rank=2,
)
