"""Flax modules: recurrent stacks, the world model, the intervention policy, an MLP.

All modules work on one stream. Each offers ``__call__`` for one step and ``unroll`` for a known
sequence with leading axis ``T``; both give the same values. Unrolling projects all inputs in one
matrix product before the recurrence.
"""

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

Carry = tuple[jax.Array, ...]


class GRULayer(nn.Module):
    """One layer of gated recurrent units (Cho et al., 2014; the form of cuDNN and Flax).

        r = sigmoid(W_r x + b_r + U_r h)        z = sigmoid(W_z x + b_z + U_z h)
        n = tanh(W_n x + b_n + r * (U_n h + d)) h' = (1 - z) * n + z * h

    The kernels of the three gates lie side by side in the order r, z, n.

    Attributes:
      features: hidden size ``H``.
    """

    features: int

    def setup(self) -> None:
        self.input = nn.Dense(3 * self.features)
        self.recurrent_kernel = self.param("recurrent_kernel", _orthogonal_gates, self.features)
        self.candidate_bias = self.param(
            "candidate_bias", nn.initializers.zeros_init(), (self.features,), jnp.float32
        )

    def _step(self, hidden: jax.Array, projected: jax.Array) -> jax.Array:
        recurrent = hidden @ self.recurrent_kernel
        split = 2 * self.features
        gates = nn.sigmoid(projected[..., :split] + recurrent[..., :split])
        reset, update = jnp.split(gates, 2, axis=-1)
        candidate = jnp.tanh(
            projected[..., split:] + reset * (recurrent[..., split:] + self.candidate_bias)
        )
        return candidate + update * (hidden - candidate)

    def __call__(self, hidden: jax.Array, inputs: jax.Array) -> jax.Array:
        """New hidden state ``[H]`` from ``hidden [H]`` and ``inputs [I]``."""
        return self._step(hidden, self.input(inputs))

    def unroll(self, hidden: jax.Array, inputs: jax.Array) -> jax.Array:
        """Hidden states ``[T, H]`` from ``hidden [H]`` and ``inputs [T, I]``."""

        def step(hidden, projected):
            hidden = self._step(hidden, projected)
            return hidden, hidden

        projected = self.input(inputs)
        # A scan does not promote its carry: params in double precision need a carry like theirs.
        hidden = hidden.astype(jnp.promote_types(hidden.dtype, projected.dtype))
        return jax.lax.scan(step, hidden, projected)[1]


def _orthogonal_gates(key: chex.PRNGKey, features: int) -> jax.Array:
    """``[H, 3H]``: one orthogonal matrix a gate, uniformly distributed.

    The polar factor of a Gaussian matrix, by Newton-Schulz iteration ``X <- 1.5 X - 0.5 X X^T X``.
    Only matrix products, on purpose: batched LAPACK calls can hang when a device has one thread.
    """

    def one_gate(key: chex.PRNGKey) -> jax.Array:
        start = jax.random.normal(key, (features, features), jnp.float32)
        step = lambda _, x: 1.5 * x - 0.5 * x @ (x.T @ x)  # noqa: E731
        # From 1e-6 of the norm, each step multiplies a singular value by 1.5 until it nears 1.
        return jax.lax.fori_loop(0, 50, step, start / jnp.linalg.norm(start))

    gates = [one_gate(gate_key) for gate_key in jax.random.split(key, 3)]
    return jnp.concatenate(gates, axis=1)


class GRUStack(nn.Module):
    """Layers of `GRULayer`, each reading the one below.

    Attributes:
      features: hidden size ``H`` of every layer.
      num_layers: number of layers ``L``.
    """

    features: int
    num_layers: int

    def setup(self) -> None:
        self.layers = [GRULayer(self.features) for _ in range(self.num_layers)]

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

    def unroll(self, inputs: jax.Array) -> jax.Array:
        """A whole sequence from the initial carry: ``[T, I] -> [T, H]``."""
        for layer, hidden in zip(self.layers, self.initial_carry(), strict=True):
            inputs = layer.unroll(hidden, inputs)
        return inputs


class RecurrentHead(nn.Module):
    """A GRU stack and a linear read-out of logits: the world model and the recurrent policy.

    As world model it reads what has been observed and gives the logits of the agent's next action;
    as policy it gives the logits of the next intervention. Published: 2 layers, 128 hidden units.

    Attributes:
      num_outputs: number of logits.
      features: hidden size of the GRU layers.
      num_layers: number of GRU layers.
    """

    num_outputs: int
    features: int = 128
    num_layers: int = 2

    def setup(self) -> None:
        self.body = GRUStack(self.features, self.num_layers)
        # Zero logits at the start: every action, or intervention, is as likely.
        self.head = nn.Dense(self.num_outputs, kernel_init=nn.initializers.zeros_init())

    def initial_carry(self) -> Carry:
        """Zeros, see `GRUStack.initial_carry`."""
        return tuple(jnp.zeros((self.features,), jnp.float32) for _ in range(self.num_layers))

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
        """One step: ``(carry, [I]) -> (carry, [num_outputs] logits)``."""
        carry, outputs = self.body(carry, inputs)
        return carry, self.head(outputs)

    def unroll(self, inputs: jax.Array) -> jax.Array:
        """A whole sequence: ``[T, I] -> [T, num_outputs]`` logits."""
        return self.head(self.body.unroll(inputs))


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
        """A whole sequence: ``[T, I] -> [T, num_outputs]`` logits."""
        return self.head(nn.relu(self.body(inputs)))
