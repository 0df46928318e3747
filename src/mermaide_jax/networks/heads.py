"""Flax modules: recurrent stacks, the world model, the intervention policy, an MLP.

Each offers ``__call__`` for one step of one stream and ``unroll`` for known sequences with leading
axis ``T``; both give the same values. Unrolling projects all inputs in one matrix product before
the recurrence, takes any batch axes between time and features, and by default runs the recurrence
of `mermaide_jax.networks.gru`; ``recurrence="reference"`` steps Flax's cell in a plain scan.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from mermaide_jax.networks.gru.gru import (
    GRUActivations,
    Prepared,
    prepare_gru,
    step_gru,
    unroll_gru,
)
from mermaide_jax.networks.world_model_policy import (
    NetworkConfig,
    NetworkPair,
    Recurrence,
    Sizes,
    head_sizes,
    recurrent_pair,
)
from mermaide_jax.registry import register

Carry = tuple[jax.Array, ...]

Activations = tuple[GRUActivations, ...]
"""Of the layers of a stack."""

Preparation = tuple[Prepared | None, ...]
"""Of the layers of a stack, see `GRULayer.prepare`."""


class GRULayer(nn.Module):
    """One layer of gated recurrent units: Flax's ``nn.GRUCell``, stepped or unrolled.

        r = sigmoid(W_r x + b_r + U_r h)        z = sigmoid(W_z x + b_z + U_z h)
        n = tanh(W_n x + b_n + r * (U_n h + d)) h' = (1 - z) * n + z * h

    Attributes:
      features: hidden size ``H``.
      recurrence: how known sequences are unrolled: ``"reference"`` steps the cell in a plain scan;
        the others are `gru_states`'s ``implementation``.
    """

    features: int
    recurrence: Recurrence = "auto"

    def setup(self) -> None:
        self.cell = nn.GRUCell(self.features, recurrent_kernel_init=_orthogonal)

    def __call__(self, hidden: jax.Array, inputs: jax.Array) -> jax.Array:
        """New hidden state ``[H]`` from ``hidden [H]`` and ``inputs [I]``."""
        hidden, _ = self.cell(hidden, inputs)
        return hidden

    def prepare(self) -> Prepared | None:
        """What `step_with_activations` can go by, made once for many steps; None if nothing."""
        implementation = "auto" if self.recurrence == "reference" else self.recurrence
        return prepare_gru(self.cell.variables["params"], implementation)

    def step_with_activations(
        self, hidden: jax.Array, inputs: jax.Array, prepared: Prepared | None = None
    ) -> tuple[jax.Array, GRUActivations]:
        """One step: new hidden state, and the activations that `unroll` can go by."""
        return step_gru(self.cell.variables["params"], hidden, inputs, prepared)

    def unroll(
        self, hidden: jax.Array, inputs: jax.Array, activations: GRUActivations | None = None
    ) -> jax.Array:
        """Hidden states ``[T, ..., H]`` from ``hidden [H]`` and ``inputs [T, ..., I]``.

        The reference takes its steps itself, whatever the activations.
        """
        params = self.cell.variables["params"]
        if self.recurrence != "reference":
            return unroll_gru(params, inputs, hidden, self.recurrence, activations=activations)
        cell = nn.GRUCell(self.features, parent=None)
        # A scan does not promote its carry: params in double precision need a carry like theirs.
        dtype = jnp.result_type(hidden, inputs, *jax.tree.leaves(params))
        hidden = jnp.broadcast_to(hidden.astype(dtype), (*inputs.shape[1:-1], self.features))
        step: Any = lambda h, x: cell.apply({"params": params}, h, x)  # noqa: E731
        return jax.lax.scan(step, hidden, inputs)[1]


def _orthogonal(key: chex.PRNGKey, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """A uniformly distributed orthogonal matrix ``[H, H]``.

    The polar factor of a Gaussian matrix, by Newton-Schulz iteration ``X <- 1.5 X - 0.5 X X^T X``.
    Only matrix products, on purpose: batched LAPACK calls can hang when a device has one thread.
    """
    start = jax.random.normal(key, shape, dtype)
    step = lambda _, x: 1.5 * x - 0.5 * x @ (x.T @ x)  # noqa: E731
    # From 1e-6 of the norm, each step multiplies a singular value by 1.5 until it nears 1.
    return jax.lax.fori_loop(0, 50, step, start / jnp.linalg.norm(start))


class GRUStack(nn.Module):
    """Layers of `GRULayer`, each reading the one below.

    Attributes:
      features: hidden size ``H`` of every layer.
      num_layers: number of layers ``L``.
      recurrence: see `GRULayer`.
    """

    features: int
    num_layers: int
    recurrence: Recurrence = "auto"

    def setup(self) -> None:
        self.layers = [GRULayer(self.features, self.recurrence) for _ in range(self.num_layers)]

    def initial_carry(self) -> Carry:
        """Zeros, ``L`` times ``[H]`` float32."""
        return tuple(jnp.zeros((self.features,), jnp.float32) for _ in range(self.num_layers))

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """One step: ``(carry, [I]) -> (carry, [H])``."""
        new_carry = []
        for layer, hidden in zip(self.layers, carry, strict=True):
            inputs = layer(hidden, inputs)
            new_carry.append(inputs)
        return tuple(new_carry), inputs

    def prepare(self) -> Preparation:
        """See `GRULayer.prepare`."""
        return tuple(layer.prepare() for layer in self.layers)

    def step_with_activations(
        self, carry: Carry, inputs: jax.Array, preparation: Preparation | None = None
    ) -> tuple[Carry, jax.Array, Activations]:
        """One step: carry, ``[H]``, and the activations of every layer."""
        new_carry, of_layers = [], []
        prepared = preparation or (None,) * self.num_layers
        for layer, hidden, ready in zip(self.layers, carry, prepared, strict=True):
            inputs, activations = layer.step_with_activations(hidden, inputs, ready)
            new_carry.append(inputs)
            of_layers.append(activations)
        return tuple(new_carry), inputs, tuple(of_layers)

    def unroll(self, inputs: jax.Array, activations: Activations | None = None) -> jax.Array:
        """Whole sequences from the initial carry: ``[T, ..., I] -> [T, ..., H]``.

        Args:
          inputs: ``x_1 .. x_T``.
          activations: of the same steps, time first, from `step_with_activations`.
        """
        known = activations or (None,) * self.num_layers
        for layer, hidden, own in zip(self.layers, self.initial_carry(), known, strict=True):
            inputs = layer.unroll(hidden, inputs, own)
        return inputs


class RecurrentHead(nn.Module):
    """A GRU stack and a linear read-out of logits: the world model and the recurrent policy.

    As world model it reads what has been observed and gives the logits of the agent's next action;
    as policy it gives the logits of the next intervention. Published: 2 layers, 128 hidden units.

    Attributes:
      num_outputs: number of logits.
      features: hidden size of the GRU layers.
      num_layers: number of GRU layers.
      recurrence: see `GRULayer`.
    """

    num_outputs: int
    features: int = 128
    num_layers: int = 2
    recurrence: Recurrence = "auto"

    def setup(self) -> None:
        self.body = GRUStack(self.features, self.num_layers, self.recurrence)
        # Zero logits at the start: every action, or intervention, is as likely.
        self.head = nn.Dense(self.num_outputs, kernel_init=nn.initializers.zeros_init())

    def initial_carry(self) -> Carry:
        """Zeros, see `GRUStack.initial_carry`."""
        return tuple(jnp.zeros((self.features,), jnp.float32) for _ in range(self.num_layers))

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """One step: ``(carry, [I]) -> (carry, [num_outputs] logits)``."""
        carry, outputs = self.body(carry, inputs)
        return carry, self.head(outputs)

    def prepare(self) -> Preparation:
        """See `GRULayer.prepare`."""
        return self.body.prepare()

    def step_with_activations(
        self, carry: Carry, inputs: jax.Array, preparation: Preparation | None = None
    ) -> tuple[Carry, jax.Array, Activations]:
        """One step: carry, ``[num_outputs]`` logits, and the activations of the layers."""
        carry, outputs, activations = self.body.step_with_activations(carry, inputs, preparation)
        return carry, self.head(outputs), activations

    def unroll(self, inputs: jax.Array, activations: Activations | None = None) -> jax.Array:
        """Whole sequences: ``[T, ..., I] -> [T, ..., num_outputs]`` logits.

        Args:
          inputs: ``x_1 .. x_T``.
          activations: of the same steps, see `GRUStack.unroll`.
        """
        return self.head(self.body.unroll(inputs, activations))


class MLPHead(nn.Module):
    """One hidden ReLU layer and a linear read-out; it remembers nothing.

    The principal of the Stackelberg experiment. It has the interface of `RecurrentHead`, with an
    empty carry.

    Attributes:
      num_outputs: number of logits.
      features: hidden size.
    """

    num_outputs: int
    features: int = 128

    def setup(self) -> None:
        self.body = nn.Dense(self.features)
        self.head = nn.Dense(self.num_outputs, kernel_init=nn.initializers.zeros_init())

    def initial_carry(self) -> Carry:
        """Empty."""
        return ()

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """One step: ``((), [I]) -> ((), [num_outputs] logits)``."""
        return carry, self.unroll(inputs)

    def unroll(self, inputs: jax.Array) -> jax.Array:
        """Whole sequences: ``[T, ..., I] -> [T, ..., num_outputs]`` logits."""
        return self.head(nn.relu(self.body(inputs)))


def _recurrent(config: NetworkConfig, sizes: Sizes) -> NetworkPair:
    """Both networks as stacks of gated recurrent units."""
    # Second derivatives here are forward over reverse, which the fastest loops allow.
    recurrence = "fastest" if config.recurrence == "auto" else config.recurrence
    heads = {
        name: RecurrentHead(size, config.features, config.num_layers, recurrence)
        for name, size in head_sizes(config, sizes).items()
    }
    kept = config.recurrence != "reference"
    return recurrent_pair(config, sizes, heads, keeps_activations=kept)


def _feed_forward(config: NetworkConfig, sizes: Sizes) -> NetworkPair:
    """Both networks with one hidden layer, which see the last step alone."""
    outputs = head_sizes(config, sizes)
    heads = {name: MLPHead(size, config.features) for name, size in outputs.items()}
    return recurrent_pair(config, sizes, heads)


register(
    "network",
    "gru",
    _recurrent,
    label="GRU",
    summary="recurrent networks, published for the bandits",
    rank=1,
)
register(
    "network",
    "mlp",
    _feed_forward,
    label="feed-forward",
    summary="one hidden layer, no memory of the episode",
    rank=3,
)
